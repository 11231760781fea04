"""Weighs the channels of a release on the shop's own past."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np

from pipelines.config import Config
from pipelines.contents import Job, end_of
from pipelines.engine import not_hidden
from pipelines.examples import next_baskets
from pipelines.metrics import mean_interval
from pipelines.parts import (
    RECOMMENDATION,
    SCALES,
    WEIGHTS,
    Parts,
    behaviour_settings,
    open_parts,
    retriever,
    save_windows,
)
from pipelines.progress import Track
from pipelines.purchases import Log
from pipelines.request import with_interests
from retrieval import Scene
from retrieval.ask import Ask
from retrieval.balance import Balance, Outcome, fit_balance, gains, without, worth
from retrieval.behaviour import DAY, Behaviour
from retrieval.fusion import proposed
from retrieval.scenes import fact_codes

NO_TRAITS: Mapping[str, dict[str, str]] = MappingProxyType({})
MOST_REQUESTS = 500  # drawn by the seed; more would move the weights little


def write_weights(job: Job, log: Log) -> dict[str, Any]:
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
        _save(job, Balance(given, {}))
        return {"weights": f"as configured: {len(outcomes)} past baskets to fit them on"}
    outcomes, told = _with_towers_that_help(job, outcomes, given)
    fitted = fit_balance(outcomes, given, settings.rrf_k, settings.candidates)
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
    job: Job, outcomes: list[Outcome], given: Mapping[str, float]
) -> tuple[list[Outcome], dict[str, Any]]:
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


def _save(job: Job, balance: Balance) -> None:
    (job.folder / WEIGHTS).write_bytes(msgspec.json.encode(balance.weights))
    (job.folder / SCALES).write_bytes(msgspec.json.encode(balance.scales))


def _outcomes(job: Job, log: Log) -> list[Outcome]:
    until = end_of(job, log)
    parts = open_parts(job.folder)
    start = until - job.config.ranking.window_days * DAY
    if not (log.purchases.seconds < start).any():
        return []
    traits = {r["id"]: dict(r["traits"]) for r in job.shop.users().to_pylist()}
    return past_outcomes(parts, log, (start, until), job.config, job.track, traits)


def past_outcomes(
    parts: Parts,
    log: Log,
    window: tuple[int, int],
    config: Config,
    track: Track,
    traits: Mapping[str, dict[str, str]] = NO_TRAITS,
) -> list[Outcome]:
    """Return what channels that end at a window's start propose for the first baskets in it."""
    start, end = window
    behaviour = Behaviour.build(
        log.user_ids,
        log.purchases,
        parts.products.size,
        start,
        behaviour_settings(config),
        parts.content,
    )
    stage = retriever(parts, behaviour, config)
    baskets = next_baskets(log.user_ids, log.purchases, start, end)
    if len(baskets) > MOST_REQUESTS:
        drawn = np.random.default_rng(config.seed).choice(
            len(baskets), MOST_REQUESTS, replace=False
        )
        baskets = [baskets[i] for i in np.sort(drawn)]
    allowed = parts.products.allowed(not_hidden(config))
    depth = max(config.retrieval.per_channel, config.retrieval.candidates)
    found = []
    for basket in track(baskets, "weigh the channels", len(baskets)):
        history = behaviour.history(basket.user_id, basket.at_seconds)
        at = basket.at_seconds
        facts = fact_codes(at, traits.get(basket.user_id, {}), Scene())
        ask = Ask(history=history, at_seconds=at, allowed=allowed, facts=facts)
        asked = with_interests(ask, parts.trained)
        hits = stage.proposals(asked, depth)
        found.append(Outcome(hits, basket.rows, stage.scores(asked, proposed(hits))))
    return found
