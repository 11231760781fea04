"""Tells the lines of a log that stand there twice: word for word, or by the id of their event."""

from typing import Any, Literal

import xxhash

from pipelines.importers.tables.rows import Row

MOST_REMEMBERED = 2_000_000  # lines, of about 100 bytes each
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
        self._seen: dict[int, int] = {}  # the line of each hash

    def is_again(self, row: Row) -> bool:
        """Return whether a line was there before, word for word; otherwise remember it."""
        compared = {k: v for k, v in row.values.items() if k != self._without}
        return self._met(repr(compared), row.line) is not None

    def drops(self, *, tells_event: bool) -> bool:
        """Return whether a line that is there again is left out, and count it.

        Such a line tells one event where it has the id of an event or order, or a time to the
        second: nobody does the same twice within one.
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
        before = self._met(said, line)
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
                    "order or event and no time to the second",
                ),
            )
            if count
        ]

    def _met(self, text: str, line: int) -> int | None:
        """Return the line on which a text was met before; otherwise remember it."""
        number = xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))
        if number in self._seen:
            return self._seen[number]
        self._seen[number] = line
        if len(self._seen) > MOST_REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return None
