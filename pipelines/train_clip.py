"""Trains a small open_clip model on a shop's own pictures and texts."""

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import msgspec
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

from pipelines.clip_pairs import Pairs, gather_pairs
from pipelines.config import ClipConfig, ConfigError
from pipelines.durable import flush
from pipelines.errors import TrainingError, UserError
from pipelines.progress import Track
from pipelines.shop import Shop
from retrieval.clip import DESCRIPTION, Clip, new_clip_model
from retrieval.weights import EncoderError

REPORT = "training.json"
K = 10
WARM_UP = 0.1  # share of the training in which the learning rate rises
LARGEST_SCALE = math.log(100)  # of the logits, as in CLIP (Radford et al. 2021, section 2.5)
LONGEST_GRADIENT = 1.0
SCORED_AT_ONCE = 1000
SHIFT = 16  # a picture moves by at most one part in this of its width
WHITE = 255


class ClipReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was trained on what, and how well it finds pictures that it has not seen."""

    shop: str  # fingerprint
    settings: ClipConfig
    seed: int
    pairs: int
    left_out: int
    unreadable: int
    held_out: int
    steps: int
    epochs: float
    seconds: float
    loss: float
    recall_at_10: float | None  # text to picture, among the held-out pictures, if any
    chance: float | None

    def line(self) -> str:
        """Return the report as one sentence."""
        found = (
            "nothing was held out to measure on"
            if self.recall_at_10 is None
            else f"text to picture recall@{K} among {self.held_out:,} held-out pictures "
            f"{self.recall_at_10:.3f} (chance {self.chance:.4f})"
        )
        return (
            f"{self.pairs:,} pairs, {self.steps:,} steps ({self.epochs:.1f} epochs) in "
            f"{self.seconds:,.0f} s, loss {self.loss:.3f}; {found}"
        )


def train_clip(
    shop: Path, out: Path, settings: ClipConfig, track: Track, *, seed: int = 0, threads: int = 2
) -> ClipReport:
    """Train on a shop's pairs and write the folder `out`, whole or not at all.

    Without `max_seconds`, the same shop, settings and seed give the same model on one machine.
    """
    _refuse_to_overwrite(out)
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    try:
        clip = new_clip_model(settings.model)
    except EncoderError as e:
        raise ConfigError(f"clip.model: {e}") from None
    opened = Shop(shop)
    gathered = gather_pairs(
        opened, clip, settings.fields, settings.max_pairs, seed=seed, track=track
    )
    kept, held = _split(gathered.pairs, settings.held_out)
    start = monotonic()
    steps, loss = _fit(clip, gathered.pairs, kept, settings, track)
    report = ClipReport(
        shop=opened.fingerprint(),
        settings=settings,
        seed=seed,
        pairs=len(kept),
        left_out=gathered.left_out,
        unreadable=gathered.unreadable,
        held_out=len(torch.unique(gathered.pairs.picture[held])),
        steps=steps,
        epochs=steps / _steps_per_epoch(len(kept), settings),
        seconds=monotonic() - start,
        loss=loss,
        **_measured(clip, gathered.pairs, held),
    )
    _publish(clip, report, out)
    return report


def already_trained(shop: Path, out: Path, settings: ClipConfig, *, seed: int = 0) -> bool:
    """Tell whether `out` holds what `train_clip` would make of this shop and these settings."""
    try:
        report = msgspec.json.decode((out / REPORT).read_bytes(), type=ClipReport)
    except (OSError, msgspec.DecodeError):
        return False
    same = report.settings == settings and report.seed == seed
    return same and report.shop == Shop(shop).fingerprint()


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


def hits_at_k(
    texts: Float32[np.ndarray, "q d"],
    pictures: Float32[np.ndarray, "p d"],
    right: Int64[np.ndarray, "q"],
    k: int = K,
) -> Bool[np.ndarray, "q"]:
    """Tell of each text whether its right picture is among the k nearest; a tie counts as lost."""
    hits = np.empty(len(texts), bool)
    for start in range(0, len(texts), SCORED_AT_ONCE):
        part = slice(start, start + SCORED_AT_ONCE)
        scores = texts[part] @ pictures.T
        own = scores[np.arange(len(scores)), right[part]]
        hits[part] = (scores >= own[:, None]).sum(axis=1) <= k
    return hits


def learning_rate_at(progress: float) -> float:
    """Return the share of the highest rate: a linear rise, then half a cosine down to zero."""
    if progress < WARM_UP:
        return max(progress, WARM_UP / 100) / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


def _split(pairs: Pairs, held_out: float) -> tuple[Int64[Tensor, "kept"], Int64[Tensor, "held"]]:
    """Return rows to learn from and rows to measure on, which share no picture."""
    pictures = torch.randperm(len(pairs.pixels))
    chosen = torch.zeros(len(pairs.pixels), dtype=torch.bool)
    chosen[pictures[: round(held_out * len(pictures))]] = True
    held = chosen[pairs.picture]
    return (~held).nonzero().flatten(), held.nonzero().flatten()


def _fit(
    clip: Clip, pairs: Pairs, rows: Int64[Tensor, "kept"], settings: ClipConfig, track: Track
) -> tuple[int, float]:
    """Train until the epochs or the seconds are over; return steps taken and the last loss."""
    optimizer = _optimizer(clip, settings)
    clip.network.train()
    steps, mean_loss = 0, math.nan
    total = settings.epochs * _steps_per_epoch(len(rows), settings)
    for progress, batch in track(_batches(rows, total, settings), "train clip", total):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * learning_rate_at(progress)
        loss = _step(clip, pairs, batch, optimizer)
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} after {steps} steps; lower clip.learning_rate "
                f"({settings.learning_rate:g})"
            )
        mean_loss = loss if steps == 0 else 0.95 * mean_loss + 0.05 * loss
        steps += 1
    clip.network.eval()
    return steps, mean_loss


def _step(
    clip: Clip, pairs: Pairs, batch: Int64[Tensor, "b"], optimizer: torch.optim.Optimizer
) -> float:
    picture, text = pairs.picture[batch], pairs.text[batch]
    seen = clip.see(_shifted(pairs.pixels[picture]))
    read = clip.read(pairs.tokens[text])
    belong = (picture[:, None] == picture) | (text[:, None] == text)
    scale = clip.log_scale
    loss = contrastive_loss(scale.exp() * seen @ read.T, belong.to(seen.device))
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    clip_grad_norm_(clip.network.parameters(), LONGEST_GRADIENT)
    optimizer.step()
    with torch.no_grad():
        scale.clamp_(max=LARGEST_SCALE)
    return float(loss.detach())


def _shifted(pixels: UInt8[Tensor, "b 3 h w"]) -> UInt8[Tensor, "b 3 h w"]:
    """Move a batch a little, over white, so that no pixel can be learnt by heart."""
    height, width = pixels.shape[-2:]
    most = max(1, width // SHIFT)
    down, right = torch.randint(0, 2 * most + 1, (2,)).tolist()
    padded = F.pad(pixels, (most, most, most, most), value=WHITE)
    return padded[..., down : down + height, right : right + width]


def _batches(
    rows: Int64[Tensor, "kept"], total: int, settings: ClipConfig
) -> Iterator[tuple[float, Int64[Tensor, "b"]]]:
    """Yield how far the training is, from 0 to 1, and the next rows; end when the time is up."""
    start = monotonic()
    size = min(settings.batch_size, len(rows))
    step = 0
    while True:
        for batch in torch.split(rows[torch.randperm(len(rows))], size):
            spent = (monotonic() - start) / settings.max_seconds if settings.max_seconds else 0.0
            progress = max(step / total, spent)
            if progress >= 1:
                return
            if len(batch) == size:
                step += 1
                yield progress, batch


def _steps_per_epoch(num_pairs: int, settings: ClipConfig) -> int:
    return num_pairs // min(settings.batch_size, num_pairs)


def _optimizer(clip: Clip, settings: ClipConfig) -> torch.optim.Optimizer:
    """Return AdamW; only matrices that multiply are decayed, not tables, scales or biases."""
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in clip.network.named_parameters():
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


def _measured(clip: Clip, pairs: Pairs, held: Int64[Tensor, "held"]) -> dict[str, float | None]:
    if not len(held):
        return {"recall_at_10": None, "chance": None}
    pictures, right = torch.unique(pairs.picture[held], return_inverse=True)
    with torch.inference_mode():
        seen = torch.cat(
            [clip.see(pairs.pixels[rows]) for rows in torch.split(pictures, SCORED_AT_ONCE)]
        )
        texts = torch.split(pairs.text[held], SCORED_AT_ONCE)
        read = torch.cat([clip.read(pairs.tokens[rows]) for rows in texts])
    hits = hits_at_k(read.cpu().numpy(), seen.cpu().numpy(), right.numpy())
    return {"recall_at_10": float(hits.mean()), "chance": min(1.0, K / len(pictures))}


def _refuse_to_overwrite(out: Path) -> None:
    if out.exists() and not (out / DESCRIPTION).is_file() and (out.is_file() or any(out.iterdir())):
        raise UserError(
            f"{out} holds something that is no image encoder (no {DESCRIPTION}); it is left as "
            "it is: choose another folder, or empty it"
        )


def _publish(clip: Clip, report: ClipReport, out: Path) -> None:
    """Write beside `out`, then rename, so that `out` is the old model or the new one, whole."""
    draft, old = (out.with_name(f".{out.name}.{kind}") for kind in ("draft", "old"))
    for left in (draft, old):
        shutil.rmtree(left, ignore_errors=True)
    clip.save(draft)
    (draft / REPORT).write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    for path in draft.iterdir():
        flush(path)
    if out.exists():
        out.rename(old)
    draft.rename(out)
    flush(out.parent)
    shutil.rmtree(old, ignore_errors=True)
