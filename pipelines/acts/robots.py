"""Tells robots from people: by what a browser calls itself, and by how fast it acts."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from threading import Lock

import pyarrow as pa
import pyarrow.compute as pc
from cachetools import LRUCache
from crawlerdetect.providers.crawlers import data as CRAWLERS
from crawlerdetect.providers.exclusions import data as EXCLUSIONS

from retrieval.types import EventType

MOST_VIEWS = 60  # of one person in a minute
MOST_PRODUCTS = 300  # of one person in an hour
MOST_PEOPLE = 100_000  # whose acts are counted; who has acted longest ago is forgotten
MOST_AGENTS = 4_096  # that are known
MINUTE, HOUR = 60, 3_600
PAID = (EventType.PURCHASE, EventType.REFUND)  # which robots do not
AHEAD = "(?!"  # RE2, which is linear in the length of a text, does not look ahead
PATTERN = "|".join(one for one in CRAWLERS if AHEAD not in one)
BROWSER = "|".join(EXCLUSIONS)  # parts of a name that say nothing


class RobotNames:
    """Finds robots by the names of their agents, and remembers the names.

    New names are looked for by one thread at a time: each search builds its automaton anew.
    """

    def __init__(self) -> None:
        self._known: LRUCache[str, bool] = LRUCache(MOST_AGENTS)
        self._lock = Lock()

    def are(self, agents: Sequence[str]) -> list[bool]:
        """Tell for each agent whether it calls itself a robot; none does that has no name."""
        with self._lock:
            return self._are(agents)

    def _are(self, agents: Sequence[str]) -> list[bool]:
        names = {agent: self._known.get(agent) for agent in agents if agent}
        new = [name for name, is_robot in names.items() if is_robot is None]
        if new:
            plain = pc.replace_substring_regex(pa.array(new), f"(?i){BROWSER}", "")
            found = pc.match_substring_regex(plain, PATTERN, ignore_case=True).to_pylist()
            names |= dict(zip(new, found, strict=True))
            self._known.update(zip(new, found, strict=True))
        return [bool(names.get(agent)) for agent in agents]


@dataclass(slots=True)
class _Pace:
    """How fast somebody acts."""

    minute: int = -1
    views: int = 0
    hour: int = -1
    products: set[str] = field(default_factory=set)
    robot_hour: int = -1  # in which it was too fast


class Paces:
    """Knows who acts faster than people; for one thread.

    Who has been too fast is a robot until the end of that hour; what was paid for is a person's.
    """

    def __init__(self) -> None:
        self._paces: OrderedDict[str, _Pace] = OrderedDict()

    def is_too_fast(
        self, person: str, seconds: int, kind: EventType, products: Iterable[str]
    ) -> bool:
        """Tell whether a robot did an act, which is counted; `seconds` are since 1970."""
        pace = self._pace_of(person)
        minute, hour = seconds // MINUTE, seconds // HOUR
        if minute != pace.minute:
            pace.minute, pace.views = minute, 0
        if hour != pace.hour:
            pace.hour, pace.products = hour, set()
        if kind is EventType.VIEW:
            pace.views += 1
            pace.products.update(products)
        if pace.views > MOST_VIEWS or len(pace.products) > MOST_PRODUCTS:
            pace.robot_hour = hour
        return hour == pace.robot_hour and kind not in PAID

    def _pace_of(self, person: str) -> _Pace:
        pace = self._paces.setdefault(person, _Pace())
        self._paces.move_to_end(person)
        if len(self._paces) > MOST_PEOPLE:
            self._paces.popitem(last=False)
        return pace
