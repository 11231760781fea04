"""Delays and breaks each stage of an answer, and compares the label of the answer with the rule.

    python -m benchmarks stage_chaos --releases releases --requests 10000

Faults and requests are drawn by a seed. A delay moves the clock that deadlines are read from past
the deadline, and nobody sleeps. Any wrong label ends the run with the fault and the request.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, NamedTuple

import numpy as np

from benchmarks.machine import run_benchmark
from pipelines.engine import deadline
from pipelines.engine.engine import Engine
from retrieval import Query, Slate, Stage
from retrieval.types import Because

DEADLINE_MS = 60_000
STEPS = ("filter", "encode", "rank", "compose", "popular")
KINDS: tuple["Kind", ...] = ("delay", "raise", "nan")
Kind = Literal["delay", "raise", "nan"]
Call = Callable[..., Any]


class Fault(NamedTuple):
    """What happens where: at a step, or at a channel by its name."""

    place: str
    kind: Kind


class Label(NamedTuple):
    """What an answer has to say; no stage: an error."""

    stage: Stage | None
    because: Because | None = None
    whole: bool = True  # whether every channel answered


class Broken(Exception):
    """What a broken stage raises."""


class Clock:
    """The clock of deadlines: it stands still until something is delayed."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return the seconds, as `perf_counter` does."""
        return self.seconds


