"""The loop that fits a model of pictures and texts: epochs, early end, checkpoints."""

import math
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

from pipelines.config.sections import ClipConfig
from pipelines.errors import TrainingError
from pipelines.progress import Track
from pipelines.training.checkpoint import (
    Restored,
    State,
    load_checkpoint,
    remove_checkpoint,
    save_checkpoint,
)
from pipelines.training.clip.augmentation import shifted, varied, without_some
from pipelines.training.clip.pairs import PicturePairs
from pipelines.training.schedule import LONGEST_GRADIENT, SCHEDULE
from retrieval import training_loop
from retrieval.encoders.clip.model import Clip
from retrieval.encoders.networks.precision import in_halves
from retrieval.training_loop import TrainingPlan, TrainingProgress

LARGEST_SCALE = math.log(100)  # of the logits, as in CLIP (Radford et al. 2021, section 2.5)
UNMEASURED = -1.0
EPOCHS_OF_A_SEED = 1_000_003  # so that no epoch of one seed draws what one of another draws

Measure = Callable[[], float]  # recall on what was held out


class ClipTrainingState(State, frozen=True, kw_only=True):
    """How far a training is, after whole epochs."""

    epoch: int = 0  # epochs that are done
    steps: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    best_epoch: int = 0  # 0: none was measured
    best_recall: float = UNMEASURED


class ClipTraining(NamedTuple):
    """What is trained on which rows, how its epochs are judged, and where it is kept."""

    clip: Clip
    pairs: PicturePairs
    rows: Int64[Tensor, "kept"]
    settings: ClipConfig
    seed: int
    measure: Measure | None  # None: nothing is held out, the last epoch is kept
    folder: Path  # of the checkpoint
    key: str


def fit(job: ClipTraining, track: Track) -> ClipTrainingState:
    """Train until the epochs, the seconds or the patience are over; the best epoch stays.

    A training that was killed goes on after the last epoch that its checkpoint holds.
    """
    settings = job.settings
    learner = _ClipLearner(job)
    plan = TrainingPlan(
        epochs=settings.epochs,
        steps_an_epoch=steps_per_epoch(len(job.rows), settings),
        learning_rate=settings.learning_rate,
        schedule=SCHEDULE,
        patience=settings.patience,
        max_seconds=settings.max_seconds,
        ties_gain=True,
    )
    left = settings.max_seconds - learner.restored.seconds if settings.max_seconds else None
    done = training_loop.fit(
        learner,
        plan,
        lambda steps, total: track(steps, "train clip", total, left),
        learner.restored,
    )
    job.clip.network.eval()
    return learner.state(done)


