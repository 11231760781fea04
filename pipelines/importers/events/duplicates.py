"""Tells the lines of a log that stand there twice: word for word, or by the id of their event."""

from typing import Any, Literal

import xxhash

from pipelines.importers.tables.rows import Row

MOST_REMEMBERED = 2_000_000  # lines, of about 100 bytes each
# What is compared of events with the same id.
OF_EVENT = ("type", "user", "session", "time", "product", "quantity", "value", "text")

Rule = Literal["", "keep", "drop"]


class Duplicates:
    """Remembers the newest lines of a log by their hash, and counts those that come again."""

    def __init__(self, rule: Rule, without: str = "") -> None:
        """Drop what comes again, or keep it; "": drop it where the line tells one event.

        `without` is a column that is not compared: the list that a row's events stand in.
        """
        self.dropped = self.kept = self.of_known_id = 0
        self._rule = rule
        self._without = without
        self._lines: dict[int, int] = {}  # the line of each hash of a row
        self._events: dict[int, int] = {}  # and of an event with an id

    def is_again(self, row: Row) -> bool:
        """Return whether a line was there before, word for word; otherwise remember it."""
        compared = {k: v for k, v in row.values.items() if k != self._without}
        return _met(self._lines, repr(compared), row.line) is not None

    def drops(self, *, tells_event: bool) -> bool:
        """Return whether a line that is there again is left out, and count it.

        Such a line tells one event where it has the id of an event or order, or is no purchase and
        has a time to the second: nobody looks at the same twice within one.
        """
        drops = self._rule == "drop" or (self._rule == "" and tells_event)
        self.dropped += drops
        self.kept += not drops
        return drops

    def drops_event(self, event_id: Any, event: dict[str, Any], line: int) -> bool:
        """Return whether an event was there before, on another line and under the same id.

        Lines of one event may differ in columns that are not read, such as when it was received.
        """
        if self._rule == "keep" or event_id is None:
            return False
        said = repr((event_id, *map(event.get, OF_EVENT)))
        before = _met(self._events, said, line)
        again = before is not None and before != line
        self.of_known_id += again
        return again

    def notes(self) -> list[str]:
        """Return what the report says of them."""
        key = "the key `duplicates` of the mapping's events says otherwise"
        return [
            f"{count:,} lines {what}; {key}"
            for count, what in (
                (self.dropped, "stand there again, word for word, and count once"),
                (self.of_known_id, "tell an event again that has the same id, and count once"),
                (
                    self.kept,
                    "stand there again, word for word, and each counts, as they have no id of an "
                    "order or event, and are purchases or have no time to the second",
                ),
            )
            if count
        ]


def _met(seen: dict[int, int], text: str, line: int) -> int | None:
    """Return the line on which a text was met before; otherwise remember it."""
    number = xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))
    if number in seen:
        return seen[number]
    seen[number] = line
    if len(seen) > MOST_REMEMBERED:
        del seen[next(iter(seen))]
    return None
