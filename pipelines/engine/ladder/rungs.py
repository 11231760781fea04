"""The rungs of the ladder: what an answer of each stage consists of, and what it costs."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from pipelines.engine.request import request_kind
from retrieval import Query, Stage

FEW_RANKED = 60  # candidates that are ranked where there is little time
SHORT_RANK = "short rank"  # the step of ranking so few
WORDS, POPULAR = "words", "popular"  # the steps that stand in for encode, retrieve and rank
MODELS = ("filter", "encode", "retrieve")
STEPS: Mapping[Stage, tuple[str, ...]] = {  # the best answer first
    Stage.RANKING: (*MODELS, "rank", "compose"),
    Stage.SHORT_RANKING: (*MODELS, SHORT_RANK, "compose"),
    Stage.RETRIEVAL: (*MODELS, "compose"),
    Stage.WORDS: ("filter", WORDS, "compose"),
    Stage.CACHED: (),
    Stage.POPULAR: ("filter", POPULAR, "compose"),
}
BY_MODELS = (Stage.RANKING, Stage.SHORT_RANKING, Stage.RETRIEVAL)
WEIGHT = 0.1  # of the newest answer, in an exponentially weighted mean
FADING = 0.99  # of a price, for each answer in which its step was too dear to be tried


class Price(NamedTuple):
    """The milliseconds of one step, and from how many answers they are known."""

    ms: float
    answers: int


class Prices:
    """What each step of an answer takes, by kind of request, from the answers that were given.

    A step that nobody has measured costs nothing, and one that is not tried becomes cheaper bit by
    bit: else an answer that was slow once would never be tried again.
    """

    def __init__(self, short_share: float) -> None:
        """Expect a short ranking to take this share of a full one, until it is measured."""
        self._share = min(short_share, 1.0)
        self._steps: dict[tuple[str, str], Price] = {}

    def of(self, query: Query, stage: Stage, done: Collection[str] = ()) -> float:
        """Return the milliseconds that an answer of a stage takes, without the steps `done`."""
        kind = _kind(query)
        return sum(self._step(kind, step) for step in STEPS[stage] if step not in done)

    def note(self, query: Query, timings_ms: Mapping[str, float], stage: Stage) -> None:
        """Take in what each step of an answer took."""
        kind = _kind(query)
        for step, ms in timings_ms.items():
            if step == "rank" and stage is not Stage.RANKING:
                step = SHORT_RANK
            self._take(kind, step, ms)

    def fade(self, query: Query, skipped: Collection[Stage], stage: Stage) -> None:
        """Make the steps cheaper that only the skipped stages have."""
        kind = _kind(query)
        for step in {step for one in skipped for step in STEPS[one]} - {*STEPS[stage]}:
            price = self._steps.get((kind, step))
            if price is not None:
                self._steps[kind, step] = price._replace(ms=FADING * price.ms)

    def take_over(self, old: "Prices") -> None:
        """Begin with the prices of another release."""
        self._steps = {step: price._replace(answers=1) for step, price in old._steps.items()}

    def forget(self) -> None:
        """Forget all, such as what the first answers took, which open what later ones use."""
        self._steps.clear()

    def _step(self, kind: str, step: str) -> float:
        price = self._steps.get((kind, step))
        if price is None and step == SHORT_RANK:
            return self._share * self._step(kind, "rank")
        return 0.0 if price is None else price.ms

    def _take(self, kind: str, step: str, ms: float) -> None:
        old = self._steps.get((kind, step), Price(0.0, 0))
        weight = max(WEIGHT, 1 / (old.answers + 1))
        self._steps[kind, step] = Price(old.ms + weight * (ms - old.ms), old.answers + 1)


def _kind(query: Query) -> str:
    """Return what tells requests of about the same price from others."""
    given = "" if query.candidates is None else " of given products"
    return f"{request_kind(query)}{given}"
