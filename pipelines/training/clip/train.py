"""Trains an open_clip model on a shop's own pictures and texts, a new one or one that is there."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
import xxhash
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor

from pipelines.config.sections import ClipConfig
from pipelines.durable.files import replaced_folder
from pipelines.errors import ConfigError, UserError
from pipelines.metrics.intervals import Interval, mean_interval
from pipelines.progress import Track
from pipelines.shop.reader import Shop
from pipelines.training.checkpoint import checkpoint_folder, remove_checkpoint
from pipelines.training.clip.loop import ClipTraining, ClipTrainingState, fit, steps_per_epoch
from pipelines.training.clip.pairs import PicturePairs, gather_pairs
from pipelines.training.model_card import CardMetric, ModelCard, write_model_card
from retrieval.encoders.clip.model import Clip
from retrieval.encoders.clip.opening import is_trained, new_clip_model, open_clip_model
from retrieval.encoders.clip.saved import DESCRIPTION
from retrieval.encoders.weights import EncoderError

REPORT = "training.json"
K = 10
SCORED_AT_ONCE = 1000


class ClipReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was trained on what, and how well it finds pictures that it has not seen.

    The recall is that of the best epoch, which was chosen by it: a little too good.
    """

    shop: str  # fingerprint
    settings: ClipConfig
    seed: int
    pairs: int
    left_out: int
    unreadable: int
    held_out: int
    steps: int
    epochs: float
    best_epoch: int
    seconds: float
    loss: float
    recall_at_10: float | None  # text to picture, among the held-out pictures, if any
    low: float | None = None  # where it lies with 95 % confidence
    high: float | None = None
    before: float | None = None  # of the model that the training went on from
    chance: float | None = None

    def line(self) -> str:
        """Return the report as one sentence."""
        found = (
            "nothing was held out to measure on"
            if self.recall_at_10 is None
            else f"text to picture recall@{K} among {self.held_out:,} held-out pictures "
            f"{self.recall_at_10:.3f} [{self.low:.3f}, {self.high:.3f}] "
            f"after epoch {self.best_epoch} (chance {self.chance:.4f}"
            + (")" if self.before is None else f", before {self.before:.3f})")
        )
        return (
            f"{self.pairs:,} pairs, {self.steps:,} steps ({self.epochs:.1f} epochs) in "
            f"{self.seconds:,.0f} s, loss {self.loss:.3f}; {found}"
        )


def train_clip(
    shop: Path, out: Path, settings: ClipConfig, track: Track, *, seed: int = 0, threads: int = 2
) -> ClipReport:
    """Train on a shop's pairs and write the folder `out`, whole or not at all.

    A folder, a hub id or an architecture with `pretrained` is trained on; an architecture alone
    starts anew. Without `max_seconds`, the same shop, settings and seed give the same model on
    one machine, also where the training was killed and begun again.
    """
    _refuse_to_overwrite(out)
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    clip = _opened(settings)
    opened = Shop(shop)
    gathered = gather_pairs(opened, clip, settings, seed=seed, track=track)
    pairs = gathered.pairs.near(clip.device)
    rows, held_out = _split(pairs, settings.held_out)
    test = _HeldOut(clip, pairs, held_out)
    key = _key(opened.fingerprint(), clip.fingerprint(), settings, seed)
    measure, folder = test.recall if len(held_out) else None, checkpoint_folder(out)
    job = ClipTraining(clip, pairs, rows, settings, seed, measure, folder, key)
    goes_on = is_trained(settings.model, settings.pretrained) and len(held_out) > 0
    before = test.recall() if goes_on else None
    state = fit(job, track)
    report = ClipReport(
        shop=opened.fingerprint(),
        left_out=gathered.left_out,
        unreadable=gathered.unreadable,
        before=before,
        **_course(job, state),
        **test.described(),
    )
    _publish(clip, report, opened.meta.name, out)
    remove_checkpoint(job.folder)
    return report


def _course(job: ClipTraining, state: ClipTrainingState) -> dict[str, Any]:
    """Return how the training went, as a report has it."""
    return {
        "settings": job.settings,
        "seed": job.seed,
        "pairs": len(job.rows),
        "steps": state.steps,
        "epochs": state.steps / steps_per_epoch(len(job.rows), job.settings),
        "best_epoch": state.best_epoch,
        "seconds": state.seconds,
        "loss": state.loss,
    }


def _opened(settings: ClipConfig) -> Clip:
    """Return the model to train, with its locked sides; ConfigError says which key is wrong."""
    if settings.lock_text and settings.lock_image:
        raise ConfigError(
            "clip.lock_text and clip.lock_image are both true, which leaves nothing to learn; "
            "lock one side"
        )
    try:
        if is_trained(settings.model, settings.pretrained):
            clip = open_clip_model(settings.model, settings.pretrained)
        else:
            clip = new_clip_model(settings.model)
    except EncoderError as e:
        raise ConfigError(f"clip.model: {e}") from None
    clip.lock(text=settings.lock_text, image=settings.lock_image)
    return clip