class Chaos:
    """A tolerant engine in which one fault at a time happens.

    `silent`: the place of the last fault had nothing to say to the request, so no number was lost.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._clock = Clock()
        self.silent = False
        self._stages = engine._stages
        retriever = self._stages.retrieval._retriever
        self._channels = {
            searching: {c.name: c for c in channels}
            for searching, channels in (
                (True, retriever._searching),
                (False, retriever._recommending),
            )
        }

    def places(self, query: Query) -> list[str]:
        """Return where something can happen to a request: steps, and the channels it asks."""
        names = self._stages.retrieval.channels_for(query)
        return [*STEPS, *(name for name in names if name != "towers")]

    def answer(self, query: Query, fault: Fault) -> Slate:
        """Return the answer to a request while a fault happens; prices begin at nothing."""
        self.silent = False
        self._engine._ladder.prices.forget()
        self._engine.probe.forget()
        with self._happening(fault, query), _replaced(deadline, "perf_counter", self._clock):
            return self._engine.answer(query)

    def expected(self, query: Query, fault: Fault, *, cached: bool) -> Label:
        """Return what the answer, given just now, had to say, as docs/architecture.md has it."""
        ranks = self._engine.probe.ranks(query)
        best = Stage.RANKING if ranks else Stage.RETRIEVAL
        cheap = Stage.CACHED if cached else Stage.POPULAR
        below = Stage.WORDS if query.text else cheap
        late: Because = "deadline"
        if fault.place == "popular" or not self._touches(query, fault):
            return Label(best)
        if fault.kind == "delay":
            if fault.place in ("filter", "encode"):
                return Label(cheap, late, whole=cached)
            is_before_ranking = fault.place not in ("rank", "compose")
            return Label(Stage.RETRIEVAL, late) if ranks and is_before_ranking else Label(best)
        if fault.place in ("filter", "compose"):
            return Label(Stage.CACHED if cached else None, "failure")
        if fault.place == "encode":
            return Label(below, "failure", whole=below is Stage.CACHED)
        if fault.place == "rank":
            return Label(Stage.RETRIEVAL, "failure")
        return Label(best, whole=False)

    def _touches(self, query: Query, fault: Fault) -> bool:
        """Tell whether a fault can happen to a request at all."""
        if fault.place == "rank":
            return self._engine.probe.ranks(query)
        if fault.kind == "nan":
            has_vector = fault.place == "encode" and bool(query.text)
            return has_vector or (fault.place not in STEPS and not self.silent)
        return True

    @contextmanager
    def _happening(self, fault: Fault, query: Query) -> Iterator[None]:
        target, name = self._target(fault, query)
        if target is None:
            yield
            return
        original = getattr(target, name)
        with _replaced(target, name, self._wrapped(fault, original)):
            yield

    def _target(self, fault: Fault, query: Query) -> tuple[Any, str]:
        """Return the object and the name of its method at which a fault happens."""
        stages = self._stages
        if fault == ("encode", "nan"):
            return self._engine.probe.encoder, "texts"
        places = {
            "filter": (stages.eligibility, "of"),
            "encode": (stages.encoder, "encode"),
            "rank": (stages.ranking._ranker, "rank"),
            "compose": (stages.composer, "compose"),
            "popular": (stages.popular, "best"),
        }
        if fault.place in places:
            return places[fault.place]
        return self._channels[query.is_search][fault.place], "propose"

    def _wrapped(self, fault: Fault, original: Call) -> Call:
        def call(*args: Any, **options: Any) -> Any:
            if fault.kind == "delay":
                self._clock.seconds += 2 * DEADLINE_MS / 1_000
            elif fault.kind == "raise" and not options.get("by_words"):
                raise Broken(fault.place)
            given = original(*args, **options)
            self.silent = given is None
            return _without_numbers(given) if fault.kind == "nan" else given

        return call


def _without_numbers(given: Any) -> Any:
    """Return vectors, hits or the answer of a ranker with NaN in place of the numbers."""
    if isinstance(given, np.ndarray):
        return np.full_like(given, np.nan)
    for field in ("scores", "logits"):
        if hasattr(given, field):
            return given._replace(**{field: np.full_like(getattr(given, field), np.nan)})
    return given


@contextmanager
def _replaced(target: Any, name: str, value: Any) -> Iterator[None]:
    """Put a value in place of an attribute for a while."""
    held = vars(target).get(name)
    setattr(target, name, value)
    try:
        yield
    finally:
        if held is None:
            delattr(target, name)
        else:
            setattr(target, name, held)


def label_of(answer: Callable[[], Slate]) -> Label:
    """Return what an answer says of itself."""
    try:
        slate = answer()
    except Broken:
        return Label(None, "failure")
    reasons = {one.because for one in slate.skipped}
    assert len(reasons) <= 1, f"one fault, and {len(reasons)} reasons: {slate.skipped}"
    return Label(slate.stage, next(iter(reasons), None), slate.coverage == 1)


def wrong_labels(
    chaos: Chaos, queries: Sequence[Query], seed: int, count: int
) -> Iterator[tuple[Query, Fault, Label, Label]]:
    """Ask `count` times, and return each answer whose label is not what it should be."""
    random = np.random.default_rng(seed)
    cached = {(query.text, query.filter) for query in queries if query.user is None}
    for query in queries:
        chaos.answer(query, Fault("popular", "delay"))  # which nobody reaches
    for _ in range(count):
        query = queries[int(random.integers(len(queries)))]
        fault = Fault(str(random.choice(chaos.places(query))), KINDS[int(random.integers(3))])
        got = label_of(lambda: chaos.answer(query, fault))  # noqa: B023 - called at once
        known = (query.text, query.filter) in cached
        label = chaos.expected(query, fault, cached=known)
        if got != label._replace(whole=got.whole if label.stage is None else label.whole):
            yield query, fault, label, got


def queries_of(users: Sequence[str], texts: Sequence[str]) -> list[Query]:
    """Return searches and recommendations with and without a shopper, some with a filter."""
    asked = [Query(user=user, deadline_ms=DEADLINE_MS) for user in (None, *users)]
    for text in texts:
        asked += [
            Query(text=text, user=user, deadline_ms=DEADLINE_MS) for user in (None, *users[:1])
        ]
        asked.append(Query(text=text, filter="price > 3", deadline_ms=DEADLINE_MS))
        asked.append(Query(text=f"{text} 1", user=users[0], deadline_ms=DEADLINE_MS))
    return asked


def main() -> None:
    """Ask, and print how many labels are right and how long the slowest answer took."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--releases", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)  # thousands of failures, all of them meant
    engine = Engine.open(given.releases, warm=True, tolerant=True)
    queries = queries_of(engine.shoppers(20), ("oat milk", "tomato soup", "green tea", "qqqq"))
    start = perf_counter()
    for query, fault, label, got in wrong_labels(
        Chaos(engine), queries, given.seed, given.requests
    ):
        sys.exit(f"{fault} of {query}: {got} instead of {label}")
    seconds = perf_counter() - start
    print(f"{given.requests:,} requests, each label right, in {seconds:,.0f} s")


if __name__ == "__main__":
    run_benchmark(main)
