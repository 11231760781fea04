"""The loop that fits a model of pictures and texts: epochs, early end, checkpoints."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import msgspec
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

from pipelines.config.sections import ClipConfig
from pipelines.errors import TrainingError
from pipelines.progress import Track
from pipelines.training.checkpoint import (
    State,
    Weights,
    load_checkpoint,
    remove_checkpoint,
    save_checkpoint,
)
from pipelines.training.clip.augmentation import shifted, varied, without_some
from pipelines.training.clip.pairs import PicturePairs
from pipelines.training.schedule import LONGEST_GRADIENT, SCHEDULE
from retrieval.encoders.clip.model import Clip
from retrieval.encoders.precision import in_halves
from retrieval.learning_rate import set_learning_rate

LARGEST_SCALE = math.log(100)  # of the logits, as in CLIP (Radford et al. 2021, section 2.5)
EPOCHS_OF_A_SEED = 1_000_003  # so that no epoch of one seed draws what one of another draws

Measure = Callable[[], float]  # recall on what was held out


class ClipTrainingState(State, frozen=True, kw_only=True):
    """How far a training is, after whole epochs."""

    epoch: int = 0  # epochs that are done
    steps: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    best_epoch: int = 0  # 0: none was measured
    best_recall: float = -1.0


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


class TrainingStep(NamedTuple):
    """The next rows, how far the training is from 0 to 1, and whether the epoch ends with it."""

    progress: float
    rows: Int64[Tensor, "b"]
    last: bool


def fit(job: ClipTraining, track: Track) -> ClipTrainingState:
    """Train until the epochs, the seconds or the patience are over; the best epoch stays.

    A training that was killed goes on after the last epoch that its checkpoint holds.
    """
    optimizer = _optimizer(job.clip, job.settings)
    restored = load_checkpoint(job.folder, ClipTrainingState, job.key, job.clip.network, optimizer)
    state, best = restored or (ClipTrainingState(key=job.key), {})
    start = saved = monotonic()
    before = state.seconds
    total = job.settings.epochs * steps_per_epoch(len(job.rows), job.settings)
    job.clip.train()
    finished = False
    steps = _steps(job, state, total)
    for step in track(steps, "train clip", max(total - state.steps, 0)):
        state, finished = _advanced(job, step, optimizer, state), step.last
        if not step.last:
            continue
        state = msgspec.structs.replace(
            state, epoch=state.epoch + 1, seconds=before + monotonic() - start
        )
        state, best = _judged(job, state, best)
        if monotonic() - saved >= job.settings.checkpoint_seconds:
            save_checkpoint(job.folder, state, job.clip.network, optimizer, best)
            saved = monotonic()
        if _is_stale(job.settings, state):
            break
    if not finished and state.steps:  # the time was over within an epoch
        state, best = _judged(job, msgspec.structs.replace(state, epoch=state.epoch + 1), best)
    if best:
        job.clip.network.load_state_dict(best)
    job.clip.network.eval()
    return msgspec.structs.replace(state, seconds=before + monotonic() - start)


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


def _advanced(
    job: ClipTraining,
    step: TrainingStep,
    optimizer: torch.optim.Optimizer,
    state: ClipTrainingState,
) -> ClipTrainingState:
    set_learning_rate(optimizer, job.settings.learning_rate * SCHEDULE.at(step.progress))
    loss = _take(job, step.rows, optimizer)
    if not math.isfinite(loss):
        remove_checkpoint(job.folder)
        raise TrainingError(
            f"the loss is {loss} after {state.steps} steps; lower clip.learning_rate "
            f"({job.settings.learning_rate:g})"
        )
    mean = loss if state.steps == 0 else 0.95 * state.loss + 0.05 * loss
    return msgspec.structs.replace(state, steps=state.steps + 1, loss=mean)


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


def _judged(
    job: ClipTraining, state: ClipTrainingState, best: Weights
) -> tuple[ClipTrainingState, Weights]:
    """Measure an epoch; return its weights where it is the best so far."""
    if job.measure is None:
        return msgspec.structs.replace(state, best_epoch=state.epoch), best
    job.clip.network.eval()
    recall = job.measure()
    job.clip.train()
    if recall < state.best_recall:
        return state, best
    weights = {
        name: tensor.detach().clone() for name, tensor in job.clip.network.state_dict().items()
    }
    return msgspec.structs.replace(state, best_epoch=state.epoch, best_recall=recall), weights


def _is_stale(settings: ClipConfig, state: ClipTrainingState) -> bool:
    return bool(settings.patience) and state.epoch - state.best_epoch >= settings.patience


def _steps(job: ClipTraining, state: ClipTrainingState, total: int) -> Iterator[TrainingStep]:
    """Yield the steps that are left; an epoch's draws depend on its number and the seed alone."""
    start = monotonic()
    settings = job.settings
    size = min(settings.batch_size, len(job.rows))
    per_epoch = len(job.rows) // size
    for epoch in range(state.epoch, settings.epochs):
        if _is_stale(settings, state):
            return
        torch.manual_seed(job.seed * EPOCHS_OF_A_SEED + epoch)
        drawn = torch.split(job.rows[torch.randperm(len(job.rows))], size)[:per_epoch]
        for place, rows in enumerate(drawn):
            spent = state.seconds + monotonic() - start
            by_time = spent / settings.max_seconds if settings.max_seconds else 0.0
            progress = max((epoch * per_epoch + place) / total, by_time)
            if progress >= 1:
                return
            yield TrainingStep(progress, rows, place == per_epoch - 1)


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
