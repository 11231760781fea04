"""Trains the towers on requests whose outcome is known: the loop on one screen, then its parts."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from jaxtyping import Float32

from retrieval.learning_rate import Schedule
from retrieval.towers.batch_loss import BatchLoss
from retrieval.towers.columns import PastColumns, TowerColumns
from retrieval.towers.model import Towers, embed_products
from retrieval.towers.sampling import (
    Requests,
)
from retrieval.towers.settings import TowerTrainingSettings
from retrieval.training_loop import (
    Tell,
    TrainingPlan,
    TrainingProgress,
    copy_weights,
    fit,
)

# The cosine counts from the first step, so the rate jumps from 1 to 0.994 where the warm-up ends.
SCHEDULE = Schedule(warm_up=0.05, floor=0.01, cosine_from=0.0)
TIME_SHARES = 20  # so that a training far from its limit is the same every time

Measure = Callable[[Towers, Float32[np.ndarray, "n d"]], float]  # of towers and all vectors


class Epoch(NamedTuple):
    """What one epoch came to."""

    loss: float
    worth: float  # on validation, the higher the better


class TrainedTowers(NamedTuple):
    """The towers of the best epoch, the vectors of all products, and how it went."""

    towers: Towers
    vectors: Float32[np.ndarray, "n d"]
    epochs: tuple[Epoch, ...]
    best: int  # number of the epoch that was kept, from 1
    seconds: float


def train(
    towers: Towers,
    columns: TowerColumns | PastColumns,
    requests: Requests,
    measure: Measure,
    settings: TowerTrainingSettings,
    tell: Tell = lambda steps, count: steps,
) -> TrainedTowers:
    """Fit the towers and return the epoch that `measure` finds best, among those trained.

    Columns of the past are what was known where each period of the requests starts; without them
    every request sees the products as they are now. Runs in as many processes as accelerate was
    launched with: each has its share of the requests and of the columns, all columns are exchanged,
    so that the loss is that of one process.
    """
    torch.manual_seed(settings.seed)
    past = columns if isinstance(columns, PastColumns) else PastColumns(columns)
    learner = _TowerLearner(towers, past, requests, measure, settings)
    plan = TrainingPlan(
        epochs=settings.epochs,
        steps_an_epoch=learner.steps_an_epoch,
        learning_rate=settings.learning_rate,
        schedule=SCHEDULE,
        patience=settings.patience,
        max_seconds=settings.max_seconds,
        time_shares=TIME_SHARES,
    )
    done = fit(learner, plan, tell, TrainingProgress(best=copy_weights(towers)))
    vectors = embed_products(towers.eval(), past.now)
    return TrainedTowers(towers, vectors, tuple(learner.epochs), done.best_epoch, done.seconds)


class _TowerLearner:
    """Takes steps in as many processes as there are, each with its share of the requests."""

    def __init__(
        self,
        towers: Towers,
        columns: PastColumns,
        requests: Requests,
        measure: Measure,
        settings: TowerTrainingSettings,
    ) -> None:
        self._accelerator = Accelerator(
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)]
        )
        rate = settings.learning_rate
        optimizer = torch.optim.AdamW(towers.parameters(), rate, weight_decay=0.01)
        self._model, self.optimizer = self._accelerator.prepare(towers, optimizer)
        self._stepper = BatchLoss(
            towers, self._model, self._accelerator, columns, requests, settings
        )
        self._measure = measure
        self._losses: list[float] = []
        self.module = towers
        self.steps_an_epoch = self._stepper.steps_an_epoch
        self.epochs: list[Epoch] = []

    def begin(self, epoch: int) -> None:
        """Draw nothing: the sampler draws by the number of the step."""

    def take(self, step: int) -> None:
        """Learn from one batch."""
        loss = self._stepper.loss(step)
        self._accelerator.backward(loss)
        self._accelerator.clip_grad_norm_(self._model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._losses.append(float(self._accelerator.reduce(loss.detach(), "mean")))

    def judge(self) -> float:
        """Measure the towers with product vectors made anew."""
        worth = self._measure(self.module, self._stepper.refresh_now())
        self.epochs.append(Epoch(float(np.mean(self._losses)), worth))
        self._losses = []
        return worth

    def keep(self, progress: TrainingProgress) -> None:
        """Keep nothing: a training of the towers that was killed begins anew."""
