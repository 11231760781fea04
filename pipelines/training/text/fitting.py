"""The loop that trains a sentence encoder, its checks, and what it goes on from."""

from pathlib import Path
from time import monotonic
from typing import Any

import torch
from jaxtyping import Float32
from msgspec.structs import replace
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from pipelines.config.sections import TextTrainingConfig
from pipelines.errors import TrainingError
from pipelines.progress import Track
from pipelines.training.checkpoint import State, Weights, load_checkpoint, save_checkpoint
from pipelines.training.schedule import LONGEST_GRADIENT, SCHEDULE
from pipelines.training.text.batches import TextBatch, TextData
from pipelines.training.text.losses import graded_loss
from pipelines.training.text.measuring import copied_weights, validated
from retrieval.learning_rate import set_learning_rate


class TextTrainingState(State, frozen=True, kw_only=True):
    """How far a training is."""

    score: float  # of the best check so far
    step: int = 0
    seconds: float = 0.0
    worse: int = 0  # checks since the best one
    first: bool = True  # no check yet: the best is the model as it was


class TextFit:
    """One training: the loop, its checks, and what it goes on from."""

    def __init__(
        self, model: Any, data: TextData, settings: TextTrainingConfig, folder: Path, key: str
    ) -> None:
        self.model, self.data, self.settings = model, data, settings
        self.folder, self.key = folder, key
        self.trained = _freeze_vocabulary(model)
        self.optimizer = torch.optim.AdamW(
            self.trained.values(), lr=settings.learning_rate, weight_decay=0.01, fused=True
        )

    def run(self, track: Track) -> tuple[TextTrainingState, Weights]:
        """Train until the epochs or the seconds are over, or no check gains any more.

        Return how far that was, and the weights of the best check.
        """
        restored = load_checkpoint(
            self.folder, TextTrainingState, self.key, self.model, self.optimizer
        )
        state, best = restored or (
            TextTrainingState(key=self.key, score=validated(self.model, self.data)),
            copied_weights(self.model),
        )
        batches = self.data.training * self.settings.epochs
        due = 1 + int(self._progress(state) * self.settings.checks)
        begun = monotonic() - state.seconds
        for batch in track(iter(batches[state.step :]), "train text", len(batches)):
            if self._progress(state) >= 1 or state.worse >= self.settings.patience:
                break
            torch.manual_seed(state.step)  # so that a training that goes on drops the same units
            self._step(batch, self._progress(state))
            state = replace(state, step=state.step + 1, seconds=monotonic() - begun)
            if self._progress(state) >= due / self.settings.checks:
                due += 1
                state, best = self._checked(state, best)
        return state, best

    def _progress(self, state: TextTrainingState) -> float:
        steps = len(self.data.training) * self.settings.epochs
        limit = self.settings.max_seconds
        return min(1.0, max(state.step / steps, state.seconds / limit if limit else 0.0))

    def _step(self, batch: TextBatch, progress: float) -> None:
        set_learning_rate(self.optimizer, self.settings.learning_rate * SCHEDULE.at(progress))
        self.model.train()
        loss = graded_loss(
            _embed(self.model, batch.queries),
            _embed(self.model, batch.titles),
            torch.tensor(batch.owner),
            torch.tensor(batch.relevance),
            [min(dim, self.model.get_embedding_dimension()) for dim in self.settings.dims],
        )
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is {float(loss)}; lower text_training.learning_rate "
                f"({self.settings.learning_rate:g})"
            )
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        clip_grad_norm_(self.trained.values(), LONGEST_GRADIENT)
        self.optimizer.step()

    def _checked(
        self, state: TextTrainingState, best: Weights
    ) -> tuple[TextTrainingState, Weights]:
        """Measure, save, and return the better weights."""
        score = validated(self.model, self.data)
        if score > state.score or state.first:
            best = copied_weights(self.model)
            state = replace(state, score=score, worse=0, first=False)
        else:
            state = replace(state, worse=state.worse + 1)
        save_checkpoint(self.folder, state, self.model, self.optimizer, best)
        return state, best


def _freeze_vocabulary(model: Any) -> dict[str, Tensor]:
    """Keep the tables of tokens, which few pairs would tear; return what is trained."""
    trained = {}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("embeddings" not in name)
        if parameter.requires_grad:
            trained[name] = parameter
    return trained


def _embed(model: Any, texts: list[str]) -> Float32[Tensor, "n d"]:
    """Return vectors that gradients flow through; texts of like length are padded together."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    halves = [order[: len(order) // 2], order[len(order) // 2 :]] if len(order) > 32 else [order]
    vectors = [
        model(model.preprocess([texts[i] for i in half]))["sentence_embedding"] for half in halves
    ]
    back = torch.empty(len(order), dtype=torch.int64)
    back[torch.tensor(order)] = torch.arange(len(order))
    return torch.cat(vectors)[back]
