"""Fits how much each channel counts, and writes it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from pipelines.building.context import BuildContext, end_of
from pipelines.metrics.intervals import mean_interval
from pipelines.release.layout import RECOMMENDATION, SCALES, WEIGHTS
from pipelines.release.parts import open_parts, save_windows
from pipelines.shop.purchases import Log
from pipelines.training.fusion_examples import past_outcomes
from retrieval.behaviour.purchases import DAY
from retrieval.fusion.weight_fitting import (
    ChannelOutcome,
    FusionWeights,
    fit_fusion_weights,
    gains,
    without,
    worth,
)


def write_weights(job: BuildContext, log: Log) -> dict[str, Any]:
    """Write how the channels are fused; return what that gained in the newest window.

    Fitted on the baskets of the last `ranking.window_days` before `until`, asked of channels that
    saw nothing of that window: by position or by score, whichever is better there. With too few
    of them, or `retrieval.fit_weights` off, the weights of the configuration are written, by
    position. A channel that was silent in the window has no vote by score: nobody knows what its
    numbers are worth.
    """
    settings = job.config.retrieval
    given: dict[str, float] = msgspec.to_builtins(settings.weights)
    outcomes = _outcomes(job, log) if settings.fit_weights else []
    if len(outcomes) < settings.fit_least:
        _save(job, FusionWeights(given, {}))
        return {"weights": f"as configured: {len(outcomes)} past baskets to fit them on"}
    outcomes, told = _with_towers_that_help(job, outcomes, given)
    fitted = fit_fusion_weights(outcomes, given, settings.rrf_k, settings.candidates)
    _save(job, fitted)
    before, after = (
        worth(outcomes, weights, settings.rrf_k, settings.candidates, scales)
        for weights, scales in ((given, None), fitted)
    )
    return {
        **told,
        "weights": ", ".join(
            f"{name} {weight:g}" for name, weight in sorted(fitted.weights.items())
        ),
        "fused": "by score" if fitted.scales else "by position",
        "weights_recall": f"{before.recall:.4f} configured, {after.recall:.4f} fitted",
        "weights_ndcg_at_20": f"{before.ndcg:.4f} configured, {after.ndcg:.4f} fitted",
    }


def _with_towers_that_help(
    job: BuildContext, outcomes: list[ChannelOutcome], given: Mapping[str, float]
) -> tuple[list[ChannelOutcome], dict[str, Any]]:
    """Ask towers for recommendations only where these requests gain by them beyond chance."""
    if not any("towers" in outcome.hits for outcome in outcomes):
        return outcomes, {}
    settings = job.config.retrieval
    gained = gains(outcomes, "towers", given, settings.rrf_k, settings.candidates)
    [found] = mean_interval(gained[:, None], job.config.seed)
    told = f"recall and nDCG@20 {found.mean:+.4f} with them ({found.low:+.4f} to {found.high:+.4f})"
    if found.low > 0:
        return outcomes, {"towers_recommendation": f"{told}: used in recommendations"}
    trained = open_parts(job.folder).trained
    assert trained is not None
    save_windows(job.folder, tuple(w for w in trained.windows if w != RECOMMENDATION))
    rest = [without(outcome, "towers") for outcome in outcomes]
    return rest, {"towers_recommendation": f"{told}: not used in recommendations"}


def _save(job: BuildContext, balance: FusionWeights) -> None:
    (job.folder / WEIGHTS).write_bytes(msgspec.json.encode(balance.weights))
    (job.folder / SCALES).write_bytes(msgspec.json.encode(balance.scales))


def _outcomes(job: BuildContext, log: Log) -> list[ChannelOutcome]:
    until = end_of(job, log)
    parts = open_parts(job.folder)
    start = until - job.config.ranking.window_days * DAY
    if not (log.purchases.seconds < start).any():
        return []
    traits = {r["id"]: dict(r["traits"]) for r in job.shop.users().to_pylist()}
    return past_outcomes(parts, log, (start, until), job.config, job.track, traits)
