"""Trains the ranker on requests of the past: what was proposed, and what came of it."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ranking.network.cross_attention import CrossAttentionRanker
from ranking.network.examples import Example, ExampleBatch, RankedProducts, collate, thinned
from ranking.network.losses import ORDER_LOSSES, VALUE_LOSSES
from ranking.network.model import Model, RankerSettings
from ranking.network.shape import OUTCOMES
from ranking.network.validation import mean_ndcg, strongest
from retrieval.context_facts import FactVocabulary
from retrieval.learning_rate import Schedule
from retrieval.training_loop import TrainingPlan, TrainingProgress, Weights, fit

SCHEDULE = Schedule(start=0.04)
MOST_SAMPLED = 100_000  # candidates, from which the bins are measured


class Progress(NamedTuple):
    """How far a training is."""

    ndcg_by_epoch: tuple[float, ...] = ()
    best: Weights | None = None


class TrainedRanker(NamedTuple):
    """The best model of a training, what it orders by, and its nDCG by epoch on validation."""

    model: Model
    outcome: str
    ndcg_by_epoch: tuple[float, ...]


@runtime_checkable
class Keeper(Protocol):
    """Keeps an unfinished training, so that a killed one goes on."""

    def load(self, model: Model, optimizer: torch.optim.Optimizer) -> Progress:
        """Bring model and optimizer back to where they were; the start where nothing is kept."""
        ...

    def save(self, progress: Progress, model: Model, optimizer: torch.optim.Optimizer) -> None:
        """Keep all that the next epoch depends on."""
        ...


def train(
    examples: Sequence[Example],
    validation: Sequence[Example],
    products: RankedProducts,
    settings: RankerSettings,
    tell: Callable[[Iterator[int]], Iterator[int]] = iter,
    keeper: Keeper | None = None,
) -> TrainedRanker:
    """Fit a ranker and return the epoch that orders the validation requests best.

    It ends where `patience` epochs brought no gain, and after a break it goes on with the epoch
    that was under way.
    """
    torch.manual_seed(settings.seed)
    learner = _RankerLearner(examples, validation, products, settings, keeper)
    plan = TrainingPlan(
        epochs=settings.epochs,
        steps_an_epoch=learner.steps_an_epoch,
        learning_rate=settings.learning_rate,
        schedule=SCHEDULE,
        patience=settings.patience,
    )
    fit(learner, plan, lambda steps, _: tell(steps), learner.progress())
    return TrainedRanker(learner.module.eval(), learner.outcome, learner.ndcg_by_epoch)


class _RankerLearner:
    """Learns from examples in an order that each epoch draws anew."""

    def __init__(
        self,
        examples: Sequence[Example],
        validation: Sequence[Example],
        products: RankedProducts,
        settings: RankerSettings,
        keeper: Keeper | None,
    ) -> None:
        self._examples, self._validation, self._products = examples, validation, products
        self._settings, self._keeper = settings, keeper
        self.outcome = strongest(examples)
        facts = FactVocabulary.of(one.context.facts for one in examples)
        self.module = Model(settings, products, facts)
        _fit_scale(self.module.ranker, examples)
        self.steps_an_epoch = -(-len(examples) // settings.batch_size)
        rate = settings.learning_rate
        self.optimizer = torch.optim.AdamW(self.module.parameters(), rate, weight_decay=0.01)
        before = keeper.load(self.module, self.optimizer) if keeper else Progress()
        self.ndcg_by_epoch, self._best = before

    def progress(self) -> TrainingProgress:
        """Return how far a training was that is gone on with."""
        ndcgs = self.ndcg_by_epoch
        if not ndcgs:
            return TrainingProgress()
        best = max(ndcgs)
        return TrainingProgress(len(ndcgs), ndcgs.index(best) + 1, best, self._best)

    def begin(self, epoch: int) -> None:
        """Draw an order, so that a broken training goes on the same."""
        step = epoch * self.steps_an_epoch
        torch.manual_seed(self._settings.seed + step)
        self._random = np.random.default_rng((self._settings.seed, step))
        self._order = self._random.permutation(len(self._examples))

    def take(self, step: int) -> None:
        """Learn from the next requests of the order."""
        settings = self._settings
        at = step % self.steps_an_epoch * settings.batch_size
        drawn = [self._examples[i] for i in self._order[at : at + settings.batch_size]]
        thin = [thinned(one, settings.candidates, self._random) for one in drawn]
        batch = collate(thin, self._products)
        torch.autograd.backward(loss(self.module(self._products, batch), batch, settings))
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def judge(self) -> float:
        """Return the nDCG on the validation requests."""
        ndcg = mean_ndcg(self.module, self._validation, self._products, self.outcome)
        self.ndcg_by_epoch = (*self.ndcg_by_epoch, ndcg)
        return ndcg

    def keep(self, progress: TrainingProgress) -> None:
        """Hand it to the keeper."""
        if self._keeper:
            done = Progress(self.ndcg_by_epoch, progress.best)
            self._keeper.save(done, self.module, self.optimizer)


def loss(
    logits: Float[Tensor, "b c o"], batch: ExampleBatch, settings: RankerSettings
) -> Float[Tensor, ""]:
    """Return what is learnt from: order and value of each outcome, by their weights."""
    order, value = ORDER_LOSSES[settings.order_loss], VALUE_LOSSES[settings.value_loss]
    columns = zip(*(x.unbind(-1) for x in (logits, batch.labels, batch.weights)), strict=True)
    parts = [
        settings.outcome_weights.get(outcome, 0.0) * (order(*column) + value(*column))
        for outcome, column in zip(OUTCOMES, columns, strict=True)
        if column[-1].any()
    ]
    return torch.stack(parts).sum()


def _fit_scale(ranker: CrossAttentionRanker, examples: Sequence[Example]) -> None:
    """Measure each feature's mean and deviation, so that the network sees numbers near 1."""
    sample = np.concatenate([example.features for example in examples[:: 1 + len(examples) // 500]])
    drawn = np.random.default_rng(0).permutation(len(sample))[:MOST_SAMPLED]
    ranker.from_features.fit(torch.from_numpy(sample[drawn]))
