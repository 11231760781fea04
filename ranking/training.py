"""Trains the ranker on requests of the past: what was proposed, and what came of it."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int32, Int64
from torch import Tensor

from ranking.context import Context
from ranking.cross_attention import OUTCOMES, CrossAttentionRanker, ProductTokens, Shape
from ranking.features import FEATURES
from ranking.losses import ORDER_LOSSES, VALUE_LOSSES
from retrieval.scenes import FACT_BUCKETS

WARM_UP = 0.1  # share of the steps in which the learning rate rises
BINS = 16  # that a feature is parted into
MOST_SAMPLED = 100_000  # candidates, from which the bins are measured
WORTH_PAGE = 20  # validation counts what is right among the first so many
BY_STRENGTH = ("purchase", "cart", "click", "relevance")  # what a list is ordered by, if known
ALIKE = dict.fromkeys(OUTCOMES, 1.0)

Weights = dict[str, Tensor]


class Example(NamedTuple):
    """One past request: its candidates, and what came of each."""

    rows: Int64[np.ndarray, "c"]  # as retrieval ordered them
    features: Float32[np.ndarray, "c f"]
    labels: Float32[np.ndarray, "c o"]  # from 0 to 1 in the order of OUTCOMES; nan: not known
    context: Context
    weights: Float32[np.ndarray, "c"] | None = None  # 1 / propensity of being seen; None: all 1
    stands_for: Float32[np.ndarray, "c"] | None = None  # so many candidates; None: itself alone
    at_seconds: int = 0  # when it was asked, on the shop's clock

    def wanted(self, outcome: str = "purchase") -> Bool[np.ndarray, "c"]:
        """Tell which candidates this came of."""
        return np.asarray(self.labels[:, OUTCOMES.index(outcome)] > 0)

    def came(self) -> bool:
        """Tell whether it came to anything."""
        return bool(np.nan_to_num(self.labels).any())


def labels_of(**known: np.ndarray) -> Float32[np.ndarray, "c o"]:
    """Return the labels of a list of which only these outcomes are known."""
    length = len(next(iter(known.values())))
    columns = [known.get(outcome, np.full(length, np.nan)) for outcome in OUTCOMES]
    return np.stack(columns, axis=1).astype(np.float32)


class Products(NamedTuple):
    """What the product tokens are made from."""

    vectors: Float32[np.ndarray, "n v"]
    categories: Int32[np.ndarray, "n"]


class Settings(NamedTuple):
    """How the ranker looks and learns."""

    dim: int
    heads: int
    layers: int
    epochs: int
    learning_rate: float
    points: int = 16  # through which candidates see each other; 0: they do not
    batch_size: int = 16
    patience: int = 2  # epochs without a gain
    dropout: float = 0.2
    candidates: int = 300  # of a request in one step: what came to something, others by chance
    order_loss: str = "listwise"
    value_loss: str = "cross_entropy"
    outcome_weights: Mapping[str, float] = ALIKE
    seed: int = 0


class Batch(NamedTuple):
    """Requests of unequal length, padded; `kept` is False where a candidate is padding."""

    rows: Int64[Tensor, "b c"]
    features: Float[Tensor, "b c f"]
    labels: Float[Tensor, "b c o"]  # 0 where it is not known
    weights: Float[Tensor, "b c o"]  # 0 where it is not known
    kept: Bool[Tensor, "b c"]
    query: Float[Tensor, "b v"]
    recent: Int64[Tensor, "b r"]
    recent_facts: Float[Tensor, "b r 2"]
    facts: Int64[Tensor, "b f"]
    context_mask: Bool[Tensor, "b t"]


class Model(torch.nn.Module):
    """Tokens and ranker together, as they are trained; a release keeps the tokens computed."""

    def __init__(self, settings: Settings, products: Products) -> None:
        super().__init__()
        vector_dim = products.vectors.shape[1]
        num_categories = int(products.categories.max(initial=0)) + 1
        self.tokens = ProductTokens(vector_dim, num_categories, settings.dim)
        self.ranker = CrossAttentionRanker(shape_of(settings, vector_dim))

    def forward(self, products: Products, batch: Batch) -> Float[Tensor, "b c o"]:
        """Return one logit a candidate and outcome."""
        context = self.ranker.context(
            batch.query, self._of(products, batch.recent), batch.recent_facts, batch.facts
        )
        candidates = self._of(products, batch.rows)
        logits: Tensor = self.ranker(
            candidates, batch.features, batch.kept, context, batch.context_mask
        )
        return logits

    def _of(self, products: Products, rows: Int64[Tensor, "b n"]) -> Float[Tensor, "b n d"]:
        at = rows.clamp(min=0).numpy()
        tokens: Tensor = self.tokens(
            torch.from_numpy(products.vectors[at]),
            torch.from_numpy(products.categories[at].astype(np.int64)),
        )
        return tokens


def shape_of(settings: Settings, vector_dim: int) -> Shape:
    """Return the shape of a new ranker: heads that share the width, and twice it inside."""
    if settings.dim % settings.heads:
        raise ValueError(f"dim={settings.dim} cannot be split evenly among heads={settings.heads}")
    return Shape(
        dim=settings.dim,
        heads=settings.heads,
        head_dim=settings.dim // settings.heads,
        hidden=2 * settings.dim,
        layers=settings.layers,
        points=settings.points,
        vector_dim=vector_dim,
        num_features=len(FEATURES),
        bins=BINS,
        dropout=settings.dropout,
        num_facts=FACT_BUCKETS,
    )


class Progress(NamedTuple):
    """How far a training is."""

    ndcg_by_epoch: tuple[float, ...] = ()
    best: Weights | None = None


class Trained(NamedTuple):
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


class Worth(NamedTuple):
    """nDCG@20 on validation requests of one kind: as retrieval ordered them, and as ranked."""

    retrieved: float
    ranked: float


def train(
    examples: Sequence[Example],
    validation: Sequence[Example],
    products: Products,
    settings: Settings,
    tell: Callable[[Iterator[int]], Iterator[int]] = iter,
    keeper: Keeper | None = None,
) -> Trained:
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
    done = len(progress.ndcg_by_epoch)
    for step in tell(iter(range(done * steps, settings.epochs * steps))):
        if step % steps == 0:
            if _stale(progress.ndcg_by_epoch, settings.patience):
                break
            torch.manual_seed(settings.seed + step)  # so that a broken training goes on the same
            random = np.random.default_rng((settings.seed, step))
            order = random.permutation(len(examples))
        at = step % steps * settings.batch_size
        drawn = [examples[i] for i in order[at : at + settings.batch_size]]
        batch = collate([thinned(e, settings.candidates, random) for e in drawn], products)
        _set_rate(optimizer, settings.learning_rate * _schedule(step / (settings.epochs * steps)))
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
    return Trained(model.eval(), outcome, progress.ndcg_by_epoch)


def thinned(example: Example, most: int, random: np.random.Generator) -> Example:
    """Return the request with about `most` candidates, those of which something came among them.

    Each of the others counts for as many as were left out, so that no loss is biased.
    """
    count = len(example.rows)
    came = np.nan_to_num(example.labels).any(axis=1)
    others = np.flatnonzero(~came)
    if count <= most or not len(others):
        return example
    drawn = random.choice(others, min(len(others), max(most - int(came.sum()), 1)), replace=False)
    kept = np.sort(np.concatenate([np.flatnonzero(came), drawn]))
    stands_for = np.ones(count, np.float32)
    stands_for[others] = len(others) / len(drawn)
    return example._replace(
        rows=example.rows[kept],
        features=example.features[kept],
        labels=example.labels[kept],
        weights=None if example.weights is None else example.weights[kept],
        stands_for=stands_for[kept],
    )


def loss(logits: Float[Tensor, "b c o"], batch: Batch, settings: Settings) -> Float[Tensor, ""]:
    """Return what is learnt from: order and value of each outcome, by their weights."""
    order, value = ORDER_LOSSES[settings.order_loss], VALUE_LOSSES[settings.value_loss]
    columns = zip(*(x.unbind(-1) for x in (logits, batch.labels, batch.weights)), strict=True)
    parts = [
        settings.outcome_weights.get(outcome, 0.0) * (order(*column) + value(*column))
        for outcome, column in zip(OUTCOMES, columns, strict=True)
        if column[-1].any()
    ]
    return torch.stack(parts).sum()


def strongest(examples: Sequence[Example]) -> str:
    """Return the strongest outcome that any request came to; a purchase where none did."""
    for outcome in BY_STRENGTH:
        if any(example.wanted(outcome).any() for example in examples):
            return outcome
    return BY_STRENGTH[0]


def _judged(progress: Progress, model: Model, ndcg: float) -> Progress:
    is_best = ndcg > max(progress.ndcg_by_epoch, default=-1.0)
    return Progress((*progress.ndcg_by_epoch, ndcg), _copy(model) if is_best else progress.best)


def _stale(ndcgs: Sequence[float], patience: int) -> bool:
    return len(ndcgs) > patience and max(ndcgs[-patience:]) <= max(ndcgs[:-patience])


def _schedule(done: float) -> float:
    """Rise to 1, then fall along a cosine to nearly 0."""
    if done < WARM_UP:
        return 0.04 + 0.96 * done / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def worth(
    model: Model, examples: Sequence[Example], products: Products, outcome: str = "purchase"
) -> dict[str, Worth]:
    """Return what the ranker adds to searches and to recommendations, where there are any."""
    kinds = {
        "search": [e for e in examples if e.context.query is not None],
        "recommendation": [e for e in examples if e.context.query is None],
    }
    return {
        kind: Worth(mean_retrieved_ndcg(asked, outcome), mean_ndcg(model, asked, products, outcome))
        for kind, asked in kinds.items()
        if any(example.wanted(outcome).any() for example in asked)
    }


def mean_retrieved_ndcg(examples: Sequence[Example], outcome: str = "purchase") -> float:
    """Return nDCG@20 of the candidates as they stand: best first, as they were retrieved."""
    gains = [
        ndcg(-np.arange(len(example.rows), dtype=np.float32), example.wanted(outcome))
        for example in examples
        if example.wanted(outcome).any()
    ]
    return float(np.mean(gains)) if gains else 0.0


def mean_ndcg(
    model: Model, examples: Sequence[Example], products: Products, outcome: str = "purchase"
) -> float:
    """Return nDCG@20 over these requests, among their candidates."""
    found = zip(scores(model, examples, products, outcome), examples, strict=True)
    gains = [
        ndcg(logits, example.wanted(outcome))
        for logits, example in found
        if example.wanted(outcome).any()
    ]
    return float(np.mean(gains)) if gains else 0.0


def scores(
    model: Model, examples: Sequence[Example], products: Products, outcome: str = "purchase"
) -> Iterator[Float32[np.ndarray, "c"]]:
    """Yield the logits of each request."""
    column, was_training = OUTCOMES.index(outcome), model.training
    model.eval()
    for at in range(0, len(examples), 64):
        part = examples[at : at + 64]
        with torch.inference_mode():
            logits = model(products, collate(part, products))[..., column].numpy()
        yield from (row[: len(e.rows)] for row, e in zip(logits, part, strict=True))
    model.train(was_training)


def ndcg(
    scores: Float32[np.ndarray, "c"],
    gains: Bool[np.ndarray, "c"] | Float32[np.ndarray, "c"],
    k: int = WORTH_PAGE,
) -> float:
    """Return the normalised discounted cumulative gain of one list (Järvelin, Kekäläinen 2002).

    What was bought gains 1; a graded relevance gains what it is. One must be above 0.
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))[: len(gains)]
    best = np.argsort(-scores, kind="stable")[:k]
    ideal = np.sort(gains)[::-1][:k]
    return float(gains[best] @ discounts / (ideal @ discounts))


