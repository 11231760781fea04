"""Measures a ranker on validation requests."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32

from ranking.network.examples import Example, RankedProducts, collate
from ranking.network.model import Model
from ranking.network.shape import OUTCOMES
from retrieval.ndcg import ndcg

WORTH_PAGE = 20  # validation counts what is right among the first so many
BY_STRENGTH = ("purchase", "cart", "click", "relevance")  # what a list is ordered by, if known


class ValidationNdcg(NamedTuple):
    """nDCG@20 on validation requests of one kind: as retrieval ordered them, and as ranked.

    What was bought and not retrieved counts as missed, as in every other nDCG.
    """

    retrieved: float
    ranked: float


def strongest(examples: Sequence[Example]) -> str:
    """Return the strongest outcome that any request came to; a purchase where none did."""
    for outcome in BY_STRENGTH:
        if any(example.wanted(outcome).any() for example in examples):
            return outcome
    return BY_STRENGTH[0]


def validation_ndcg(
    model: Model, examples: Sequence[Example], products: RankedProducts, outcome: str = "purchase"
) -> dict[str, ValidationNdcg]:
    """Return what the ranker adds to searches and to recommendations, where there are any."""
    kinds = {kind: [e for e in examples if e.kind == kind] for kind in ("search", "recommendation")}
    return {
        kind: ValidationNdcg(
            mean_retrieved_ndcg(asked, outcome), mean_ndcg(model, asked, products, outcome)
        )
        for kind, asked in kinds.items()
        if any(len(example.relevant(outcome)) for example in asked)
    }


def mean_retrieved_ndcg(examples: Sequence[Example], outcome: str = "purchase") -> float:
    """Return nDCG@20 of the candidates as they stand: best first, as they were retrieved."""
    gains = [
        ndcg_of_request(-np.arange(len(example.rows), dtype=np.float32), example, outcome)
        for example in examples
        if len(example.relevant(outcome))
    ]
    return float(np.mean(gains)) if gains else 0.0


def mean_ndcg(
    model: Model, examples: Sequence[Example], products: RankedProducts, outcome: str = "purchase"
) -> float:
    """Return nDCG@20 over these requests, of which something came."""
    found = zip(scores(model, examples, products, outcome), examples, strict=True)
    gains = [
        ndcg_of_request(served_order(logits, example), example, outcome)
        for logits, example in found
        if len(example.relevant(outcome))
    ]
    return float(np.mean(gains)) if gains else 0.0


def ndcg_of_request(
    scores: Float32[np.ndarray, "c"], example: Example, outcome: str = "purchase"
) -> float:
    """Return nDCG@20 of a request's candidates, ordered by these scores."""
    return ndcg_of_logits(scores, example.wanted(outcome), relevant=example.relevant(outcome))


def served_order(logits: Float32[np.ndarray, "c"], example: Example) -> Float32[np.ndarray, "c"]:
    """Return scores that order the candidates as they are served: by band, then by logit."""
    if example.bands is None:
        return logits
    order = np.lexsort((-logits, example.bands))
    places = np.empty(len(order), np.float32)
    places[order] = np.arange(len(order))
    return -places


def scores(
    model: Model, examples: Sequence[Example], products: RankedProducts, outcome: str = "purchase"
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


def ndcg_of_logits(
    scores: Float32[np.ndarray, "c"],
    gains: Bool[np.ndarray, "c"] | Float32[np.ndarray, "c"],
    k: int = WORTH_PAGE,
    relevant: Float32[np.ndarray, "r"] | None = None,
) -> float:
    """Return nDCG@k of one list in the order of its scores; what was bought gains 1.

    `relevant` are the gains of all that is relevant, where that is more than the list holds.
    """
    best = np.argsort(-scores, kind="stable")[:k]
    return ndcg(gains[best], gains if relevant is None else relevant, k)