def _key(shop: str, start: str, settings: ClipConfig, seed: int) -> str:
    """Return what an unfinished training must have in common with this one to go on."""
    asked = msgspec.json.encode((shop, start, settings, seed))
    return xxhash.xxh3_128_hexdigest(asked)


def already_trained(shop: Path, out: Path, settings: ClipConfig, *, seed: int = 0) -> bool:
    """Tell whether `out` holds what `train_clip` would make of this shop and these settings."""
    try:
        report = msgspec.json.decode((out / REPORT).read_bytes(), type=ClipReport)
    except (OSError, msgspec.DecodeError):
        return False
    same = report.settings == settings and report.seed == seed
    return same and report.shop == Shop(shop).fingerprint()


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


def _split(
    pairs: PicturePairs, share: float
) -> tuple[Int64[Tensor, "rows"], Int64[Tensor, "held"]]:
    """Return rows to learn from and rows to measure on, which share no picture."""
    pictures = torch.randperm(len(pairs.pixels))
    chosen = torch.zeros(len(pairs.pixels), dtype=torch.bool)
    chosen[pictures[: round(share * len(pictures))]] = True
    held_out = chosen[pairs.picture]
    return (~held_out).nonzero().flatten(), held_out.nonzero().flatten()


class _HeldOut(NamedTuple):
    """Pairs that are not learnt from, and how well a model finds their pictures by their texts."""

    clip: Clip
    pairs: PicturePairs
    rows: Int64[Tensor, "held"]

    def recall(self) -> float:
        """Return the share of the texts that find their picture."""
        return float(self._hits().mean())

    def described(self) -> dict[str, Any]:
        """Return the figures of a report; no recall where nothing is held out."""
        count = len(torch.unique(self.pairs.picture[self.rows]))
        if not len(self.rows):
            return {"held_out": count, "recall_at_10": None}
        values: Float64[np.ndarray, "held 1"] = self._hits()[:, None].astype(np.float64)
        interval = mean_interval(values)[0]
        return {
            "held_out": count,
            "recall_at_10": interval.mean,
            "low": interval.low,
            "high": interval.high,
            "chance": min(1.0, K / count),
        }

    def _hits(self) -> Bool[np.ndarray, "held"]:
        """Tell of each held-out text whether it finds its picture among the held-out ones."""
        clip, pairs = self.clip, self.pairs
        pictures, right = torch.unique(pairs.picture[self.rows], return_inverse=True)
        with torch.inference_mode():
            parts = torch.split(pictures, SCORED_AT_ONCE)
            seen = torch.cat([clip.encode_pixels(pairs.pixels[rows]) for rows in parts])
            texts = torch.split(pairs.text[self.rows], SCORED_AT_ONCE)
            read = torch.cat([clip.encode_tokens(pairs.tokens[rows]) for rows in texts])
        return hits_at_k(read.cpu().numpy(), seen.cpu().numpy(), right.numpy())


def _refuse_to_overwrite(out: Path) -> None:
    if out.exists() and not (out / DESCRIPTION).is_file() and (out.is_file() or any(out.iterdir())):
        raise UserError(
            f"{out} holds something that is no image encoder (no {DESCRIPTION}); it is left as "
            "it is: choose another folder, or empty it"
        )


def _publish(clip: Clip, report: ClipReport, shop: str, out: Path) -> None:
    with replaced_folder(out) as draft:
        clip.save(draft)
        (draft / REPORT).write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
        write_model_card(draft, _card(report, shop))


def _card(report: ClipReport, shop: str) -> ModelCard:
    settings = report.settings
    started = settings.model if report.before is not None else f"{settings.model}, new weights"
    return ModelCard(
        title="Pictures and texts of one shop in one space",
        summary=(
            f"An open_clip model trained by `vetrina train clip` on the shop {shop}: "
            f"{report.steps:,} steps, {report.epochs:.1f} epochs, {report.seconds:,.0f} s. "
            f"Kept are the weights after epoch {report.best_epoch}."
        ),
        base_model=started,
        trained_on=datetime.now(UTC).date(),
        data={f"pictures and {', '.join(settings.fields)} of {shop}": report.shop},
        splits={
            "training": f"{report.pairs:,} distinct pairs of a picture and a text",
            "held out": f"{report.held_out:,} pictures and their texts, never trained on; "
            "the epoch was chosen by them",
        },
        settings={**msgspec.to_builtins(settings), "seed": report.seed},
        measured=_measurements(report),
        notes=(
            f"{report.left_out:,} pairs were left out, {report.unreadable:,} pictures unreadable.",
            "The figure on the held-out pictures is a little too good, as the best epoch was "
            "chosen by it; measure on other products before you rely on it.",
            "Licences and limits are those of the shop's own pictures and texts.",
        ),
    )


def _measurements(report: ClipReport) -> tuple[CardMetric, ...]:
    if report.recall_at_10 is None or report.low is None or report.high is None:
        return ()
    nan = float("nan")
    before = None if report.before is None else Interval(report.before, nan, nan)
    found = Interval(report.recall_at_10, report.low, report.high)
    name = f"text to picture recall@{K}"
    return (
        CardMetric(split="held out", metric=name, size=report.held_out, after=found, before=before),
    )
