"""Cuts the page from ordered candidates and says why each product is on it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import numpy as np
from jaxtyping import Float32, Float64, Int64

from ranking.features import NAMES
from ranking.reasons import reasons
from retrieval.types import Candidates, Placed, Product

LookUp = Callable[[Int64[np.ndarray, "k"]], list[dict[str, Any]]]

CHANNEL_REASONS = {
    "semantic": "means what was asked",
    "lexical": "has the words that were asked",
    "image": "looks like the picture",
    "towers": "suits what you ask and buy",
    "repeat": "bought before",
    "ease": "shoppers like you buy it",
    "together": "goes with recent purchases",
    "next": "often bought next",
    "season": "bought at this time of year",
    "kind": "popular of what you often buy",
    "trending": "popular these weeks",
}


class Ordered(NamedTuple):
    """Candidates in their final order; features only for the leading ones that were ranked."""

    candidates: Candidates
    scores: Float32[np.ndarray, "c"]
    features: Float32[np.ndarray, "r f"] | None
    probabilities: dict[str, Float64[np.ndarray, "r"]]  # by outcome, of those that are calibrated


def compose(ordered: Ordered, look_up: LookUp, k: int, *, explain: bool) -> tuple[Placed, ...]:
    """Return the first `k` as placed products; only these become objects."""
    rows = ordered.candidates.rows[:k]
    return tuple(
        _placed(ordered, place, msgspec.convert(record, Product), explain=explain)
        for place, record in enumerate(look_up(rows))
    )


def _placed(ordered: Ordered, place: int, product: Product, *, explain: bool) -> Placed:
    features = _features(ordered, place)
    proposed = {
        name: float(ordered.candidates.scores[name][place])
        for name, positions in ordered.candidates.positions.items()
        if positions[place] > 0
    }
    why = reasons(features) or tuple(CHANNEL_REASONS[name] for name in proposed)
    return Placed(
        position=place + 1,
        product=product,
        score=float(ordered.scores[place]),
        probabilities={
            outcome: float(column[place])
            for outcome, column in ordered.probabilities.items()
            if place < len(column)
        },
        why=why,
        channels=proposed if explain else {},
        features=features if explain else {},
    )


def _features(ordered: Ordered, place: int) -> dict[str, float]:
    if ordered.features is None or place >= len(ordered.features):
        return {}
    return dict(zip(NAMES, map(float, ordered.features[place]), strict=True))
