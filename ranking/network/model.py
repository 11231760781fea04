"""The ranker as it is trained: product tokens and network together."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ranking.features.definitions import FEATURES
from ranking.network.cross_attention import CrossAttentionRanker, ProductTokens
from ranking.network.examples import ExampleBatch, RankedProducts
from ranking.network.shape import OUTCOMES, RankerShape
from retrieval.context_facts import EVERY_NUMBER, FACT_BUCKETS, FactVocabulary

BINS = 16  # that a feature is parted into
ALIKE = dict.fromkeys(OUTCOMES, 1.0)


class RankerSettings(NamedTuple):
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


class Model(torch.nn.Module):
    """Tokens and ranker together, as they are trained; a release keeps the tokens computed."""

    def __init__(
        self,
        settings: RankerSettings,
        products: RankedProducts,
        facts: FactVocabulary = EVERY_NUMBER,
    ) -> None:
        super().__init__()
        self.facts = facts
        vector_dim = products.vectors.shape[1]
        num_categories = int(products.categories.max(initial=0)) + 1
        self.tokens = ProductTokens(vector_dim, num_categories, settings.dim)
        self.ranker = CrossAttentionRanker(shape_of(settings, vector_dim))

    def forward(self, products: RankedProducts, batch: ExampleBatch) -> Float[Tensor, "b c o"]:
        """Return one logit a candidate and outcome."""
        facts = torch.from_numpy(self.facts.numbers(batch.facts.numpy()))
        mask = batch.context_mask.clone()
        mask[:, -facts.shape[1] :] &= facts > 0
        context = self.ranker.context(
            batch.query, self._of(products, batch.recent), batch.recent_facts, facts
        )
        candidates = self._of(products, batch.rows)
        logits: Tensor = self.ranker(candidates, batch.features, batch.kept, context, mask)
        return logits

    def _of(self, products: RankedProducts, rows: Int64[Tensor, "b n"]) -> Float[Tensor, "b n d"]:
        at = rows.clamp(min=0).numpy()
        tokens: Tensor = self.tokens(
            torch.from_numpy(products.vectors[at]),
            torch.from_numpy(products.categories[at].astype(np.int64)),
        )
        return tokens


def shape_of(settings: RankerSettings, vector_dim: int) -> RankerShape:
    """Return the shape of a new ranker: heads that share the width, and twice it inside."""
    if settings.dim % settings.heads:
        raise ValueError(f"dim={settings.dim} cannot be split evenly among heads={settings.heads}")
    return RankerShape(
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
