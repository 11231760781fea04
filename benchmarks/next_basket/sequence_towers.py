"""Towers over sequences of products of which only the buyers are known."""

from functools import partial

import msgspec
import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64

from pipelines.progress import track
from retrieval.towers.batch_loss import similarities
from retrieval.towers.columns import TowerColumns
from retrieval.towers.model import Towers
from retrieval.towers.query import QueryBatch
from retrieval.towers.sampling import PastRequests
from retrieval.towers.settings import TowerTrainingSettings
from retrieval.towers.shape import TowerShape
from retrieval.towers.training import train

RECENT = 24
AT_ONCE = 512
JUDGED = 2_000  # users by whose newest known product the epoch is chosen
SETTINGS = TowerTrainingSettings(
    epochs=12, batch_size=512, learning_rate=2e-3, dims=(128,), drop_own=0.0, max_seconds=420.0
)
SHAPE = TowerShape(
    widths={}, text_dim=1, picture_dim=0, num_own=0, num_popularity=1, dim=128, recent=RECENT
)


class Steps:
    """Each product of a sequence, asked for by those before it."""

    def __init__(self, before: list[np.ndarray], num_products: int) -> None:
        self._before = before
        lengths = np.array([len(items) for items in before])
        users = np.repeat(np.arange(len(before)), lengths)
        places = np.concatenate([np.arange(size) for size in lengths])
        kept = (places > 0) & (places < lengths[users] - 1)  # the newest chooses the epoch
        self._users, self._places = users[kept], places[kept]
        self.size = len(self._users)
        self._next = np.array(
            [before[u][p] for u, p in zip(self._users, self._places, strict=True)]
        )
        counts = np.bincount(self._next, minlength=num_products)
        self.shares = (counts / counts.sum()).astype(np.float32)

    def take(self, numbers: Int64[np.ndarray, "b"], random: np.random.Generator) -> PastRequests:
        """Return these steps as requests."""
        pairs = zip(self._users[numbers], self._places[numbers], strict=True)
        queries = queries_of([self._before[user][:place] for user, place in pairs])
        wanted = self._next[numbers]
        return PastRequests(
            queries, wanted, partial(_equal, wanted), partial(_nothing, len(wanted))
        )


def _equal(wanted: Int64[np.ndarray, "b"], rows: Int64[np.ndarray, "c"]) -> Bool[np.ndarray, "b c"]:
    return wanted[:, None] == rows


def _nothing(size: int, rows: Int64[np.ndarray, "c"]) -> Bool[np.ndarray, "b c"]:
    return np.zeros((size, len(rows)), bool)


def queries_of(histories: list[np.ndarray]) -> QueryBatch:
    """Return shoppers who ask for nothing; age is a product's distance from the newest."""
    size = len(histories)
    recent = np.full((size, RECENT), -1, np.int64)
    ages = np.zeros((size, RECENT, 2), np.float32)
    ages[..., 0] = np.log1p(np.arange(RECENT))
    for place, items in enumerate(histories):
        newest = items[::-1][:RECENT]
        recent[place, : len(newest)] = newest
    nothing = torch.zeros((size, 0), dtype=torch.int64)
    return QueryBatch(
        text=torch.zeros(size, 1),
        picture=torch.zeros(size, 1),
        marked=nothing,
        marks=torch.zeros(size, 0),
        recent=torch.from_numpy(recent),
        recent_facts=torch.from_numpy(ages),
        facts=nothing,
    )


def trained(before: list[np.ndarray], num_products: int) -> tuple[Towers, np.ndarray]:
    """Train on all steps but each user's newest, by which the best epoch is chosen."""
    steps = Steps(before, num_products)
    own = np.where(steps.shares > 0, np.arange(1, num_products + 1), 0)
    popularity = np.log1p(steps.shares * steps.size)[:, None]
    columns = TowerColumns(
        dense={},
        codes=np.zeros((num_products, 1), np.int64),
        own=own,
        price=np.full(num_products, np.nan, np.float32),
        popularity=((popularity - popularity.mean()) / popularity.std()).astype(np.float32),
    )
    torch.manual_seed(0)
    towers = Towers(msgspec.structs.replace(SHAPE, num_own=num_products))
    judged = [items for items in before if len(items) > 1][:JUDGED]
    target = np.array([items[-1] for items in judged])

    def measure(made: Towers, vectors: Float32[np.ndarray, "n d"]) -> float:
        scores = scores_of(made, vectors, [items[:-1] for items in judged])
        place = (scores >= scores[np.arange(len(target)), target][:, None]).sum(axis=1)
        return float((place <= 10).mean())

    found = train(
        towers, columns, steps, measure, SETTINGS, lambda s, count: track(s, "towers", count)
    )
    return found.towers, found.vectors


def scores_of(
    towers: Towers, vectors: Float32[np.ndarray, "n d"], histories: list[np.ndarray]
) -> Float32[np.ndarray, "u n"]:
    """Return every product's score for each history; what it holds is out of the question."""
    towers.eval()
    table, found = torch.from_numpy(vectors), []
    with torch.inference_mode():
        for start in range(0, len(histories), AT_ONCE):
            part = histories[start : start + AT_ONCE]
            asked, meant = towers.query(queries_of(part), table)
            scores = similarities(asked, meant, table, vectors.shape[1]).numpy()
            for place, items in enumerate(part):
                scores[place, items] = -np.inf
            found.append(scores)
    towers.train()
    return np.concatenate(found)
