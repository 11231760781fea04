"""Composes a page from ordered candidates: the first products, each with its reasons."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64

from ranking.answers import Explanation
from ranking.features.definitions import NAMES
from ranking.slate.reasons import reasons
from retrieval.types import Candidates, Placed, Product

LookUp = Callable[[Int64[np.ndarray, "k"]], list[Product]]

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


class Reasoning(NamedTuple):
    """An explanation of the ranker: attention by named context token, and feature contributions."""

    tokens: tuple[str, ...]
    explained: Explanation
    places: Int64[np.ndarray, "k"]  # of the candidates that are explained

    def of(self, place: int) -> int | None:
        """Return which row of the explanation is of the candidate at a place."""
        found = np.flatnonzero(self.places == place)
        return int(found[0]) if len(found) else None


class Ordered(NamedTuple):
    """Candidates in their final order; features only for the leading ones that were ranked."""

    candidates: Candidates
    scores: Float32[np.ndarray, "c"]
    features: Float32[np.ndarray, "r f"] | None
    probabilities: dict[str, Float64[np.ndarray, "r"]]  # by outcome, of those that are calibrated
    reasoning: Reasoning | None = None  # of the first places, where it was asked for
    bought: bool = True  # whether the shopper's history is of purchases, not of views and carts


class Page(NamedTuple):
    """The products of a page: their rows, and their places among the candidates."""

    rows: Int64[np.ndarray, "k"]
    places: Int64[np.ndarray, "k"]  # -1: not among the candidates
    first: int = 1  # the position of the first
    variants: Int64[np.ndarray, "k"] | None = None  # how many others each stands for

    @classmethod
    def top(cls, ordered: Ordered, k: int) -> "Page":
        """Return the first `k` candidates."""
        rows = ordered.candidates.rows[:k]
        return cls(rows, np.arange(len(rows)))


def compose(ordered: Ordered, look_up: LookUp, page: Page, *, explain: bool) -> tuple[Placed, ...]:
    """Return what is on a page as placed products; only these become objects."""
    variants = np.zeros(len(page.rows), np.int64) if page.variants is None else page.variants
    return tuple(
        Placed(
            position=page.first + i,
            product=product,
            variants=int(variants[i]),
            **_standing(ordered, place, explain=explain),
        )
        for i, (place, product) in enumerate(
            zip(page.places.tolist(), look_up(page.rows), strict=True)
        )
    )


def _standing(ordered: Ordered, place: int, *, explain: bool) -> dict[str, Any]:
    """Return what is known of a candidate; of others, that they stand below."""
    if place < 0:
        return {"score": float(ordered.scores.min()) - 1 if len(ordered.scores) else 0.0}
    features = _features(ordered, place)
    proposed = {
        name: float(ordered.candidates.scores[name][place])
        for name, positions in ordered.candidates.positions.items()
        if positions[place] > 0
    }
    return {
        "score": float(ordered.scores[place]),
        "probabilities": {
            outcome: float(column[place])
            for outcome, column in ordered.probabilities.items()
            if place < len(column)
        },
        "why": reasons(features, bought=ordered.bought)
        or tuple(CHANNEL_REASONS[name] for name in proposed),
        "channels": proposed if explain else {},
        "features": features if explain else {},
        "moved": _moved(ordered.reasoning, place),
        "attended": _attended(ordered.reasoning, place),
    }


def _moved(reasoning: Reasoning | None, place: int) -> dict[str, float]:
    """Return what each feature did to the score, the strongest first."""
    row = None if reasoning is None else reasoning.of(place)
    if reasoning is None or row is None:
        return {}
    moved = zip(NAMES, reasoning.explained.moved[row].tolist(), strict=True)
    return dict(sorted(moved, key=lambda one: -abs(one[1])))


def _attended(reasoning: Reasoning | None, place: int) -> dict[str, float]:
    """Return the share of each thing looked at, the largest first."""
    row = None if reasoning is None else reasoning.of(place)
    if reasoning is None or row is None:
        return {}
    attended: dict[str, float] = {}
    shares = reasoning.explained.attended[row].tolist()
    for token, share in zip(reasoning.tokens, shares, strict=True):
        if share > 0:
            attended[token] = attended.get(token, 0.0) + share  # two products may share a title
    return dict(sorted(attended.items(), key=lambda one: -one[1]))


def _features(ordered: Ordered, place: int) -> dict[str, float]:
    if ordered.features is None or place >= len(ordered.features):
        return {}
    return dict(zip(NAMES, ordered.features[place].tolist(), strict=True))
