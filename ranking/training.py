"""Trains the ranker on requests of the past: what was proposed, and what was then bought."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int32, Int64
from torch import Tensor
from torch.nn import functional as F

from ranking.context import Context
from ranking.cross_attention import CrossAttentionRanker, ProductTokens
from ranking.features import FEATURES
from retrieval.scenes import FACT_BUCKETS

WARM_UP = 0.1  # share of the steps in which the learning rate rises
WORTH_PAGE = 20  # validation counts what is right among the first so many


class Example(NamedTuple):
    """One past request: its candidates, and which of them were bought."""

    rows: Int64[np.ndarray, "c"]  # as retrieval ordered them
    features: Float32[np.ndarray, "c f"]
    labels: Bool[np.ndarray, "c"]
    context: Context


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
    batch_size: int = 16
    seed: int = 0


class Batch(NamedTuple):
    """Requests of unequal length, padded; `kept` is False where a candidate is padding."""

    rows: Int64[Tensor, "b c"]
    features: Float[Tensor, "b c f"]
    labels: Float[Tensor, "b c"]
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
        self.ranker = CrossAttentionRanker(
            dim=settings.dim,
            heads=settings.heads,
            layers=settings.layers,
            vector_dim=vector_dim,
            num_features=len(FEATURES),
            facts=FACT_BUCKETS,
        )

    def forward(self, products: Products, batch: Batch) -> Float[Tensor, "b c"]:
        """Return one logit a candidate."""
        context = self.ranker.context(
            batch.query, self._of(products, batch.recent), batch.recent_facts, batch.facts
        )
        candidates = self._of(products, batch.rows)
        logits: Tensor = self.ranker(candidates, batch.features, context, batch.context_mask)
        return logits

    def _of(self, products: Products, rows: Int64[Tensor, "b n"]) -> Float[Tensor, "b n d"]:
        at = rows.clamp(min=0).numpy()
        tokens: Tensor = self.tokens(
            torch.from_numpy(products.vectors[at]),
            torch.from_numpy(products.categories[at].astype(np.int64)),
        )
        return tokens


class Trained(NamedTuple):
    """The best model of a training, with its nDCG on validation, epoch by epoch."""

    model: Model
    ndcg_by_epoch: tuple[float, ...]


class Worth(NamedTuple):
    """nDCG@20 on validation requests of one kind: as retrieval ordered them, and as ranked."""

    retrieved: float
    ranked: float


def list_loss(
    logits: Float[Tensor, "b c"], labels: Float[Tensor, "b c"], kept: Bool[Tensor, "b c"]
) -> Float[Tensor, ""]:
    """Return the mean cross entropy between what was bought and the softmax of the logits.

    ListNet's top-one loss (Cao et al., ICML 2007) with the bought products sharing the target.
    """
    log_shares = F.log_softmax(logits.masked_fill(~kept, -torch.inf), dim=-1)
    bought = labels / labels.sum(dim=-1, keepdim=True).clamp(min=1)
    return -(bought * log_shares.masked_fill(~kept, 0)).sum(dim=-1).mean()


def point_loss(
    logits: Float[Tensor, "b c"], labels: Float[Tensor, "b c"], kept: Bool[Tensor, "b c"]
) -> Float[Tensor, ""]:
    """Return the mean binary cross entropy, so that a sigmoid of the logit is a probability."""
    losses = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return (losses * kept).sum() / kept.sum()


def train(
    examples: Sequence[Example],
    validation: Sequence[Example],
    products: Products,
    settings: Settings,
    tell: Callable[[Iterator[int]], Iterator[int]] = iter,
) -> Trained:
    """Fit a ranker and return the epoch that orders the validation requests best."""
    torch.manual_seed(settings.seed)
    model = Model(settings, products)
    _fit_scale(model.ranker, examples)
    steps_an_epoch = -(-len(examples) // settings.batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        settings.learning_rate,
        total_steps=settings.epochs * steps_an_epoch,
        pct_start=WARM_UP,
    )
    random = np.random.default_rng(settings.seed)
    best, best_ndcg, ndcgs = _copy(model), -1.0, []
    for step in tell(iter(range(settings.epochs * steps_an_epoch))):
        if step % steps_an_epoch == 0:
            order = random.permutation(len(examples))
        at = step % steps_an_epoch * settings.batch_size
        batch = collate([examples[i] for i in order[at : at + settings.batch_size]], products)
        logits = model(products, batch)
        loss = list_loss(logits, batch.labels, batch.kept) + point_loss(
            logits, batch.labels, batch.kept
        )
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % steps_an_epoch == 0:
            ndcgs.append(mean_ndcg(model, validation, products))
            if ndcgs[-1] > best_ndcg:
                best, best_ndcg = _copy(model), ndcgs[-1]
    model.load_state_dict(best)
    return Trained(model.eval(), tuple(ndcgs))


def worth(model: Model, examples: Sequence[Example], products: Products) -> dict[str, Worth]:
    """Return what the ranker adds to searches and to recommendations, where there are any."""
    kinds = {
        "search": [e for e in examples if e.context.query is not None],
        "recommendation": [e for e in examples if e.context.query is None],
    }
    return {
        kind: Worth(mean_retrieved_ndcg(asked), mean_ndcg(model, asked, products))
        for kind, asked in kinds.items()
        if any(example.labels.any() for example in asked)
    }


def mean_retrieved_ndcg(examples: Sequence[Example]) -> float:
    """Return nDCG@20 of the candidates as they stand: best first, as they were retrieved."""
    gains = [
        ndcg(-np.arange(len(example.rows), dtype=np.float32), example.labels)
        for example in examples
        if example.labels.any()
    ]
    return float(np.mean(gains)) if gains else 0.0


def mean_ndcg(model: Model, examples: Sequence[Example], products: Products) -> float:
    """Return nDCG@20 over these requests, among their candidates."""
    gains = []
    model.eval()
    with torch.inference_mode():
        for at in range(0, len(examples), 64):
            part = examples[at : at + 64]
            logits = model(products, collate(part, products)).numpy()
            gains += [
                ndcg(logit[: len(example.rows)], example.labels)
                for logit, example in zip(logits, part, strict=True)
                if example.labels.any()
            ]
    model.train()
    return float(np.mean(gains)) if gains else 0.0


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
        labels=_padded([e.labels.astype(np.float32) for e in examples], longest),
        kept=_padded([np.ones(len(e.rows), bool) for e in examples], longest),
        query=torch.from_numpy(
            np.stack([silence if c.query is None else c.query for c in contexts])
        ),
        recent=torch.from_numpy(recent),
        recent_facts=torch.from_numpy(np.stack([c.recent_facts for c in contexts])),
        facts=torch.from_numpy(facts),
        context_mask=torch.from_numpy(np.concatenate([asked, recent >= 0, facts > 0], axis=1)),
    )


def _padded(columns: Sequence[np.ndarray], length: int) -> Tensor:
    padded = np.zeros((len(columns), length, *columns[0].shape[1:]), columns[0].dtype)
    for place, column in enumerate(columns):
        padded[place, : len(column)] = column
    return torch.from_numpy(padded)


def _fit_scale(ranker: CrossAttentionRanker, examples: Sequence[Example]) -> None:
    """Measure each feature's mean and deviation, so that the network sees numbers near 1."""
    sample = np.concatenate([example.features for example in examples[:: 1 + len(examples) // 500]])
    ranker.feature_mean.copy_(torch.from_numpy(sample.mean(axis=0)))
    spread = sample.std(axis=0)
    # A feature that never moved in training must not decide anything when it moves later.
    ranker.feature_scale.copy_(torch.from_numpy(np.where(spread > 1e-4, spread, 1e4)))


def _copy(model: Model) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}
