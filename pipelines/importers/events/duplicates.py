"""Tells the lines of a log that stand there twice, word for word."""

from typing import Any, Literal

import xxhash

MOST_REMEMBERED = 2_000_000  # lines, of about 100 bytes each

Rule = Literal["", "keep", "drop"]


class Duplicates:
    """Remembers the newest lines of a log by their hash, and counts those that come again."""

    def __init__(self, rule: Rule, without: str = "") -> None:
        """Drop what comes again, or keep it; "": drop it where the line has an id.

        `without` is a column that is not compared: the list that a row's events stand in.
        """
        self.dropped = self.kept = 0
        self._rule = rule
        self._without = without
        self._seen: dict[int, None] = {}

    def drops(self, values: dict[str, Any], line_id: Any) -> bool:
        """Return whether a line is to be left out, being there before; otherwise remember it."""
        compared = {k: v for k, v in values.items() if k != self._without}
        number = xxhash.xxh3_64_intdigest(repr(compared).encode("utf-8", "surrogatepass"))
        if number not in self._seen:
            self._seen[number] = None
            if len(self._seen) > MOST_REMEMBERED:
                del self._seen[next(iter(self._seen))]
            return False
        drops = self._rule == "drop" or (self._rule == "" and line_id is not None)
        self.dropped += drops
        self.kept += not drops
        return drops

    def notes(self) -> list[str]:
        """Return what the report says of them."""
        key = "the key `duplicates` of the mapping's events says otherwise"
        return [
            f"{count:,} lines stand there again, word for word, and {what}; {key}"
            for count, what in (
                (self.dropped, "count once"),
                (self.kept, "each counts, as they have no id of an order or event"),
            )
            if count
        ]
