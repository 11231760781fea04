"""Trains the ranker on requests of the past: what was proposed, and what came of it."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ranking.network.cross_attention import OUTCOMES, CrossAttentionRanker
from ranking.network.examples import Example, ExampleBatch, RankedProducts, collate, thinned
from ranking.network.losses import ORDER_LOSSES, VALUE_LOSSES
from ranking.network.model import Model, RankerSettings
from ranking.network.validation import mean_ndcg, strongest
from retrieval.learning_rate import Schedule, set_learning_rate

SCHEDULE = Schedule(start=0.04)
MOST_SAMPLED = 100_000  # candidates, from which the bins are measured
Weights = dict[str, Tensor]


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
    outcome = strongest(examples)
    model = Model(settings, products)
    _fit_scale(model.ranker, examples)
    steps = -(-len(examples) // settings.batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=0.01)
    progress = keeper.load(model, optimizer) if keeper else Progress()
    first = len(progress.ndcg_by_epoch) * steps
    for step in tell(iter(range(first, settings.epochs * steps))):
        if step % steps == 0:
            if _stale(progress.ndcg_by_epoch, settings.patience):
                break
            torch.manual_seed(settings.seed + step)  # so that a broken training goes on the same
            random = np.random.default_rng((settings.seed, step))
            order = random.permutation(len(examples))
        at = step % steps * settings.batch_size
        drawn = [examples[i] for i in order[at : at + settings.batch_size]]
        batch = collate([thinned(e, settings.candidates, random) for e in drawn], products)
        share = SCHEDULE.at(step / (settings.epochs * steps))
        set_learning_rate(optimizer, settings.learning_rate * share)
        torch.autograd.backward(loss(model(products, batch), batch, settings))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % steps == 0:
            progress = _judged(progress, model, mean_ndcg(model, validation, products, outcome))
            if keeper:
                keeper.save(progress, model, optimizer)
    if progress.best is not None:
        model.load_state_dict(progress.best)
    return TrainedRanker(model.eval(), outcome, progress.ndcg_by_epoch)


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


def _judged(progress: Progress, model: Model, ndcg: float) -> Progress:
    is_best = ndcg > max(progress.ndcg_by_epoch, default=-1.0)
    return Progress((*progress.ndcg_by_epoch, ndcg), _copy(model) if is_best else progress.best)


def _stale(ndcgs: Sequence[float], patience: int) -> bool:
    return len(ndcgs) > patience and max(ndcgs[-patience:]) <= max(ndcgs[:-patience])


def _fit_scale(ranker: CrossAttentionRanker, examples: Sequence[Example]) -> None:
    """Measure each feature's mean and deviation, so that the network sees numbers near 1."""
    sample = np.concatenate([example.features for example in examples[:: 1 + len(examples) // 500]])
    drawn = np.random.default_rng(0).permutation(len(sample))[:MOST_SAMPLED]
    ranker.from_features.fit(torch.from_numpy(sample[drawn]))


def _copy(model: Model) -> Weights:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}
