"""Measures a sentence encoder on judged lists, and blends trained weights with those before."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from pipelines.config.sections import TextTrainingConfig
from pipelines.training.checkpoint import Weights
from pipelines.training.text.batches import TextData
from pipelines.training.text.pairs import Encode, Lists, ranked_ndcg

ENCODED_AT_ONCE = 64
UNTRAINED = 0.0  # the blend that is the model as it was


def tested(model: Any, data: TextData) -> dict[str, list[float]]:
    """Return nDCG@10 of each test query of each file that has such."""
    return {name: _ndcg(model, lists) for name, lists in data.test if lists}


def validated(model: Any, data: TextData) -> float:
    """Return the mean nDCG@10 of all validation queries."""
    return float(np.mean([one for lists in data.validation for one in _ndcg(model, lists)]))


def blend_scores(
    model: Any, untrained: Weights, best: Weights, data: TextData, settings: TextTrainingConfig
) -> dict[float, float]:
    """Return what `validated` finds with each share of the trained weights, untrained ones too."""
    scores = {}
    for share in (UNTRAINED, *settings.blends):
        model.load_state_dict(blended(untrained, best, share))
        scores[share] = validated(model, data)
    return scores


def blended(untrained: Weights, trained: Weights, share: float) -> Weights:
    """Return the weights on the line between the two; whole numbers, such as positions, as is."""
    return {
        name: torch.lerp(old, trained[name], share) if old.is_floating_point() else old
        for name, old in untrained.items()
    }


def copied_weights(model: Any) -> Weights:
    """Return the weights of a model, in memory of their own."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _ndcg(model: Any, lists: Lists) -> list[float]:
    """Return nDCG@10 of each query, by vectors of full length."""
    dim = int(model.get_embedding_dimension())
    return ranked_ndcg(_encoder(model), lists, [dim])[dim]


def _encoder(model: Any) -> Encode:
    def encode(texts: list[str]) -> Float32[np.ndarray, "n d"]:
        model.eval()
        vectors: Float32[np.ndarray, "n d"] = model.encode(
            texts, batch_size=ENCODED_AT_ONCE, normalize_embeddings=True, show_progress_bar=False
        )
        return vectors

    return encode
