"""The differences between two releases: products, answers to pinned queries, manifests."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from index import Columns
from pipelines.config.sections import Config
from pipelines.engine.engine import Engine
from pipelines.evaluation.pinned_queries import Pinned, ask, open_pinned
from pipelines.metrics.ranked_lists import overlap, rank_biased_overlap
from pipelines.progress import Track
from pipelines.release.layout import PRODUCTS
from pipelines.release.manifest import Manifest, config_of
from pipelines.release.product_changes import compare_products
from pipelines.release.store import Release, open_release

TOP = 10
EXAMPLES = 5
WORST = 10
SHOWN_CHARACTERS = 60


class ChangedProduct(msgspec.Struct, frozen=True, kw_only=True):
    """A product with a changed field: its value before and now."""

    product: str
    before: Any
    now: Any


class FieldChange(msgspec.Struct, frozen=True, kw_only=True):
    """The number of products with another value in one field."""

    field: str
    products: int
    examples: tuple[ChangedProduct, ...]


class PlaceChanges(msgspec.Struct, frozen=True, kw_only=True):
    """The movement of one pinned query's top ten."""

    query: str
    text: str = ""
    user: str = ""
    overlap: float
    rank_biased_overlap: float
    before: tuple[str, ...]
    now: tuple[str, ...]


class AnswerChanges(msgspec.Struct, frozen=True, kw_only=True):
    """The movement of the answers to one kind of pinned queries."""

    kind: str
    queries: int
    overlap: float  # mean over the queries
    rank_biased_overlap: float
    same: int  # queries whose top ten is the same, in the same order
    worst: tuple[PlaceChanges, ...]  # those that moved most


