"""Fits the fusion weights of searches to judged queries, with the gain on held-out queries."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from jaxtyping import Float32, Float64, Int64

from pipelines.engine.probe import ChannelScores, Probe
from pipelines.errors import TuningError, UserError
from pipelines.evaluation.requests import read_request, request_lines, to_query
from pipelines.evaluation.trec_files import read_judgments
from pipelines.metrics.intervals import Interval, mean_interval, randomisation_test
from pipelines.metrics.ranked_lists import Gains
from pipelines.progress import Track
from retrieval.fusion.fusion import LOWEST, normalised
from retrieval.retriever import Fusion

CUT = 10  # nDCG@10
FOLDS = 5
LEAST_QUERIES = 20
CLEARLY = 2.0  # standard errors by which a choice is better than what there is
STEPS = {2: 20, 3: 10}  # of a weight between 0 and 1, by the number of channels; else MORE_STEPS
MORE_STEPS = 5
LEAST_WEIGHT = 1e-3  # of meaning, where words alone are best
FUSIONS: tuple[Fusion, ...] = ("relevance", "position", "minmax", "theoretical")


class Setting(NamedTuple):
    """One way to fuse: the normalisation of scores, and the weight of each channel by name."""

    fusion: Fusion
    weights: tuple[float, ...]


class Case(NamedTuple):
    """One judged query: the scores of the channels, and the gain of each product in their order."""

    channel_scores: ChannelScores
    gains: Float64[np.ndarray, "c"]
    ideal: float  # discounted gain of the best order of all judged products


class FusionTuning(NamedTuple):
    """The result of tuning. Every tuned figure is of queries that did not choose its setting."""

    num_queries: int
    skipped: int  # lines without judgments, or that ask for nothing
    channels: tuple[str, ...]
    given: Setting
    best: Setting  # on all queries
    before: Interval
    after: Interval
    difference: Interval
    p_value: float
    seed: int

    def config_lines(self) -> str:
        """Return what to put into a configuration; the largest weight is 1."""
        weights = dict(zip(self.channels, self.best.weights, strict=True))
        retrieval: dict[str, Any] = {"fusion": self.best.fusion}
        if self.best.fusion == "relevance":  # words, beside a cosine that weighs 1
            beside = max(weights.get("semantic", 0.0), LEAST_WEIGHT)
            retrieval["words_weight"] = round(weights.get("lexical", 0.0) / beside, 4)
        else:
            most = max(weights.values())
            retrieval["weights"] = {name: round(one / most, 4) for name, one in weights.items()}
        return msgspec.yaml.encode({"retrieval": retrieval}).decode()

    def table(self) -> str:
        """Write the figures before and after, and what was chosen."""
        told = (
            ("as configured", self.before, self._setting_line(self.given)),
            ("tuned", self.after, f"chosen anew in each of {FOLDS} parts"),
            ("difference", self.difference, f"p {self.p_value:.4f}"),
        )
        lines = [f"nDCG@{CUT} of {self.num_queries:,} queries that were not chosen by"]
        lines += [
            f"{name:<14}{found.mean:8.4f}  ({found.low:.4f} to {found.high:.4f})  {note}"
            for name, found, note in told
        ]
        lines += [f"chosen on all of them: {self._setting_line(self.best)}"]
        if self.skipped:
            lines += [
                f"{self.skipped:,} lines ask for nothing, or are not judged, and do not count"
            ]
        if not self.difference.low > 0:
            lines += ["not better beyond chance: keep what you have, or judge more queries"]
        return "\n".join(lines)

    def _setting_line(self, setting: Setting) -> str:
        weights = zip(self.channels, setting.weights, strict=True)
        return f"{setting.fusion}, " + ", ".join(f"{name} {weight:g}" for name, weight in weights)


def tune_fusion(
    probe: Probe, requests: Path, judgements: Path, *, seed: int, track: Track
) -> FusionTuning:
    """Try ways to fuse on judged searches, and measure the choice by cross-validation.

    The queries are divided into FOLDS parts by the seed; each part is measured with what was best
    on the others, beside what the release does now. The same files and seed give the same answer.
    """
    cases, skipped = _cases(probe, requests, read_judgments(judgements), track)
    if len(cases) < LEAST_QUERIES:
        raise TuningError(
            f"{len(cases)} lines of {requests} are searches with judgments in {judgements}; "
            f"at least {LEAST_QUERIES} are needed to choose by some and measure on others"
        )
    channels = tuple(sorted({name for case in cases for name in case.channel_scores.scores}))
    if len(channels) < 2:
        raise TuningError(
            f"only {' and '.join(channels) or 'no channel'} answered these searches; there is "
            "nothing to weigh with fewer than two (see retrieval.channels)"
        )
    given = _given(probe, channels)
    settings = [given, *_settings(len(channels))]
    values = np.stack([_values(case, settings, channels, probe.rrf_k) for case in cases], axis=1)
    held = _held_out(values, seed)
    gaps = (held - values[0])[:, None]
    [before], [after], [difference] = (
        mean_interval(column, seed) for column in (values[0][:, None], held[:, None], gaps)
    )
    return FusionTuning(
        num_queries=len(cases),
        skipped=skipped,
        channels=channels,
        given=given,
        best=settings[_choice(values)],
        before=before,
        after=after,
        difference=difference,
        p_value=float(randomisation_test(gaps, seed)[0]),
        seed=seed,
    )


def write_lines(found: FusionTuning, out: Path) -> None:
    """Write the configuration that was found, for `vetrina build --config`."""
    try:
        out.write_text(found.config_lines())
    except OSError as e:
        raise TuningError(f"{out} cannot be written: {e.strerror}") from None


def _cases(probe: Probe, requests: Path, gains: Gains, track: Track) -> tuple[list[Case], int]:
    """Return the judged searches in order of their ids, and how many lines are no such."""
    found: dict[str, Case] = {}
    skipped = 0
    for number, line in track(request_lines(requests), "ask the channels"):
        try:
            request = read_request(line)
            query = to_query(request, requests.parent)
            wanted = gains.get(str(request.id))
            if wanted is None or not query.is_search or str(request.id) in found:
                skipped += 1
                continue
            found[str(request.id)] = _case(probe.channel_scores(query), wanted)
        except UserError as e:
            raise TuningError(f"{requests}, line {number}: {e}") from None
    return [found[name] for name in sorted(found)], skipped


def _case(channel_scores: ChannelScores, wanted: Mapping[str, float]) -> Case:
    gains = np.array([max(wanted.get(name, 0.0), 0.0) for name in channel_scores.ids], np.float64)
    best = np.sort(np.maximum(np.array(list(wanted.values()), np.float64), 0))[::-1]
    return Case(channel_scores, gains, float(best[:CUT] @ _discounts(len(best[:CUT]))))


def _given(probe: Probe, channels: Sequence[str]) -> Setting:
    by_name: Mapping[str, float] = probe.weights
    if probe.fusion == "relevance":
        by_name = dict.fromkeys(channels, 0.0) | {"semantic": 1.0, "lexical": probe.words_weight}
    weights = np.array([by_name.get(name, 1.0) for name in channels])
    total = weights.sum() or 1.0
    return Setting(probe.fusion, tuple(np.round(weights / total, 6).tolist()))


def _settings(num_channels: int) -> list[Setting]:
    steps = STEPS.get(num_channels, MORE_STEPS)
    grid = [tuple(part / steps for part in parts) for parts in _parts(steps, num_channels)]
    return [Setting(fusion, weights) for fusion in FUSIONS for weights in grid]


def _parts(total: int, count: int) -> Iterator[tuple[int, ...]]:
    """Yield all ways to divide a whole number into so many, in one order."""
    if count == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in _parts(total - first, count - 1):
            yield (first, *rest)


def _values(
    case: Case, settings: Sequence[Setting], channels: Sequence[str], rrf_k: float
) -> Float64[np.ndarray, "s"]:
    """Return nDCG@10 of one query by each setting."""
    values = np.zeros(len(settings))
    if not case.ideal or not len(case.gains):
        return values
    spoke = np.array([name in case.channel_scores.scores for name in channels])
    for fusion in FUSIONS:
        places = [place for place, setting in enumerate(settings) if setting.fusion == fusion]
        if not places:
            continue
        weights = np.array([settings[place].weights for place in places], np.float32)
        weights[~(weights[:, spoke] > 0).any(axis=1)] = 1  # where nobody else spoke
        fused = weights @ _shares(case.channel_scores, fusion, channels, rrf_k)
        first = np.argsort(-fused, axis=1, kind="stable")[:, :CUT]
        values[places] = case.gains[first] @ _discounts(first.shape[1]) / case.ideal
    return values


def _shares(
    channel_scores: ChannelScores, fusion: Fusion, channels: Sequence[str], rrf_k: float
) -> Float32[np.ndarray, "m c"]:
    """Return what a weight of 1 gives each product by each channel; 0 where it was silent."""
    shares = np.zeros((len(channels), len(channel_scores.ids)), np.float32)
    for place, name in enumerate(channels):
        if name not in channel_scores.scores:
            continue
        if fusion == "relevance":
            if name == "lexical":
                shares[place] = channel_scores.word_shares
            elif name == "semantic":
                shares[place] = channel_scores.scores[name]
        elif fusion == "position":
            positions = channel_scores.positions[name]
            shares[place] = np.where(positions > 0, 1 / (rrf_k + positions), 0)
        else:
            low = LOWEST.get(name, 0.0) if fusion == "theoretical" else None
            shares[place] = normalised(channel_scores.scores[name], low)
    return shares


def _held_out(values: Float64[np.ndarray, "s q"], seed: int) -> Float64[np.ndarray, "q"]:
    """Return each query's value by the setting that is chosen on the other parts."""
    held = np.zeros(values.shape[1])
    for fold in _folds(values.shape[1], seed):
        others = np.delete(values, fold, axis=1)
        held[fold] = values[_choice(others), fold]
    return held


def _choice(values: Float64[np.ndarray, "s q"]) -> int:
    """Return the setting with the highest mean, or the first where that is not clearly better.

    Clearly: by more than CLEARLY standard errors of the paired difference. The highest of many
    means would otherwise be chosen for its luck.
    """
    best = int(values.mean(axis=1).argmax())
    gaps = values[best] - values[0]
    return best if gaps.mean() > CLEARLY * gaps.std() / np.sqrt(len(gaps)) else 0


def _folds(count: int, seed: int) -> list[Int64[np.ndarray, "f"]]:
    order = np.random.default_rng(seed).permutation(count)
    ends = np.linspace(0, count, FOLDS + 1).astype(int)
    return [order[start:end] for start, end in pairwise(ends)]


def _discounts(count: int) -> Float64[np.ndarray, "k"]:
    return np.asarray(1 / np.log2(np.arange(2, count + 2)))
