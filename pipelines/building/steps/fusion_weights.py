"""Fits how much each channel counts, and writes it."""

from collections.abc import Mapping

import msgspec

from pipelines.building.context import BuildContext
from pipelines.metrics.intervals import mean_interval
from pipelines.release.layout import RECOMMENDATION, SCALES, WEIGHTS
from pipelines.release.manifest import Measurements
from pipelines.release.parts import open_parts, save_request_kinds
from pipelines.training.fusion_examples import past_outcomes
from retrieval.behaviour.purchases import DAY
from retrieval.fusion.weight_fitting import (
    ChannelOutcome,
    FusionWeights,
    cross_fitted_worth,
    fit_fusion_weights,
    gains,
    without,
    worth,
)


def write_weights(context: BuildContext) -> Measurements:
    """Write how the channels are fused; return what such weights gain on requests of the window.

    Fitted on the baskets of the last `ranking.window_days` before `until`, asked of channels that
    saw nothing of that window: by position or by score, whichever is better there; what is measured
    is the worth of weights that were fitted on the other half of the requests. With too few
    of them, or `retrieval.fit_weights` off, the weights of the configuration are written, by
    position. A channel that was silent in the window has no vote by score: nobody knows what its
    numbers are worth.
    """
    settings = context.config.retrieval
    given: dict[str, float] = msgspec.to_builtins(settings.weights)
    outcomes = _outcomes(context) if settings.fit_weights else []
    if len(outcomes) < settings.fit_least:
        _save(context, FusionWeights(given, {}))
        return {"weights": f"as configured: {len(outcomes)} past baskets to fit them on"}
    outcomes, measured = _with_towers_that_help(context, outcomes, given)
    fitted = fit_fusion_weights(outcomes, given, settings.rrf_k, settings.candidates)
    _save(context, fitted)
    before = worth(outcomes, given, settings.rrf_k, settings.candidates)
    after = cross_fitted_worth(outcomes, given, settings.rrf_k, settings.candidates)
    return {
        **measured,
        "weights": ", ".join(
            f"{name} {weight:g}" for name, weight in sorted(fitted.weights.items())
        ),
        "fused": "by score" if fitted.scales else "by position",
        "weights_recall": f"{before.recall:.4f} configured, {after.recall:.4f} fitted on others",
        "weights_ndcg_at_20": f"{before.ndcg:.4f} configured, {after.ndcg:.4f} fitted on others",
    }


def _with_towers_that_help(
    context: BuildContext, outcomes: list[ChannelOutcome], given: Mapping[str, float]
) -> tuple[list[ChannelOutcome], Measurements]:
    """Ask towers for recommendations only where these requests gain by them beyond chance."""
    if not any("towers" in outcome.hits for outcome in outcomes):
        return outcomes, {}
    settings = context.config.retrieval
    gained = gains(outcomes, "towers", given, settings.rrf_k, settings.candidates)
    [gain] = mean_interval(gained[:, None], context.config.seed)
    text = f"recall and nDCG@20 {gain.mean:+.4f} with them ({gain.low:+.4f} to {gain.high:+.4f})"
    if gain.low > 0:
        return outcomes, {"towers_recommendation": f"{text}: used in recommendations"}
    trained = open_parts(context.folder).trained
    assert trained is not None
    save_request_kinds(
        context.folder, tuple(w for w in trained.request_kinds if w != RECOMMENDATION)
    )
    rest = [without(outcome, "towers") for outcome in outcomes]
    return rest, {"towers_recommendation": f"{text}: not used in recommendations"}


def _save(context: BuildContext, fitted: FusionWeights) -> None:
    (context.folder / WEIGHTS).write_bytes(msgspec.json.encode(fitted.weights))
    (context.folder / SCALES).write_bytes(msgspec.json.encode(fitted.scales))


def _outcomes(context: BuildContext) -> list[ChannelOutcome]:
    log, until = context.log, context.end
    start = until - context.config.ranking.window_days * DAY
    if not (log.purchases.seconds < start).any():
        return []
    parts = open_parts(context.folder)
    span = (start, until)
    return past_outcomes(parts, log, span, context.config, context.track, context.traits)