class _ClipLearner:
    """Learns from pairs in an order that each epoch draws anew."""

    def __init__(self, job: ClipTraining) -> None:
        self._job = job
        self.module = job.clip.network
        self.optimizer = _optimizer(job.clip, job.settings)
        self._saved = monotonic()
        self._steps, self._loss = 0, 0.0  # the mean of the last steps
        self.restored = TrainingProgress()
        kept = load_checkpoint(job.folder, ClipTrainingState, job.key, self.module, self.optimizer)
        if kept is not None:
            self._steps, self._loss, self.restored = _restored(kept)
        self._size = min(job.settings.batch_size, len(job.rows))
        job.clip.train()

    def state(self, done: TrainingProgress) -> ClipTrainingState:
        """Return how far the training is, as a checkpoint holds it."""
        return ClipTrainingState(
            key=self._job.key,
            epoch=done.epochs,
            steps=self._steps,
            loss=self._loss,
            seconds=done.seconds,
            best_epoch=done.best_epoch,
            best_recall=max(done.best_worth, UNMEASURED),
        )

    def begin(self, epoch: int) -> None:
        """Draw an order, which depends on the number of the epoch and the seed alone."""
        torch.manual_seed(self._job.seed * EPOCHS_OF_A_SEED + epoch)
        rows = self._job.rows
        self._batches = torch.split(rows[torch.randperm(len(rows))], self._size)

    def take(self, step: int) -> None:
        """Learn from one batch; TrainingError where the loss is no number."""
        job = self._job
        loss = _take(job, self._batches[step % (len(job.rows) // self._size)], self.optimizer)
        if not math.isfinite(loss):
            remove_checkpoint(job.folder)
            raise TrainingError(
                f"the loss is {loss} after {self._steps} steps; lower clip.learning_rate "
                f"({job.settings.learning_rate:g})"
            )
        self._loss = loss if self._steps == 0 else 0.95 * self._loss + 0.05 * loss
        self._steps += 1

    def judge(self) -> float | None:
        """Return the recall on what was held out."""
        if self._job.measure is None:
            return None
        self.module.eval()
        recall = self._job.measure()
        self._job.clip.train()
        return recall

    def keep(self, progress: TrainingProgress) -> None:
        """Write a checkpoint where the last one is old enough."""
        if monotonic() - self._saved < self._job.settings.checkpoint_seconds:
            return
        state, best = self.state(progress), progress.best or {}
        save_checkpoint(self._job.folder, state, self.module, self.optimizer, best)
        self._saved = monotonic()


def _restored(kept: Restored[ClipTrainingState]) -> tuple[int, float, TrainingProgress]:
    """Return steps, mean loss and progress of a checkpoint."""
    state = kept.state
    done = TrainingProgress(
        state.epoch, state.best_epoch, state.best_recall, kept.best or None, state.seconds
    )
    return state.steps, state.loss, done


def contrastive_loss(
    similarities: Float[Tensor, "b b"], belong: Bool[Tensor, "b b"]
) -> Float[Tensor, ""]:
    """Return the cross entropy of finding each picture's text and each text's picture.

    `belong[i, j]` is true on the diagonal, and wherever picture i and text j also belong
    together because a picture or a text comes twice: these share the target evenly.
    """
    target = belong.float()
    by_picture = F.cross_entropy(similarities, target / target.sum(1, keepdim=True))
    by_text = F.cross_entropy(similarities.T, target.T / target.T.sum(1, keepdim=True))
    return (by_picture + by_text) / 2


def steps_per_epoch(num_pairs: int, settings: ClipConfig) -> int:
    """Return how many full batches the pairs give."""
    return num_pairs // min(settings.batch_size, num_pairs)


def _take(job: ClipTraining, rows: Int64[Tensor, "b"], optimizer: torch.optim.Optimizer) -> float:
    clip, pairs = job.clip, job.pairs
    picture, text = pairs.picture[rows], pairs.text[rows]
    change = varied if job.settings.augment else shifted
    kind = clip.log_scale.device.type
    with torch.autocast(kind, torch.bfloat16, enabled=in_halves(job.settings.precision, kind)):
        seen = clip.encode_pixels(change(pairs.pixels[picture]))  # [b, d]
    same = picture[:, None] == picture
    loss = _loss(job, seen, pairs.tokens[text], same | (text[:, None] == text))
    if pairs.more_tokens is not None and pairs.more is not None:
        more = pairs.more[rows]
        belong = same | (more[:, None] == more)
        loss = loss + job.settings.more_weight * _loss(job, seen, pairs.more_tokens[more], belong)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    clip_grad_norm_(clip.network.parameters(), LONGEST_GRADIENT)
    optimizer.step()
    with torch.no_grad():
        clip.log_scale.clamp_(max=LARGEST_SCALE)
    return float(loss.detach())


def _loss(
    job: ClipTraining,
    seen: Float[Tensor, "b d"],
    tokens: Int64[Tensor, "b n"],
    belong: Bool[Tensor, "b b"],
) -> Float[Tensor, ""]:
    clip = job.clip
    read = clip.encode_tokens(without_some(tokens, job.settings.drop_words, clip.padding))
    return contrastive_loss(clip.log_scale.exp() * seen @ read.T, belong.to(seen.device))


def _optimizer(clip: Clip, settings: ClipConfig) -> torch.optim.Optimizer:
    """Return AdamW; only matrices that multiply are decayed, not tables, scales or biases."""
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in clip.network.named_parameters():
        if parameter.requires_grad:
            multiplies = parameter.ndim > 1 and "embedding" not in name
            (decayed if multiplies else free).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": settings.weight_decay},
            {"params": free, "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        betas=(0.9, 0.98),
        fused=True,
    )
