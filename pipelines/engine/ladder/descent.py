"""The descent of one request: the stage that is to answer it, and those that were skipped."""

from math import inf

from pipelines.engine.deadline import Deadline
from pipelines.engine.ladder.rungs import STEPS, Prices
from retrieval import Query, Stage
from retrieval.types import Because, Skipped

RANKERS = (Stage.RANKING, Stage.SHORT_RANKING)


class Descent:
    """Goes from the best stage for a request to cheaper ones, and never back."""

    def __init__(
        self, query: Query, stages: tuple[Stage, ...], prices: Prices, deadline: Deadline
    ) -> None:
        """Begin with the first of `stages`; the last answers whatever the time."""
        self._query = query
        self._stages = list(stages)
        self._prices = prices
        self._deadline = deadline
        self._skipped: dict[Stage, Because] = {}

    @property
    def stage(self) -> Stage:
        """The stage that is to answer."""
        return self._stages[0]

    def settle(self, spare_ms: float = inf) -> Stage:
        """Go down until the rest of the answer fits the time, and return its stage.

        `spare_ms` is what it may take before it makes others late.
        """
        while len(self._stages) > 1 and STEPS[self.stage] and self._step_down(spare_ms):
            pass  # a stage without steps takes no time
        return self.stage

    def settle_ranking(self) -> None:
        """Leave out as much of the ranker as does not fit the time; candidates are there."""
        while self.stage in RANKERS and self._step_down(inf):
            pass

    def _step_down(self, spare_ms: float) -> bool:
        """Go down one stage where what is left of this one does not fit the time."""
        left_ms = self._deadline.left_ms()
        price = self._prices.of(self._query, self.stage, self._deadline.timings_ms)
        if price < left_ms and price <= spare_ms:
            return False
        self._skip("deadline" if price >= left_ms else "load")
        return True

    def leave_ranking(self, because: Because) -> None:
        """Go down to the stage behind the ranker."""
        while self.stage in RANKERS:
            self._skip(because)

    def fall(self, failed: tuple[Stage, ...]) -> bool:
        """Go down below the stages that failed together; False where nothing is below."""
        rest = [stage for stage in self._stages if stage not in failed]
        while rest and self._stages != rest:
            self._skip("failure")
        return bool(rest)

    def drop(self) -> None:
        """Leave out a stage that has no answer to such a request."""
        self._stages.pop(0)

    def skipped(self) -> tuple[Skipped, ...]:
        """Return what was skipped, the best first."""
        answer_ms = self._prices.of(self._query, self.stage)
        return tuple(
            Skipped(stage=stage, because=because, saved_ms=self._saved(stage, because, answer_ms))
            for stage, because in self._skipped.items()
        )

    def _saved(self, stage: Stage, because: Because, answer_ms: float) -> float:
        if because == "failure":
            return 0.0
        return round(max(self._prices.of(self._query, stage) - answer_ms, 0.0), 3)

    def _skip(self, because: Because) -> None:
        self._skipped[self._stages.pop(0)] = because
