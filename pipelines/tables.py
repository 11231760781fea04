"""Tables for a terminal: an answer, the releases of a folder, the quality of one, the machine."""

import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from io import StringIO
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.config import moment
from pipelines.errors import ReleaseError, RequestError
from pipelines.release import Manifest, Release, current, names, read_manifest
from pipelines.verdict import Check, Verdict
from retrieval import Query, Scene, Slate
from retrieval.types import Collapse, Direction, Facet, FacetValue, Filtered, Matched, Sort

WIDTH = 110
LONG = ("_curve", "_choices")  # of an index, which `vetrina index plan` shows
LARGEST_PICTURE = 10_000_000  # bytes
TELLING = (
    "torch",
    "faiss-cpu",
    "faiss-gpu",
    "scalable-vs",
    "open_clip_torch",
    "sentence-transformers",
)


def answer_table(  # noqa: PLR0913 - the options of a verb
    releases: Path,
    *,
    text: str,
    image: Path | None,
    liked: tuple[str, ...],
    disliked: tuple[str, ...],
    user: str | None,
    at: str | None,
    filter_: str,
    facets: tuple[str, ...],
    sorts: tuple[str, ...],
    collapse: str | None,
    cursor: str,
    k: int,
    explain: bool,
) -> str:
    """Answer one request from the current release and write the slate as a table."""
    if not 1 <= k <= 1_000:
        raise RequestError("k", f"{k} products were asked for; ask for 1 to 1,000")
    query = Query(
        text=text,
        image=None if image is None else read_picture(image),
        liked=dict.fromkeys(liked, 1.0),
        disliked=dict.fromkeys(disliked, 1.0),
        user=user,
        scene=Scene(at=moment(at) if at else None),
        filter=filter_,
        facets=tuple(Facet(field=field) for field in facets),
        sort=tuple(map(read_sort, sorts)),
        collapse=None if collapse is None else Collapse(field=collapse),
        cursor=cursor,
        k=k,
        explain=explain,
        deadline_ms=60_000,
    )
    from pipelines.engine import Engine

    return slate_table(Engine.open(releases).answer(query))


def read_sort(text: str) -> Sort:
    """Return the column of `price`, `price:asc` or `price:desc`."""
    field, _, order = text.rpartition(":") if text.endswith((":asc", ":desc")) else (text, "", "")
    return Sort(field=field, order=Direction(order or "asc"))


def read_picture(path: Path) -> bytes:
    """Read a query picture of at most 10 MB."""
    try:
        size = path.stat().st_size
        if not path.is_file() or size > LARGEST_PICTURE:
            raise RequestError(
                "image", f"{path} is no file of at most {LARGEST_PICTURE:,} bytes, but {size:,}"
            )
        return path.read_bytes()
    except OSError as e:
        raise RequestError("image", f"{path}: {e.strerror}") from None


def slate_table(slate: Slate) -> str:
    """Write a slate: one line a product, then the stage and what each step cost."""
    rows = [
        (
            str(p.position),
            p.product.id,
            p.product.title,
            f"{p.product.price:.2f}" if p.product.price is not None else "",
            f"{p.score:.3f}",
            "; ".join(p.why),
        )
        for p in slate.products
    ]
    text = table(("", "id", "title", "price", "score", "why"), rows)
    for p in slate.products:
        told = {**p.channels, **p.features}
        if told:
            text += f"{p.position}. " + ", ".join(f"{n} {v:.3g}" for n, v in told.items()) + "\n"
        if p.moved:
            text += (
                f"   moved {_most(p.moved, '{:+.2f}')}; looked at {_most(p.attended, '{:.0%}')}\n"
            )
    if slate.matched is not None:
        text += f"{matched_lines(slate.matched)}\n"
    if slate.missing:
        text += f"this release lacks {', '.join(slate.missing)}\n"
    if slate.cursor:
        text += f"next page: --cursor {slate.cursor}\n"
    if slate.filtered:
        text += f"{filtered_line(slate.filtered)}\n"
    for reading in slate.readings:
        text += f"{reading.asked} ({reading.why}) is read as {', '.join(reading.read_as)}\n"
    spent = ", ".join(f"{name} {ms:.1f} ms" for name, ms in slate.timings_ms.items())
    return f"{text}release {slate.release}, stage {slate.stage}: {spent}"