class ChangedSetting(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the manifests that differs; None: the entry is missing."""

    key: str
    before: Any
    now: Any


class ReleaseDiff(msgspec.Struct, frozen=True, kw_only=True):
    """All differences from one release to another."""

    before: str
    now: str
    products_before: int
    products_now: int
    gone: int
    new: int
    gone_examples: tuple[str, ...]
    new_examples: tuple[str, ...]
    changed: tuple[FieldChange, ...]
    answers: tuple[AnswerChanges, ...]
    manifest: tuple[ChangedSetting, ...]

    def json(self) -> bytes:
        """Return it as JSON, indented."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2)

    def text(self) -> str:
        """Return it as a page of text."""
        return "\n".join(
            [
                f"from {self.before} to {self.now}",
                "",
                f"products: {self.products_before:,} before, {self.products_now:,} now",
                f"  gone  {self.gone:,}{_list(self.gone_examples, self.gone)}",
                f"  new   {self.new:,}{_list(self.new_examples, self.new)}",
                *(line for change in self.changed for line in _change_lines(change)),
                "",
                *(line for kind in self.answers for line in _answer_lines(kind)),
                *([] if self.answers else ["answers: neither release has pinned queries"]),
                "",
                "manifest:" if self.manifest else "manifest: nothing differs",
                *(f"  {s.key}: {_shown(s.before)} -> {_shown(s.now)}" for s in self.manifest),
            ]
        )


def diff(releases: Path, first: str, second: str, track: Track) -> ReleaseDiff:
    """Compare two checked releases of a folder.

    Asked are the pinned queries of the second, or of the first where that has none.
    """
    before, now = (open_release(releases, name) for name in (first, second))
    old, new = (Columns.open(release.path / PRODUCTS) for release in (before, now))
    changes = compare_products(old, new)
    return ReleaseDiff(
        before=first,
        now=second,
        products_before=old.size,
        products_now=new.size,
        gone=len(changes.gone),
        new=len(changes.new),
        gone_examples=changes.gone[:EXAMPLES],
        new_examples=changes.new[:EXAMPLES],
        changed=tuple(
            _field_change(field, [changes.both[i] for i in np.flatnonzero(which)], old, new)
            for field, which in changes.changed.items()
            if which.any()
        ),
        answers=answers(before, now, track),
        manifest=tuple(settings(before.manifest, now.manifest)),
    )


def answers(before: Release, now: Release, track: Track) -> tuple[AnswerChanges, ...]:
    """Return how far the answers moved, kind by kind."""
    pinned = open_pinned(now.path) or open_pinned(before.path)
    if not pinned:
        return ()
    pages = [_pages(release, pinned, track) for release in (before, now)]
    moved = [_place_changes(*one) for one in zip(pinned, *pages, strict=True)]
    kinds = sorted({one.kind for one in pinned})
    return tuple(
        _kind(kind, [m for m, p in zip(moved, pinned, strict=True) if p.kind == kind])
        for kind in kinds
    )


def settings(before: Manifest, now: Manifest) -> Iterator[ChangedSetting]:
    """Yield what the manifests say otherwise: shop, moment, encoders, configuration, figures."""
    told = [dict(_leaves(_compared(manifest))) for manifest in (before, now)]
    for key in sorted({*told[0], *told[1]}):
        values = [one.get(key) for one in told]
        if values[0] != values[1]:
            yield ChangedSetting(key=key, before=values[0], now=values[1])


def _compared(manifest: Manifest) -> dict[str, Any]:
    return {
        "shop": manifest.shop,
        "until": manifest.until,
        "fingerprints": manifest.fingerprints,
        "config": msgspec.to_builtins(config_of(manifest)),
        "quality": manifest.quality,
    }


def _pages(release: Release, pinned: Sequence[Pinned], track: Track) -> list[list[str]]:
    config: Config = config_of(release.manifest)
    engine = Engine(release, config)
    told = track(pinned, f"ask {release.manifest.name}", len(pinned))
    return [ask(engine, one, TOP) for one in told]


def _place_changes(pinned: Pinned, before: list[str], now: list[str]) -> PlaceChanges:
    return PlaceChanges(
        query=pinned.id,
        text=pinned.text,
        user=pinned.user or "",
        overlap=round(overlap(before, now, TOP), 4),
        rank_biased_overlap=round(rank_biased_overlap(before, now), 4),
        before=tuple(before),
        now=tuple(now),
    )


def _kind(kind: str, moved: list[PlaceChanges]) -> AnswerChanges:
    order = sorted(moved, key=lambda one: (one.rank_biased_overlap, one.query))
    return AnswerChanges(
        kind=kind,
        queries=len(moved),
        overlap=round(float(np.mean([one.overlap for one in moved])), 4),
        rank_biased_overlap=round(float(np.mean([one.rank_biased_overlap for one in moved])), 4),
        same=sum(one.before == one.now for one in moved),
        worst=tuple(one for one in order[:WORST] if one.before != one.now),
    )


def _field_change(field: str, ids: list[str], old: Columns, new: Columns) -> FieldChange:
    named = ids[:EXAMPLES]
    before, now = (side.records(side.rows_of(named).rows) for side in (old, new))
    examples = [
        ChangedProduct(product=name, before=one[field], now=other[field])
        for name, one, other in zip(named, before, now, strict=True)
    ]
    return FieldChange(field=field, products=len(ids), examples=tuple(examples))


def _leaves(tree: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", list(value) if isinstance(value, tuple) else value


def _change_lines(change: FieldChange) -> Iterator[str]:
    yield f"  {change.field} changed in {change.products:,}"
    for one in change.examples:
        yield f"    {_line(one.product)}: {_shown(one.before)} -> {_shown(one.now)}"


def _answer_lines(found: AnswerChanges) -> Iterator[str]:
    yield (
        f"top {TOP} of {found.queries:,} pinned {found.kind}: overlap@{TOP} {found.overlap:.3f}, "
        f"rank-biased overlap {found.rank_biased_overlap:.3f}, {found.same:,} the same"
    )
    for one in found.worst:
        asked = _shown(one.text) if one.text else f"shopper {_line(one.user)}"
        yield (
            f"  {one.overlap:.2f}  {one.rank_biased_overlap:.3f}  {asked}: "
            f"{_line(' '.join(one.before[:3]))} -> {_line(' '.join(one.now[:3]))}"
        )


def _list(examples: Sequence[str], count: int) -> str:
    more = ", …" if count > len(examples) else ""
    return f": {', '.join(map(_line, examples))}{more}" if examples else ""


def _shown(value: Any) -> str:
    return _line(repr(value) if isinstance(value, str) else str(value))


def _line(text: str) -> str:
    """Return a text from outside on one short line that a terminal can show."""
    line = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[: SHOWN_CHARACTERS - 1]}…"
