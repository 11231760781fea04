"""The one module that knows LightGBM: boosted trees over match features, taught by LambdaMART."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from ranking.text_heads.lists import JudgedList, TextList
from ranking.text_heads.training import PAGE, hold_out

GRADES = 4  # whole grades above 0 that relevance is rounded to


class MissingLightGBM(ImportError):
    """LambdaMART was asked for where LightGBM is not installed."""


class TreesHead:
    """Fitted trees."""

    def __init__(self, trees: Any) -> None:
        self._trees = trees

    def scores(self, asked: TextList) -> Float32[np.ndarray, "c"]:
        """Return the sum of the trees for each candidate."""
        if not asked.titles:
            return np.zeros(0, np.float32)
        return np.asarray(self._trees.predict(asked.features), np.float32)


class LambdaMart(NamedTuple):
    """Gradient-boosted trees on lambda gradients of nDCG (Burges, MSR-TR-2010-82)."""

    trees: int = 300
    patience: int = 50  # trees that may be added without a better nDCG
    leaves: int = 7
    learning_rate: float = 0.05
    fewest_in_leaf: int = 50
    threads: int = 1
    held_out: float = 0.1  # share of the queries
    seed: int = 0

    def fit(self, lists: Sequence[JudgedList]) -> TreesHead:
        """Return the trees up to the one that orders the held-out queries best."""
        lightgbm = _lightgbm()
        training, validation = (
            lightgbm.Dataset(
                np.concatenate([judged.asked.features for judged in part]),
                np.rint(GRADES * np.concatenate([judged.relevance for judged in part])),
                group=[len(judged.relevance) for judged in part],
            )
            for part in hold_out(lists, self.held_out, self.seed)
        )
        return TreesHead(
            lightgbm.train(
                self._parameters(),
                training,
                self.trees,
                valid_sets=[validation],
                callbacks=[lightgbm.early_stopping(self.patience, verbose=False)],
            )
        )

    def _parameters(self) -> dict[str, Any]:
        return {
            "objective": "lambdarank",
            "metric": "ndcg",
            "eval_at": [PAGE],
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.fewest_in_leaf,
            "feature_fraction": 0.5,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "lambda_l2": 5.0,
            "num_threads": self.threads,
            "seed": self.seed,
            "deterministic": True,
            "verbose": -1,
        }


def _lightgbm() -> Any:
    """Import it late: it is optional, and its OpenMP slows torch down if it is loaded first."""
    try:
        import lightgbm
    except ImportError:
        raise MissingLightGBM(
            "LambdaMART is fitted by lightgbm, which is not installed; "
            "run `pip install lightgbm`, or choose another head"
        ) from None
    return lightgbm
