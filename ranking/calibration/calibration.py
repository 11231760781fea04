"""Calibration of a head's logits: fits probabilities to past outcomes, by Platt or isotonic."""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, NamedTuple, TypeAlias

import msgspec
import numpy as np
from jaxtyping import Float32, Float64
from msgspec import Meta
from scipy.special import expit, logit

from ranking.calibration.reliability import (
    CalibrationError,
    Figures,
    Labels,
    Probabilities,
    measure,
    refuse_lengths,
)

FILE = "calibration.json"
KINDS = ("recommendation", "search")  # of requests, each with calibrations of its own
MAX_BYTES = 4_000_000  # of that file
MOST_HEADS = 8  # four outcomes of two kinds of requests
MOST_KNOTS = 10_000  # a million labels need some hundreds
LARGEST_LOGIT = float(np.finfo(np.float32).max)
LARGEST_LINE = 1e100  # times the largest logit is still a number

Logits: TypeAlias = Float32[np.ndarray, "c"]


class UnknownCalibration(ValueError):
    """A file that does not hold calibrations of this version."""


class Platt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="platt"):
    """A sigmoid of a line that never falls (Platt, 1999)."""

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        """Refuse a line that falls or leaves the numbers."""
        if not (0 <= self.slope <= LARGEST_LINE and abs(self.intercept) <= LARGEST_LINE):
            raise ValueError(
                f"slope {self.slope} and intercept {self.intercept} should be finite, "
                "and the slope not below 0"
            )

    def probabilities(self, logits: Logits) -> Probabilities:
        """Return one probability a logit, in the order of the logits."""
        _refuse_unfit(logits)
        answer: np.ndarray = expit(self.slope * logits.astype(np.float64) + self.intercept)
        return answer


class Isotonic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="isotonic", dict=True):
    """Isotonic regression: lines between knots that never fall, constant beyond the ends."""

    logits: Annotated[tuple[float, ...], Meta(max_length=MOST_KNOTS)]
    shares: Annotated[tuple[float, ...], Meta(max_length=MOST_KNOTS)]  # observed at these logits

    def __post_init__(self) -> None:
        """Refuse knots that do not ascend, or that are no probabilities."""
        x, y = np.array(self.logits), np.array(self.shares)
        if not 1 <= len(x) == len(y) <= MOST_KNOTS:
            raise ValueError(
                f"{len(x)} logits and {len(y)} shares should be equally many, 1 to {MOST_KNOTS}"
            )
        if not (np.abs(x) <= LARGEST_LOGIT).all() or not (np.diff(x) > 0).all():
            raise ValueError("the logits of the knots should be finite, each above the last")
        if not ((y >= 0) & (y <= 1)).all() or not (np.diff(y) >= 0).all():
            raise ValueError("the shares of the knots should lie in [0, 1], none below the last")

    def probabilities(self, logits: Logits) -> Probabilities:
        """Return one probability a logit, in the order of the logits.

        Not `np.interp`: its rounding can put a logit just below a knot above that knot.
        """
        _refuse_unfit(logits)
        x, y = self._knots
        inside = np.clip(logits.astype(np.float64), x[0], x[-1])
        left = np.minimum(np.searchsorted(x, inside, side="right") - 1, max(len(x) - 2, 0))
        right = np.minimum(left + 1, len(x) - 1)
        width = np.maximum(x[right] - x[left], np.finfo(np.float64).tiny)
        risen = (inside - x[left]) / width * (y[right] - y[left])
        answer: np.ndarray = np.minimum(y[left] + risen, y[right])
        return answer

    @cached_property
    def _knots(self) -> tuple[Float64[np.ndarray, "k"], Float64[np.ndarray, "k"]]:
        return np.array(self.logits), np.array(self.shares)


Calibration: TypeAlias = Platt | Isotonic
SIGMOID = Platt(slope=1.0, intercept=0.0)  # what a head trained on cross entropy says by itself


def fit(name: str, logits: Logits, labels: Labels) -> Calibration:
    """Fit the calibration of this name.

    Labels that are all the same give a constant, close to 0 or 1 as far as their number allows.
    """
    if name not in CALIBRATIONS:
        raise CalibrationError(
            f"unknown calibration {name!r}; choose one of {', '.join(CALIBRATIONS)}"
        )
    refuse_lengths("logits", logits, labels)
    _refuse_unfit(logits)
    return CALIBRATIONS[name](logits.astype(np.float64), labels)


