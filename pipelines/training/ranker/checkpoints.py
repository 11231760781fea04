"""Keeps an unfinished training of the ranker between its epochs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import xxhash

from pipelines.training.checkpoint import State, load_checkpoint, save_checkpoint
from ranking.features.definitions import NAMES
from ranking.network.examples import Example, RankedProducts
from ranking.network.model import Model, RankerSettings
from ranking.network.training import Progress


class RankerState(State, frozen=True, kw_only=True):
    """How far the training of a ranker is."""

    ndcg_by_epoch: tuple[float, ...]


class CheckpointKeeper:
    """Keeps a training between its epochs; the same requests and settings go on where it was."""

    def __init__(
        self,
        folder: Path,
        products: RankedProducts,
        examples: Sequence[Example],
        settings: RankerSettings,
    ) -> None:
        self.folder = folder
        self._key = _key(products, examples, settings)

    def load(self, model: Model, optimizer: torch.optim.Optimizer) -> Progress:
        """Bring model and optimizer back to where they were; the start where nothing is kept."""
        kept = load_checkpoint(self.folder, RankerState, self._key, model, optimizer)
        return Progress(kept.state.ndcg_by_epoch, kept.best or None) if kept else Progress()

    def save(self, progress: Progress, model: Model, optimizer: torch.optim.Optimizer) -> None:
        """Write weights and moments, the best weights so far, and the epochs done."""
        state = RankerState(key=self._key, ndcg_by_epoch=progress.ndcg_by_epoch)
        save_checkpoint(self.folder, state, model, optimizer, progress.best or {})


def _key(products: RankedProducts, examples: Sequence[Example], settings: RankerSettings) -> str:
    """Return a hash over all that the training depends on."""
    digest = xxhash.xxh3_128(repr((NAMES, settings)).encode())
    for column in products:
        digest.update(np.ascontiguousarray(column).data)
    for one in examples:
        for part in (one.rows, one.features, one.labels, one.weights, *one.context):
            if part is not None:
                digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()
