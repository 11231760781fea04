"""Counts the ids by which a log names its products, column by column."""

from collections import Counter
from typing import Any

from pipelines.importers.events.fields import NO_NAME, says_nothing, value_at
from pipelines.importers.matching.forms import LONGEST

MOST_IDS = 1_000_000  # different ones that are counted

Ids = tuple[str, ...]  # of one event, a text for each column, "" where it has none


class IdCounts:
    """The ids of each event and how often they come, in bounded memory."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        """Prepare for the columns that may name the product."""
        self.columns = columns
        self._plain = columns[0] if len(columns) == 1 and not set("./") & set(columns[0]) else ""
        self.counts: Counter[Ids] = Counter()

    def see(self, values: dict[str, Any]) -> None:
        """Count the ids of one event."""
        ids = self.texts(values)
        if any(ids) and (ids in self.counts or len(self.counts) < MOST_IDS):
            self.counts[ids] += 1

    def texts(self, values: dict[str, Any]) -> Ids:
        """Return the ids of one event."""
        if self._plain:
            return (raw_id(values.get(self._plain)),)
        return tuple(raw_id(value_at(values, column)) for column in self.columns)


def raw_id(value: Any) -> str:
    """Return an id as a log has it, "" for what is none; a whole float is a whole number."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if says_nothing(value, NO_NAME) or not isinstance(value, str | int | float):
        return ""
    try:
        text = str(value)
    except ValueError:  # a whole number of thousands of digits
        return ""
    return text if len(text) <= LONGEST else ""
