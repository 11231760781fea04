"""Tells what a log tells twice: lines word for word, and acts by their id, order or content."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Literal

import xxhash

from retrieval import EventType

MOST_REMEMBERED = 2_000_000  # lines, of about 100 bytes each
MOST_NEWEST = 100_000  # acts that are compared with those a moment later
A_MOMENT = timedelta(seconds=1)
# What is compared of events with the same id.
OF_EVENT = ("type", "user", "session", "time", "product", "quantity", "value", "text")
OF_ACT = ("type", "user", "visitor", "at", "order", "answer", "session", "text")
OF_LINE = (*OF_ACT, "product", "quantity", "value", "position", "placement", "list")
PAID = (EventType.PURCHASE, EventType.REFUND)
MEANT = frozenset(EventType) - {EventType.IMPRESSION, EventType.VIEW, EventType.CLICK}

Rule = Literal["", "keep", "drop"]
Event = dict[str, Any]


class Duplicates:
    """Remembers the newest lines and acts of a log by their hashes, and counts what comes again."""

    def __init__(self, rule: Rule) -> None:
        """Drop what comes again, or keep it; "": drop it where the line tells one event."""
        self.dropped = self.kept = self.of_known_id = self.of_known_order = self.said_again = 0
        self.a_moment_later = 0  # acts that repeat another's within a second, and are kept
        self._rule = rule
        self._lines: dict[int, int] = {}  # the line of each hash of a row
        self._events: dict[int, int] = {}  # and of an event with an id
        self._acts: dict[int, int] = {}
        self._orders: dict[int, int] = {}
        self._newest: dict[tuple, Any] = {}

    def is_again(self, values: dict[str, Any], line: int) -> bool:
        """Return whether a line was there before, word for word; otherwise remember it."""
        return _met(self._lines, repr(values), line) is not None

    def drops(self, *, tells_event: bool) -> bool:
        """Return whether a line that is there again is left out, and count it.

        Such a line tells one event where it has the id of an event or order, or is no purchase and
        has a time to the second: nobody looks at the same twice within one.
        """
        drops = self._rule == "drop" or (self._rule == "" and tells_event)
        self.dropped += drops
        self.kept += not drops
        return drops

    def drops_event(self, event_id: Any, event: Event, line: int) -> bool:
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

    def drops_line(self, event: Event, line: int, tells_event: Callable[[], bool]) -> bool:
        """Return whether the line of an act without an id was there before in other words.

        `tells_event` says whether it tells of one event, and is asked only then.

        An order that is told again at another time, as pages of thanks do that are opened again,
        was bought once. Two lines at one time are two of its products.
        """
        if self._rule == "keep":
            return False
        if event["type"] in PAID and event["order"]:
            said = repr([event[name] for name in ("type", "order", "product", "quantity")])
            time = hash(event["at"])
            before = _met(self._orders, said, time)
            again = before is not None and before != time
            self.of_known_order += again
            return again
        if event["type"] == EventType.PURCHASE:
            return False
        before = _met(self._acts, repr([event.get(name) for name in OF_LINE]), line)
        again = before is not None and before != line and tells_event()
        self.said_again += again
        return again

    def drops_act(
        self, event_id: Any, lines: Sequence[Event], tells_event: Callable[[], bool]
    ) -> bool:
        """Return whether an act with all its lines was there before, and count it.

        As a server has it, an act is known again by its id and type, else what was bought by its
        order and lines, else an act by who did what at which instant.
        """
        if self._rule == "keep" or not lines:
            return False
        first = lines[0]
        said = sorted(f"{one['product']} {one['quantity']!r}" for one in lines)
        if event_id is not None and self._again(self._events, [event_id, first["type"]]):
            self.of_known_id += 1
            return True
        if first["type"] in PAID and first["order"]:
            bought = [first["type"], first["order"], *said]
            again = self._again(self._orders, bought) and _is_one(first["type"], event_id)
            self.of_known_order += again
            return again
        if event_id is not None:
            return False
        again = self._again(self._acts, [*map(first.get, OF_ACT), *said]) and tells_event()
        self.said_again += again
        return again

    def see(self, events: Sequence[Event]) -> None:
        """Count acts that repeat the last one of their shopper within a second, and are kept."""
        for event in events:
            if event["type"] not in MEANT or not event["product"]:
                continue
            key = (event["type"], event["user"], event["product"], event["order"])
            before = self._newest.pop(key, None)
            self._newest[key] = event["at"]
            if len(self._newest) > MOST_NEWEST:
                del self._newest[next(iter(self._newest))]
            if before is not None and timedelta() < abs(event["at"] - before) <= A_MOMENT:
                self.a_moment_later += 1

    def _again(self, seen: dict[int, int], said: list[Any]) -> bool:
        return _met(seen, repr(said), 1) is not None

    def notes(self) -> list[str]:
        """Return what the report says of them."""
        key = "the key `duplicates` of the mapping's events says otherwise"
        counted = [
            f"{count:,} lines {what}; {key}"
            for what, count in (
                ("stand there again, word for word, and count once", self.dropped),
                ("tell an event again that has the same id, and count once", self.of_known_id),
                (
                    "tell an order again that was told before, as a page of thanks does that is "
                    "opened again, and count once",
                    self.of_known_order,
                ),
                (
                    "tell an act again in other words, by who did what at which instant, and count "
                    "once",
                    self.said_again,
                ),
                (
                    "stand there again, word for word, and each counts, as they have no id of an "
                    "order or event, and are purchases or have no time to the second",
                    self.kept,
                ),
            )
            if count
        ]
        if self.a_moment_later:
            counted.append(
                f"{self.a_moment_later:,} acts repeat the last one of their shopper within a "
                "second, and each counts; perhaps two tags send them"
            )
        return counted


def _is_one(kind: str, event_id: Any) -> bool:
    """Return whether equal lines of an order are one act: two refunds may have ids of their own."""
    return kind == EventType.PURCHASE or event_id is None


def _met(seen: dict[int, int], text: str, line: int) -> int | None:
    """Return the line on which a text was met before; otherwise remember it."""
    number = xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))
    if number in seen:
        return seen[number]
    seen[number] = line
    if len(seen) > MOST_REMEMBERED:
        del seen[next(iter(seen))]
    return None