def fit_platt(x: Float64[np.ndarray, "c"], labels: Labels) -> Platt:
    """Fit sigmoid(slope x + intercept) by cross entropy, with the slope held at 0 or above.

    The targets are (n+ + 1) / (n+ + 2) and 1 / (n- + 2) instead of 1 and 0, so that labels which
    a line separates have an answer (Platt 1999, section 2.2; Lin, Lin and Weng 2007).
    """
    from scipy.optimize import minimize  # slow to import, and nobody fits while serving

    positives, negatives = labels.sum(), (~labels).sum()
    targets = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    centre, scale = float(x.mean()), float(x.std()) or 1.0
    z = (x - centre) / scale

    def loss(line: np.ndarray) -> tuple[float, np.ndarray]:
        answers = line[0] * z + line[1]
        gaps = expit(answers) - targets
        value = np.logaddexp(0, answers) - targets * answers
        return float(value.mean()), np.array([(gaps * z).mean(), gaps.mean()])

    level = np.array([0.0, logit(targets.mean())])
    bounds, exact = [(0, None), (None, None)], {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 500}
    line = minimize(loss, level, jac=True, method="L-BFGS-B", bounds=bounds, options=exact).x
    slope = float(line[0]) / scale
    return Platt(slope=slope, intercept=float(line[1]) - slope * centre)


def fit_isotonic(x: Float64[np.ndarray, "c"], labels: Labels) -> Isotonic:
    """Fit the likeliest shares that never fall (Ayer et al. 1955; Zadrozny and Elkan 2002).

    No share comes closer to 0 or 1 than 1 / (n + 2): n labels cannot tell never from seldom.
    """
    from scipy.optimize import isotonic_regression

    logits, place, counts = np.unique(x, return_inverse=True, return_counts=True)
    found = isotonic_regression(np.bincount(place, labels) / counts, weights=counts)
    least = 1 / (len(labels) + 2)
    levels = np.clip(found.x[found.blocks[:-1]], least, 1 - least)
    firsts, lasts = logits[found.blocks[:-1]], logits[found.blocks[1:] - 1]
    ends = np.stack([firsts, lasts], axis=1).ravel()
    kept = np.concatenate([[True], np.diff(ends) > 0])  # a block of one logit is one knot
    return Isotonic(tuple(ends[kept].tolist()), tuple(np.repeat(levels, 2)[kept].tolist()))


Fit: TypeAlias = Callable[[Float64[np.ndarray, "c"], Labels], Calibration]
CALIBRATIONS: dict[str, Fit] = {"isotonic": fit_isotonic, "platt": fit_platt}


class Part(NamedTuple):
    """Logits of one period of time, and their outcomes."""

    logits: Logits
    labels: Labels


class CalibrationChoice(NamedTuple):
    """The better calibration, with the figures of every one on the later part."""

    name: str
    calibration: Calibration
    figures: dict[str, Figures]


def choose(fit_part: Part, judge_part: Part) -> CalibrationChoice:
    """Fit each calibration on the earlier part; keep the one of lower log loss on the later."""
    fitted = {name: fit(name, *fit_part) for name in CALIBRATIONS}
    figures = {
        name: measure(calibration.probabilities(judge_part.logits), judge_part.labels)
        for name, calibration in fitted.items()
    }
    best = min(figures, key=lambda name: figures[name].log_loss)
    return CalibrationChoice(best, fitted[best], figures)


def head_name(kind: str, outcome: str) -> str:
    """Return under which name the calibration of an outcome of one kind of request is kept.

    That of recommendations has the name of the outcome alone.
    """
    return outcome if kind == KINDS[0] else f"{kind}/{outcome}"


def save(heads: Mapping[str, Calibration], folder: Path) -> None:
    """Write the calibration of each head as `calibration.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(msgspec.json.encode(_Heads(dict(heads))))


def read(folder: Path) -> dict[str, Calibration]:
    """Read what `save` wrote; UnknownCalibration where it is anything else."""
    path = folder / FILE
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise UnknownCalibration(f"{path} has more than {MAX_BYTES:,} bytes; build again")
    try:
        content.decode()  # so that bytes that are no text are named alike by every msgspec
        return msgspec.json.decode(content, type=_Heads).heads
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise UnknownCalibration(
            f"{path}: this version knows no such calibration: {e}; build again"
        ) from None


class _Heads(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The contents of the file."""

    heads: Annotated[dict[str, Platt | Isotonic], Meta(max_length=MOST_HEADS)]


def _refuse_unfit(logits: Logits) -> None:
    unfit = int((~np.isfinite(logits)).sum())
    if unfit:
        raise CalibrationError(f"{unfit} of {len(logits)} logits are not finite numbers")