def matched_lines(matched: Matched) -> str:
    """Write how long a list is, and what was counted in it, a line a field."""
    return "\n".join(
        [
            f"{matched.total:,} in the list, of {matched.of:,} products, "
            f"{'all that match' if matched.exact else 'there may be more'}",
            *(f"{one.field}: {', '.join(map(_counted, one.values))}" for one in matched.facets),
        ]
    )


def _counted(value: FacetValue) -> str:
    if value.interval is None:
        return f"{value.value} {value.count:,}"
    low, high = ("*" if end is None else f"{end:g}" for end in value.interval)
    return f"{low}-{high} {value.count:,}"


def filtered_line(filtered: Filtered) -> str:
    """Write how many products passed the filter and how each channel searched among them."""
    ways = [
        f"{name} by {searched.way}, exactness {searched.exactness:.2f}"
        for name, searched in filtered.channels.items()
    ]
    passed = f"{filtered.passed:,} of {filtered.of:,} products pass the filter"
    return "; ".join([passed, *ways])


def _most(named: dict[str, float], shape: str) -> str:
    """Write the first three of what is named, the largest first."""
    return ", ".join(f"{name} {shape.format(value)}" for name, value in list(named.items())[:3])


def releases_table(releases: Path) -> str:
    """Write the releases of a folder, newest first, the current one marked."""
    found = names(releases)
    if not found:
        raise ReleaseError(f"{releases} holds no published release; run `vetrina build` first")
    live = _served(releases)
    rows = []
    for name in found:
        manifest = read_manifest(releases / name)
        size = sum(file.bytes for file in manifest.files.values()) / 1e6
        dark = Release(releases / name, manifest).dark
        rows.append(
            (
                "current" if name == live else "dark" if dark else "",
                name,
                str(manifest.shop.get("name", "")),
                manifest.until or "all",
                f"{size:,.0f} MB",
            )
        )
    return table(("", "release", "shop", "until", "size"), rows)


def _served(releases: Path) -> str | None:
    """Return the name of the current release; None where every release is dark."""
    try:
        return current(releases)
    except ReleaseError:
        return None


def verdict_table(verdict: Verdict) -> str:
    """Write what the gate found: each figure, its limit, and whether it is met."""
    rows = [
        (
            one.name,
            f"{one.value:.4g}",
            f"{'at least' if one.least else 'at most'} {one.limit:g}",
            _met(one, forced=verdict.forced),
            one.told,
        )
        for one in verdict.checks
    ]
    against = verdict.against or f"nothing: {verdict.note}"
    return table(("gate", "value", "limit", "", ""), rows) + f"compared with {against}"


def _met(check: Check, *, forced: bool) -> str:
    if check.passed:
        return "passed"
    return "FAILED, forced" if forced else "FAILED"


def quality_table(manifest: Manifest) -> str:
    """Write what was measured while a release was built."""
    rows = [("release", manifest.name), ("shop", str(manifest.shop.get("name", "")))]
    rows += [("until", manifest.until or "the end of the log")]
    told = {n: v for n, v in manifest.quality.items() if not n.endswith(LONG)}
    rows += [(name.replace("_", " "), _brief(value)) for name, value in told.items()]
    return table(("measured", ""), rows)


def machine_table() -> str:
    """Write what this machine has that answers or builds depend on."""
    import torch

    from index import num_cards

    installed = [(name, _version(name)) for name in TELLING]
    rows = [
        ("python", platform.python_version()),
        ("cores", str(len(os.sched_getaffinity(0)))),
        *((name, found) for name, found in installed if found),
        ("cards that torch sees", str(torch.cuda.device_count())),
        ("cards that faiss sees", str(num_cards())),
    ]
    return table(("this machine", ""), rows)


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write rows under headers, as wide as they need; data is never read as markup."""
    drawn = Table(*headers, box=SIMPLE, pad_edge=False)
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    page = StringIO()
    Console(file=page, width=WIDTH).print(drawn)
    return page.getvalue()


def _brief(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) < 200 else f"{text[:200]}…"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
