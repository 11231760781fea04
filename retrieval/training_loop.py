"""The loop of every training in epochs: schedule, early stop, time budget and the best epoch."""

import math
from collections.abc import Callable, Iterator
from time import monotonic
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from retrieval.learning_rate import Schedule, set_learning_rate

Weights = dict[str, Tensor]
Tell = Callable[[Iterator[int], int], Iterator[int]]  # passes steps through; how many there are


class TrainingPlan(NamedTuple):
    """How long a training may take, and how its learning rate goes."""

    epochs: int
    steps_an_epoch: int
    learning_rate: float  # the highest
    schedule: Schedule
    patience: int = 0  # epochs without a gain, after which it ends; 0: never
    max_seconds: float = 0.0  # 0: no end
    time_shares: int = 0  # time counts in so many shares, to be the same every time; 0: as it goes
    ties_gain: bool = False  # whether an epoch as good as the best one takes its place

    @property
    def steps(self) -> int:
        """How many steps there are if nothing ends it before."""
        return self.epochs * self.steps_an_epoch

    def progress(self, step: int, seconds: float) -> float:
        """Return the share that is done, by steps or by time, whichever is further; 1: the end."""
        by_time = seconds / self.max_seconds if self.max_seconds else 0.0
        if self.time_shares and by_time < 1:
            by_time = int(self.time_shares * by_time) / self.time_shares
        return max(step / self.steps, by_time)


class TrainingProgress(NamedTuple):
    """How far a training is, after whole epochs."""

    epochs: int = 0
    best_epoch: int = 0  # from 1; 0: none was better than the start
    best_worth: float = -math.inf  # of that epoch on validation, the higher the better
    best: Weights | None = None  # None: the weights as they are
    seconds: float = 0.0

    def is_stale(self, patience: int) -> bool:
        """Tell whether the last `patience` epochs brought no gain."""
        return patience > 0 and self.epochs - self.best_epoch >= patience


NOTHING_DONE = TrainingProgress()


@runtime_checkable
class Learner(Protocol):
    """What is trained: it gives its step and its validation."""

    @property
    def module(self) -> nn.Module:
        """The module whose weights are kept."""
        ...

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """What changes the weights."""
        ...

    def begin(self, epoch: int) -> None:
        """Draw the order of an epoch, counted from 0, from its number and the seed alone."""
        ...

    def take(self, step: int) -> None:
        """Take a step, counted from 0 over all epochs, at the learning rate of the optimizer."""
        ...

    def judge(self) -> float | None:
        """Return the worth of the weights; None where nothing is held out: the last is the best."""
        ...

    def keep(self, progress: TrainingProgress) -> None:
        """Keep all that the next epoch depends on, so that a killed training goes on."""
        ...


def fit(
    learner: Learner,
    plan: TrainingPlan,
    tell: Tell = lambda steps, count: steps,
    progress: TrainingProgress = NOTHING_DONE,
) -> TrainingProgress:
    """Train until the epochs, the seconds or the patience are over; the best epoch stays.

    It goes on after the epochs of `progress`. Where the seconds are over within an epoch, what was
    learnt of it is judged as well; one step is always taken.
    """
    start, first = monotonic() - progress.seconds, progress.epochs * plan.steps_an_epoch
    is_judged = True
    for step in tell(iter(range(first, plan.steps)), max(plan.steps - first, 0)):
        epoch, place = divmod(step, plan.steps_an_epoch)
        share = plan.progress(step, monotonic() - start)
        if (step and share >= 1) or (place == 0 and progress.is_stale(plan.patience)):
            break
        if place == 0:
            learner.begin(epoch)
        set_learning_rate(learner.optimizer, plan.learning_rate * plan.schedule.at(share))
        learner.take(step)
        is_judged = place + 1 == plan.steps_an_epoch
        if is_judged:
            progress = _judged(learner, plan, progress, monotonic() - start)
            learner.keep(progress)
    if not is_judged:  # the time was over within an epoch
        progress = _judged(learner, plan, progress, monotonic() - start)
    if progress.best is not None:
        learner.module.load_state_dict(progress.best)
    return progress._replace(seconds=monotonic() - start)


def copy_weights(module: nn.Module) -> Weights:
    """Return the weights of a module as they are now."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def _judged(
    learner: Learner, plan: TrainingPlan, progress: TrainingProgress, seconds: float
) -> TrainingProgress:
    worth = learner.judge()
    done = progress._replace(epochs=progress.epochs + 1, seconds=seconds)
    if worth is None:
        return done._replace(best_epoch=done.epochs)
    if worth > done.best_worth or (plan.ties_gain and worth == done.best_worth):
        best = copy_weights(learner.module)
        return done._replace(best_epoch=done.epochs, best_worth=worth, best=best)
    return done
