"""Finds the product of each event of a log, by the ways that its mapping takes."""

from collections.abc import Container, Iterable
from typing import Any

from pipelines.importers.columns import EventColumns
from pipelines.importers.matching.catalogue import Catalogue
from pipelines.importers.matching.choosing import (
    Matches,
    Way,
    as_it_stands,
    chosen_ways,
    report,
)
from pipelines.importers.matching.id_counts import IdCounts
from pipelines.shop.id_match import IdMatch


class ProductFinder:
    """Counts the ids of a log, and replaces those that mean a product by its id."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        """Prepare for the columns that may name the product; nothing is replaced yet."""
        self.ids = IdCounts(columns)
        self._ways: list[Way] = []
        self._translations: list[tuple[int, dict[str, str]]] = []
        self._chosen: IdMatch | None = None

    def choose(
        self, rows: Iterable[dict[str, Any]], catalogue: Catalogue, rule: EventColumns
    ) -> None:
        """Take the ways that a mapping says, by the ids of all rows of the log."""
        for values in rows:
            self.ids.see(values)
        matches = Matches(self.ids, catalogue)
        ways = chosen_ways(matches, self.ids, rule.match)
        clear = rule.match == "auto"
        self._chosen = report(matches, self.ids, ways)
        self._translations = [(way.column, matches.translation(way, clear=clear)) for way in ways]

    def product_of(self, values: dict[str, Any]) -> str | None:
        """Return the id of the product that a row means; None where no way finds one."""
        if self._chosen is None:
            self.ids.see(values)
            return None
        texts = self.ids.texts(values)
        for column, known in self._translations:
            if found := known.get(texts[column]):
                return found
        return None

    def report(self, catalogue: Catalogue, known: Container[str]) -> IdMatch | None:
        """Return how the events found their products; None where no event names one."""
        counts = self.ids.counts
        if self._chosen is not None or not counts:
            return self._chosen
        if all(next(filter(None, ids)) in known for ids in counts):
            return IdMatch(events=counts.total(), found=(as_it_stands(self.ids, counts),))
        return report(Matches(self.ids, catalogue), self.ids, [])