def collate(examples: Sequence[Example], products: Products) -> Batch:
    """Pad requests to one length and turn them into tensors."""
    longest = max(len(example.rows) for example in examples)
    contexts = [example.context for example in examples]
    recent = np.stack([c.recent for c in contexts])
    facts = np.stack([c.facts for c in contexts])
    asked = np.array([[c.query is not None] for c in contexts])
    silence = np.zeros(products.vectors.shape[1], np.float32)
    return Batch(
        rows=_padded([e.rows for e in examples], longest),
        features=_padded([e.features for e in examples], longest),
        labels=_padded([np.nan_to_num(e.labels) for e in examples], longest),
        weights=_padded([_weights(e) for e in examples], longest),
        kept=_padded([np.ones(len(e.rows), bool) for e in examples], longest),
        query=torch.from_numpy(
            np.stack([silence if c.query is None else c.query for c in contexts])
        ),
        recent=torch.from_numpy(recent),
        recent_facts=torch.from_numpy(np.stack([c.recent_facts for c in contexts])),
        facts=torch.from_numpy(facts),
        context_mask=torch.from_numpy(np.concatenate([asked, recent >= 0, facts > 0], axis=1)),
    )


def _weights(example: Example) -> Float32[np.ndarray, "c o"]:
    """Return what each label counts for: 0 where it is not known.

    What came of a product that is seldom seen stands for what would have come of it, had it been
    seen; what came to nothing says nothing of that.
    """
    weights: np.ndarray = (~np.isnan(example.labels)).astype(np.float32)
    if example.stands_for is not None:
        weights *= example.stands_for[:, None]
    if example.weights is not None:
        weights *= np.where(np.nan_to_num(example.labels) > 0, example.weights[:, None], 1)
    return weights


def _padded(columns: Sequence[np.ndarray], length: int) -> Tensor:
    padded = np.zeros((len(columns), length, *columns[0].shape[1:]), columns[0].dtype)
    for place, column in enumerate(columns):
        padded[place, : len(column)] = column
    return torch.from_numpy(padded)


def _fit_scale(ranker: CrossAttentionRanker, examples: Sequence[Example]) -> None:
    """Measure each feature's mean and deviation, so that the network sees numbers near 1."""
    sample = np.concatenate([example.features for example in examples[:: 1 + len(examples) // 500]])
    drawn = np.random.default_rng(0).permutation(len(sample))[:MOST_SAMPLED]
    ranker.from_features.fit(torch.from_numpy(sample[drawn]))


def _copy(model: Model) -> Weights:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}
