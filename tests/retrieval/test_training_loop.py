from collections.abc import Sequence
from itertools import count

import pytest
import torch
from torch import nn

import retrieval.training_loop as training_loop
from retrieval.learning_rate import Schedule
from retrieval.training_loop import TrainingPlan, TrainingProgress, fit

PLAN = TrainingPlan(epochs=4, steps_an_epoch=3, learning_rate=0.5, schedule=Schedule())


class Counting:
    """Adds one to its only weight in each step, and is worth what it is said to be."""

    def __init__(self, worths: Sequence[float | None]) -> None:
        self.module = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.module.weight)
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=1.0)
        self._worths = iter(worths)
        self.begun: list[int] = []
        self.steps: list[int] = []
        self.rates: list[float] = []
        self.kept: list[int] = []

    def begin(self, epoch: int) -> None:
        self.begun.append(epoch)

    def take(self, step: int) -> None:
        with torch.no_grad():
            self.module.weight.add_(1)
        self.steps.append(step)
        self.rates.append(self.optimizer.param_groups[0]["lr"])

    def judge(self) -> float | None:
        return next(self._worths)

    def keep(self, progress: TrainingProgress) -> None:
        self.kept.append(progress.epochs)

    @property
    def weight(self) -> float:
        return float(self.module.weight.item())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a second whenever somebody looks at it."""
    seconds = count()
    monkeypatch.setattr(training_loop, "monotonic", lambda: float(next(seconds)))


def test_the_weights_of_the_best_epoch_stay() -> None:
    learner = Counting([0.1, 0.4, 0.3, 0.4])

    done = fit(learner, PLAN)

    assert (done.epochs, done.best_epoch, done.best_worth) == (4, 2, 0.4)
    assert learner.weight == 6  # after two epochs of three steps
    assert (learner.begun, learner.steps, learner.kept) == (
        [0, 1, 2, 3],
        [*range(12)],
        [1, 2, 3, 4],
    )


def test_where_ties_gain_the_later_of_two_equal_epochs_stays() -> None:
    learner = Counting([0.1, 0.4, 0.3, 0.4])

    assert fit(learner, PLAN._replace(ties_gain=True)).best_epoch == 4


def test_epochs_without_a_gain_end_a_training() -> None:
    learner = Counting([0.4, 0.3, 0.2, 0.9])

    done = fit(learner, PLAN._replace(patience=2))

    assert (done.epochs, done.best_epoch, learner.weight) == (3, 1, 3.0)


def test_without_validation_the_last_epoch_is_the_best() -> None:
    learner = Counting([None] * 4)

    done = fit(learner, PLAN._replace(patience=1))

    assert (done.epochs, done.best_epoch, done.best, learner.weight) == (4, 4, None, 12.0)


def test_the_rate_follows_the_schedule_over_all_epochs() -> None:
    learner = Counting([0.1] * 4)

    fit(learner, PLAN)

    assert learner.rates == [0.5 * PLAN.schedule.at(step / 12) for step in range(12)]


def test_a_training_goes_on_after_the_epochs_that_are_done() -> None:
    learner, totals = Counting([0.1, 0.2]), []

    def tell(steps, total):
        totals.append(total)
        return steps

    before = TrainingProgress(epochs=2, best_epoch=1, best_worth=0.9, seconds=5.0)
    done = fit(learner, PLAN, tell, before)

    assert (learner.begun, learner.steps, totals) == ([2, 3], [*range(6, 12)], [6])
    assert (done.epochs, done.best_epoch) == (4, 1)
    assert done.seconds >= 5


def test_a_training_that_was_stale_is_not_gone_on_with() -> None:
    learner = Counting([])

    fit(learner, PLAN._replace(patience=1), progress=TrainingProgress(epochs=2, best_epoch=1))

    assert learner.steps == []


@pytest.mark.usefixtures("clock")
def test_the_seconds_end_a_training_within_an_epoch_which_is_judged() -> None:
    learner = Counting([0.1, 0.2])

    done = fit(learner, PLAN._replace(max_seconds=6))

    assert len(learner.steps) == 4
    assert (done.epochs, done.best_epoch, learner.kept) == (2, 2, [1])


@pytest.mark.usefixtures("clock")
def test_however_short_the_time_one_step_is_taken() -> None:
    learner = Counting([0.1])

    assert fit(learner, PLAN._replace(max_seconds=1e-6)).epochs == 1
    assert learner.steps == [0]


def test_time_in_shares_counts_only_when_a_share_is_full() -> None:
    plan = PLAN._replace(max_seconds=100.0, time_shares=20)

    assert [plan.progress(1, at) for at in (4.0, 49.0, 99.0, 100.0)] == [1 / 12, 0.45, 0.95, 1.0]
    assert plan._replace(time_shares=0).progress(1, 49.0) == 0.49
