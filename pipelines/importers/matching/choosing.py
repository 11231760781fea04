"""Chooses the ways in which a log's ids are matched with products, and reports on them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pipelines.importers.matching.catalogue import FIELDS, Catalogue, Hit
from pipelines.importers.matching.forms import (
    SAME,
    WITHOUT_PREFIX,
    WITHOUT_SUFFIX,
    Key,
    difference,
    keys_of,
    plain,
)
from pipelines.importers.matching.id_counts import IdCounts, Ids
from pipelines.shop.id_match import FoundBy, IdMatch
from pipelines.shop.quality import shown

MOST_WAYS = 12  # that a report tells apart
MOST_PREFIXES = 20  # that a log writes before its ids
LEAST_SHARE = 0.01  # of the events, which a further way must find
MOST_UNCLEAR = 0.05  # of a way's events, whose ids mean several products
ID = ("id", "")
ID_AS_IT_STANDS = ("id", SAME)


class Way(NamedTuple):
    """A way to find a product: a column of the log, a field of the products, a form of the id."""

    column: int
    field: str
    form: str


class Found(NamedTuple):
    """A product that an id of a log finds in one way; `rest` is what its form left out."""

    product: int
    value: str
    several: bool
    rest: str


class Matches:
    """All products that the ids of a log may mean, in every way."""

    def __init__(self, ids: IdCounts, catalogue: Catalogue) -> None:
        """Look up the ids of a log among those of a shop."""
        self._ids = ids
        self._catalogue = catalogue
        texts = dict.fromkeys(text for several in ids.counts for text in several if text)
        keys = {text: list(keys_of(text)) for text in texts}
        wanted = {plain(key.text) for several in keys.values() for key in several}
        exact, alike = catalogue.hits(texts, wanted)
        self._found = {
            text: dict(_meanings(text, several, exact, alike)) for text, several in keys.items()
        }
        self._unclear = {way: self._unclear_ids(way) for way in self.ways()}

    def ways(self) -> list[Way]:
        """Return the ways in which any id finds a product, those of the id first."""
        known = {
            Way(column, field, form): None
            for ids in self._ids.counts
            for column, text in enumerate(ids)
            for field, form in self._found.get(text, ())
        }
        return sorted(known, key=lambda way: (FIELDS.index(way.field), way.form != SAME, way))

    def of(self, ids: Ids, way: Way) -> Found | None:
        """Return the product that the ids of an event find in one way."""
        return self._found.get(ids[way.column], {}).get((way.field, way.form))

    def is_id(self, ids: Ids) -> bool:
        """Return whether the first id of an event is that of a product, letter by letter."""
        text = next(filter(None, ids))
        found = self._found.get(text, {}).get(ID_AS_IT_STANDS)
        return found is not None and found.value == text

    def found_by(self, way: Way, events: Counter[Ids]) -> FoundBy:
        """Return how many of these events find their product in one way."""
        hits = [(ids, n, found) for ids, n in events.items() if (found := self.of(ids, way))]
        hows: Counter[str] = Counter()
        example = ""
        for ids, n, found in hits:
            how = _how(ids[way.column], way, found)
            hows[how] += n
            if how and not example:
                text, own = ids[way.column], self._catalogue.id_of(found.product)
                example = f"{shown(text)} is {shown(own)}"
        total = sum(n for _, n, _ in hits)
        unclear = sum(n for ids, n, _ in hits if ids[way.column] in self._unclear[way])
        return FoundBy(
            column=self._ids.columns[way.column],
            field=way.field,
            how=hows.most_common(1)[0][0] if hows else "",
            events=total,
            ids=len({ids[way.column] for ids, _, _ in hits}),
            one_to_one=unclear <= MOST_UNCLEAR * total and way.form != WITHOUT_SUFFIX,
            example=example,
        )

    def translation(self, way: Way, *, clear: bool) -> dict[str, str]:
        """Return the id of the product for each id that a way finds; `clear`: one to one alone."""
        left_out = self._unclear[way] if clear else frozenset()
        texts = {ids[way.column] for ids in self._ids.counts}
        hits = (
            (text, self._found[text].get((way.field, way.form)))
            for text in texts
            if text and text not in left_out
        )
        return {text: self._catalogue.id_of(hit.product) for text, hit in hits if hit}

    def _unclear_ids(self, way: Way) -> frozenset[str]:
        """Return the ids that mean several products, or the same as ids that differ in the rest."""
        texts = {ids[way.column] for ids in self._ids.counts}
        hits = {
            text: hit
            for text in texts
            if (hit := self._found.get(text, {}).get((way.field, way.form)))
        }
        rests: dict[int, set[str]] = defaultdict(set)
        for hit in hits.values():
            rests[hit.product].add(hit.rest)
        too_many = (
            way.form == WITHOUT_PREFIX and len({hit.rest for hit in hits.values()}) > MOST_PREFIXES
        )
        return frozenset(
            text
            for text, hit in hits.items()
            if hit.several or len(rests[hit.product]) > 1 or too_many
        )


def chosen_ways(matches: Matches, ids: IdCounts, rule: str) -> list[Way]:
    """Return the ways that a rule of the mapping takes, the one that finds the most first.

    `auto` takes those that are one to one, and each further one only if it finds events that none
    before does; the name of a field takes every way of that field.
    """
    ways = [way for way in matches.ways() if rule in ("auto", way.field)]
    if rule == "auto":
        ways = [way for way in ways if matches.found_by(way, ids.counts).one_to_one]
    least = LEAST_SHARE * ids.counts.total() if rule == "auto" else 0
    return [way for way, found in greedy(matches, ids.counts, ways) if found.events > least]


def greedy(
    matches: Matches, events: Counter[Ids], ways: Iterable[Way]
) -> Iterator[tuple[Way, FoundBy]]:
    """Yield the way that finds the most events, then the one that finds the most others…"""
    left, remaining = Counter(events), list(ways)
    while remaining and left:
        counted = [(matches.found_by(way, left), way) for way in remaining]
        found, way = max(counted, key=lambda one: one[0].events)
        if not found.events:
            return
        yield way, found
        remaining.remove(way)
        left = Counter({ids: n for ids, n in left.items() if not matches.of(ids, way)})


def report(matches: Matches, ids: IdCounts, taken: list[Way]) -> IdMatch:
    """Return how the events of a log find their products, and what would find more."""
    found, left = [], Counter(ids.counts)
    for way in taken:
        found.append(matches.found_by(way, left))
        left = Counter({one: n for one, n in left.items() if not matches.of(one, way)})
    by_id = Counter({one: n for one, n in left.items() if matches.is_id(one)})
    if by_id:
        found.append(as_it_stands(ids, by_id))
    left -= by_id
    ways = [way for way in matches.ways() if way not in taken]
    found += [by for _, by in greedy(matches, left, ways)][:MOST_WAYS]
    total = ids.counts.total()
    own = sum(by.events for by in found[: len(taken)]) + by_id.total()
    in_all = (matches.found_by(way, ids.counts) for way in ways)
    best = max(in_all, key=lambda by: (by.events, by.one_to_one), default=None)
    return IdMatch(
        events=total,
        found=tuple(by for by in found if by.events),
        unknown=total - sum(by.events for by in found),
        best=None if taken or best is None or best.events <= own else best,
        taken=tuple(by for by in found[: len(taken)] if by.events and (by.field, by.how) != ID),
    )


def as_it_stands(ids: IdCounts, events: Counter[Ids]) -> FoundBy:
    """Return that events find their products by the id that stands there."""
    return FoundBy(column=ids.columns[0], field="id", events=events.total(), ids=len(events))


def _meanings(
    text: str,
    keys: list[Key],
    exact: dict[tuple[str, str], Hit],
    alike: dict[tuple[str, str], Hit],
) -> Iterator[tuple[tuple[str, str], Found]]:
    """Yield the products that an id of a log may mean, by field and form."""
    for key in reversed(keys):  # of two keys of one form the first stays
        for field in FIELDS:
            hit = exact.get((field, text)) if key.form == SAME else None
            hit = hit or alike.get((field, plain(key.text)))
            if hit:
                yield (field, key.form), Found(hit.product, hit.value, hit.several, key.rest)


def _how(text: str, way: Way, found: Found) -> str:
    return difference(text, found.value) if way.form == SAME else way.form
