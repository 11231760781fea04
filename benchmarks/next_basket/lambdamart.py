"""LambdaMART over hand-made features: a bar for the ranker."""

from typing import NamedTuple

import numpy as np

from benchmarks.next_basket.baselines import decayed_counts, item_knn, personal_frequency
from benchmarks.next_basket.baskets import Journey, Task, task
from benchmarks.next_basket.features import FEATURES, Pairs, describe
from pipelines.progress import Track

# Trained on three windows before the test, with the protocol of the test: habits end where a
# window starts, and the first basket after it within 17 days is to be foretold.
WINDOWS = ("2017-09-29", "2017-10-15", "2017-10-29")
WINDOW_DAYS = 17.0
POPULAR, NEAR = 200, 100  # candidates beside everything that the household bought before
ROUNDS = 200
SETTINGS = {
    "objective": "lambdarank",
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 100,
    "lambdarank_truncation_level": 30,
    "max_bin": 127,
    "force_row_wise": True,
    "deterministic": True,
    "num_threads": 2,
    "seed": 0,
    "verbose": -1,
}


class Pool(NamedTuple):
    """The candidates of all requests of a task, one request after the other."""

    requests: np.ndarray
    products: np.ndarray
    features: np.ndarray
    bought: np.ndarray

    def sizes(self) -> np.ndarray:
        """Return how many candidates each request has."""
        return np.unique(self.requests, return_counts=True)[1]


class Learned(NamedTuple):
    """Scores of a task, one row a request, and what share of the gain each feature brought."""

    scores: np.ndarray
    shares: dict[str, float]


def lambdamart(journey: Journey, test: Task, track: Track) -> Learned:
    """Learn from the windows before the test and score it.

    What is no candidate of a household stands behind, in the order of its own frequency.
    """
    import lightgbm  # not before torch: loaded after lightgbm's OpenMP, torch is 30 times slower

    windows = track(WINDOWS, "describe past baskets", len(WINDOWS))
    pools = [make_pool(task(journey, start, WINDOW_DAYS)) for start in windows]
    data = lightgbm.Dataset(
        np.concatenate([pool.features for pool in pools]),
        np.concatenate([pool.bought for pool in pools]).astype(np.int32),
        group=np.concatenate([pool.sizes() for pool in pools]),
        feature_name=list(FEATURES),
        params=SETTINGS,
    )
    trees = lightgbm.Booster(SETTINGS, data)
    for _ in track(range(ROUNDS), "grow trees", ROUNDS):
        trees.update()
    pool = make_pool(test)
    scores = personal_frequency(test)
    scores -= scores.max() + 1e3  # below any tree
    scores[pool.requests, pool.products] = trees.predict(pool.features)
    gains = trees.feature_importance("gain")
    return Learned(scores, dict(zip(FEATURES, (gains / gains.sum()).tolist(), strict=True)))


def make_pool(asked: Task) -> Pool:
    """Collect the candidates of each request and describe them."""
    near = item_knn(asked)
    requests, products = _candidates(asked, near)
    pairs = Pairs(asked.households[requests], products, asked.moments[requests])
    count = len(asked.products)
    wanted = [request * count + bought for request, bought in enumerate(asked.bought)]
    return Pool(
        requests,
        products,
        describe(asked, pairs, near[requests, products]),
        np.isin(requests * count + products, np.concatenate(wanted)),
    )


def _candidates(asked: Task, near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what each household bought, what is bought much, and what goes with its purchases."""
    request = np.arange(len(asked.households))[:, None] * len(asked.products)
    bought = decayed_counts(asked, 30.0)
    popular = np.argsort(-np.asarray(bought.sum(axis=0)).ravel(), kind="stable")[:POPULAR]
    nearest = np.argpartition(-near, NEAR, axis=1)[:, :NEAR]
    requests, own = bought[asked.households].nonzero()
    keys = [requests * len(asked.products) + own, request + popular, request + nearest]
    both = np.unique(np.concatenate([np.ravel(key) for key in keys]))
    return np.divmod(both, len(asked.products))
