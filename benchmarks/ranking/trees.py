"""LambdaMART on the ranker's own requests, chosen on its validation as the ranker's epoch is."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from benchmarks.next_basket.lambdamart import SETTINGS
from pipelines.progress import track
from ranking.network.examples import Example
from ranking.network.validation import ndcg_of_request, served_order

CHOICES: tuple[dict[str, Any], ...] = (
    {"num_leaves": 31, "learning_rate": 0.05},
    {"num_leaves": 63, "learning_rate": 0.05},
    {"num_leaves": 31, "learning_rate": 0.1},
)
ROUNDS, LOOK, PATIENCE = 600, 50, 3  # trees at most; between two measurements; looks without gain


class Trees(NamedTuple):
    """The trees that validation finds best, and what it says of every choice."""

    booster: Any
    rounds: int
    told: tuple[str, ...]

    def scores(self, requests: Sequence[Example]) -> list[Float32[np.ndarray, "c"]]:
        """Return the score of each candidate of each request."""
        return _scores(self.booster, self.rounds, requests)


def grow(
    training: Sequence[Example],
    validation: Sequence[Example],
    choices: Sequence[dict[str, Any]] = CHOICES,
    rounds: int = ROUNDS,
) -> Trees:
    """Return the best trees of all choices, by nDCG@20 on the validation requests.

    They learn from every candidate of every request, searches among them.
    """
    import lightgbm  # not before torch: loaded after lightgbm's OpenMP, torch is 30 times slower

    data = lightgbm.Dataset(
        [one.features for one in training],
        np.concatenate([one.wanted() for one in training]).astype(np.int32),
        group=[len(one.rows) for one in training],
        params=SETTINGS,
    )
    best, kept, told = -1.0, Trees(None, 0, ()), []
    for choice in choices:
        found = _grown(lightgbm.Booster({**SETTINGS, **choice}, data), validation, rounds)
        named = ", ".join(f"{name} {value:g}" for name, value in choice.items())
        told.append(f"{named}: nDCG@20 {found[1]:.4f} with {found[0].rounds} trees")
        if found[1] > best:
            kept, best = found
    return kept._replace(told=tuple(told))


def _grown(booster: Any, validation: Sequence[Example], rounds: int) -> tuple[Trees, float]:
    """Grow trees until validation gains no more; return the best number of them and its nDCG."""
    best, kept = -1.0, 0
    for number in track(range(1, rounds + 1), "grow trees", rounds):
        booster.update()
        if number % LOOK and number != rounds:
            continue
        worth = _ndcg(_scores(booster, number, validation), validation)
        if worth > best:
            best, kept = worth, number
        if number - kept >= PATIENCE * LOOK:
            break
    return Trees(booster, kept, ()), best


def _scores(
    booster: Any, rounds: int, requests: Sequence[Example]
) -> list[Float32[np.ndarray, "c"]]:
    return [
        np.asarray(booster.predict(one.features, num_iteration=rounds), np.float32)
        for one in requests
    ]


def _ndcg(scored: Sequence[Float32[np.ndarray, "c"]], requests: Sequence[Example]) -> float:
    values = [
        ndcg_of_request(served_order(by, one), one)
        for by, one in zip(scored, requests, strict=True)
        if len(one.relevant())
    ]
    return float(np.mean(values)) if values else 0.0
