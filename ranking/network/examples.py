"""Past requests as the ranker learns from them, and as padded batches."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int32, Int64
from torch import Tensor

from ranking.features.context import Context
from ranking.network.shape import OUTCOMES


class Example(NamedTuple):
    """One past request: its candidates, and what came of each."""

    rows: Int64[np.ndarray, "c"]  # as retrieval ordered them
    features: Float32[np.ndarray, "c f"]
    labels: Float32[np.ndarray, "c o"]  # from 0 to 1 in the order of OUTCOMES; nan: not known
    context: Context
    weights: Float32[np.ndarray, "c"] | None = None  # 1 / propensity of being seen; None: all 1
    stands_for: Float32[np.ndarray, "c"] | None = None  # so many candidates; None: itself alone
    at_seconds: int = 0  # when it was asked, on the shop's clock
    bands: Int64[np.ndarray, "c"] | None = None  # of relevance, 0 first, which no rank leaves
    synthetic: bool = False  # a search that nobody asked
    missed: int = 0  # products that were bought and are no candidates

    def wanted(self, outcome: str = "purchase") -> Bool[np.ndarray, "c"]:
        """Tell which candidates this came of."""
        return np.asarray(self.labels[:, OUTCOMES.index(outcome)] > 0)

    def relevant(self, outcome: str = "purchase") -> Float32[np.ndarray, "w"]:
        """Return the gain of each product that this came of, candidate or not."""
        missed = self.missed if outcome == "purchase" else 0
        return np.ones(int(self.wanted(outcome).sum()) + missed, np.float32)

    @property
    def kind(self) -> str:
        """Whether it is a search or a recommendation."""
        return "recommendation" if self.context.query is None else "search"

    def came(self) -> bool:
        """Tell whether it came to anything."""
        return bool(np.nan_to_num(self.labels).any())


def labels_of(**known: np.ndarray) -> Float32[np.ndarray, "c o"]:
    """Return the labels of a list of which only these outcomes are known."""
    length = len(next(iter(known.values())))
    columns = [known.get(outcome, np.full(length, np.nan)) for outcome in OUTCOMES]
    return np.stack(columns, axis=1).astype(np.float32)


class RankedProducts(NamedTuple):
    """What the product tokens are made from."""

    vectors: Float32[np.ndarray, "n v"]
    categories: Int32[np.ndarray, "n"]


class ExampleBatch(NamedTuple):
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


def thinned(example: Example, most: int, random: np.random.Generator) -> Example:
    """Return the request with about `most` candidates, those of which something came among them.

    Each of the others counts for as many as were left out, in sums and in the places that it fills,
    so that losses are about those of the whole request.
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
        bands=None if example.bands is None else example.bands[kept],
    )


def collate(examples: Sequence[Example], products: RankedProducts) -> ExampleBatch:
    """Pad requests to one length and turn them into tensors."""
    longest = max(len(example.rows) for example in examples)
    contexts = [example.context for example in examples]
    recent = np.stack([c.recent for c in contexts])
    facts = np.stack([c.facts for c in contexts])
    asked = np.array([[c.query is not None] for c in contexts])
    silence = np.zeros(products.vectors.shape[1], np.float32)
    return ExampleBatch(
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
