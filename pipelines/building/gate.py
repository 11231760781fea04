"""The gate between a sealed draft and CURRENT: what a draft must reach to be served."""

from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from index import Columns
from pipelines.building.recall_checks import measured_recalls, recalls
from pipelines.config.sections import Config, GateConfig
from pipelines.engine.engine import Engine
from pipelines.evaluation.pinned_queries import PAGE, Pinned, ask
from pipelines.metrics.intervals import mean_interval
from pipelines.metrics.ranked_lists import ndcg_of_list
from pipelines.progress import Track
from pipelines.release.verdict import Check, Verdict, at_least, at_most, by_chance
from pipelines.shop.reader import Shop
from retrieval.encoders.joined_space import has_vector

ROUNDS = 3  # that each query is timed in both releases
TRIES = 3  # until a draft that seems slow is believed to be so
NAMED = 3  # products that a check names
FIRST = "there is no live release to compare with"


class GateInput(NamedTuple):
    """A draft, and the live release that it is compared with."""

    draft: Engine
    live: Engine | None
    name: str | None = None  # of the live release
    note: str = FIRST  # why there is none
    measured: Mapping[str, Any] = MappingProxyType({})  # by the steps of the build


def judge(
    sides: GateInput, shop: Shop, pinned: Sequence[Pinned], config: Config, track: Track
) -> Verdict:
    """Return what the gate finds; without a live release only what needs none is looked at."""
    draft, live, limits = sides.draft, sides.live, config.gate
    checks = [
        *measured_recalls(sides.measured, config.index),
        *recalls(draft, pinned, config),
        lost(draft.probe.parts.products, shop, limits),
        texts(draft, limits),
    ]
    if live is None:
        return Verdict(against=None, note=sides.note, checks=tuple(checks))
    checks += [
        gone(draft.probe.parts.products, live.probe.parts.products, shop, limits),
        *pictures(draft, live, limits),
        *worth(draft, live, pinned, limits, track),
        *latency(draft, live, pinned, limits, track),
    ]
    return Verdict(against=sides.name, checks=tuple(checks))


def lost(products: Columns, shop: Shop, limits: GateConfig) -> Check:
    """Tell which share of the shop's products the draft lacks."""
    wanted = [name for batch in shop.product_batches() for name in batch["id"].to_pylist()]
    missing = products.rows_of(list(dict.fromkeys(wanted))).missing
    share = len(missing) / max(len(wanted), 1)
    return at_most("products lost", share, limits.most_lost, _named(missing, len(wanted)))


def gone(draft: Columns, live: Columns, shop: Shop, limits: GateConfig) -> Check:
    """Tell which share of the live products the draft lacks, but for those deleted on purpose."""
    deleted = shop.deleted
    missing = [name for name in draft.rows_of(live.ids).missing if name not in deleted]
    share = len(missing) / max(live.size, 1)
    return at_most("live products gone", share, limits.most_gone, _named(missing, live.size))


def texts(engine: Engine, limits: GateConfig) -> Check:
    """Tell which share of the products has a text vector."""
    vectors = engine.probe.parts.joined_vectors
    held = int(has_vector(vectors[:, : vectors.shape[1] - _picture_dim(engine)]).sum())
    told = f"{held:,} of {len(vectors):,}"
    return at_least("text vectors", held / max(len(vectors), 1), limits.least_texts, told)


def pictures(draft: Engine, live: Engine, limits: GateConfig) -> Iterator[Check]:
    """Tell by how much the share of products with a picture vector fell."""
    if live.probe.parts.picture_vectors is None:
        return
    before, now = (_pictured(engine) for engine in (live, draft))
    told = f"{now:.2%} of the products, {before:.2%} before"
    limit = limits.most_fewer_pictures
    yield at_most("picture vectors fewer", max(before - now, 0.0), limit, told)


def worth(
    draft: Engine, live: Engine, pinned: Sequence[Pinned], limits: GateConfig, track: Track
) -> Iterator[Check]:
    """Yield nDCG of each kind of pinned queries, as a share of what the live release reaches.

    Judged are products that both have. A loss counts only where it is beyond chance: where the
    95 % interval of the paired difference ends below 0.
    """
    for kind in sorted({one.kind for one in pinned}):
        judged = [
            (one, gains)
            for one in pinned
            if one.kind == kind and (gains := _both(one, draft, live))
        ]
        if not judged:
            continue
        told = track(judged, f"compare {kind}", len(judged))
        pairs = np.array([[_ndcg(side, *one) for side in (draft, live)] for one in told])
        yield _compared(kind, pairs, limits.least_ndcg)


def latency(
    draft: Engine, live: Engine, pinned: Sequence[Pinned], limits: GateConfig, track: Track
) -> Iterator[Check]:
    """Yield how long the draft takes, in medians of the live release's time, side by side.

    Each query is asked of both in turns and counts by its best time of ROUNDS, because a busy
    machine makes times longer and never shorter. What fails is timed again, TRIES times at most.
    """
    step = max(len(pinned) // limits.timed, 1)
    timed = list(pinned[::step][: limits.timed])
    if not timed:
        return
    for _ in range(TRIES):
        told = track(timed, "time", len(timed))
        check = _timed(np.array([_times(draft, live, one) for one in told]), limits)
        if check.passed:
            break
    yield check


def _timed(taken: Float64[np.ndarray, "q 2"], limits: GateConfig) -> Check:
    now, before = np.median(taken, axis=0).tolist()
    told = f"{1_000 * now:.1f} ms, {1_000 * before:.1f} ms before, {len(taken)} queries"
    return at_most("latency", now / max(before, 1e-9), limits.most_latency, told)


def _compared(kind: str, pairs: Float64[np.ndarray, "q 2"], limit: float) -> Check:
    now, before = pairs.mean(axis=0).tolist()
    [difference] = mean_interval((pairs[:, 0] - pairs[:, 1])[:, None])
    share = now / before if before > 0 else 1.0
    told = f"{now:.4f}, {before:.4f} before, {len(pairs)} queries"
    check = at_least(f"nDCG@{PAGE}, {kind}", share, limit, told)
    return by_chance(check, difference) if difference.high >= 0 else check


def _ndcg(engine: Engine, pinned: Pinned, gains: dict[str, float]) -> float:
    return ndcg_of_list(ask(engine, pinned), gains, PAGE)


def _both(pinned: Pinned, draft: Engine, live: Engine) -> dict[str, float]:
    """Return the gains of products that both releases have."""
    names = list(pinned.relevant)
    missing = {
        name
        for engine in (draft, live)
        for name in engine.probe.parts.products.rows_of(names).missing
    }
    return {name: gain for name, gain in pinned.relevant.items() if name not in missing}


def _times(draft: Engine, live: Engine, pinned: Pinned) -> tuple[float, float]:
    """Return the best seconds of one query in both; who begins changes from round to round."""
    sides, spent = (draft, live), np.empty((ROUNDS, 2))
    for number, row in enumerate(spent):
        for place in (0, 1) if number % 2 else (1, 0):
            row[place] = _seconds(sides[place], pinned)
    now, before = spent.min(axis=0).tolist()
    return now, before


def _seconds(engine: Engine, pinned: Pinned) -> float:
    engine.probe.forget()
    start = perf_counter()
    ask(engine, pinned)
    return perf_counter() - start


def _pictured(engine: Engine) -> float:
    vectors = engine.probe.parts.picture_vectors
    return 0.0 if vectors is None else float(has_vector(vectors).mean())


def _picture_dim(engine: Engine) -> int:
    vectors = engine.probe.parts.picture_vectors
    return 0 if vectors is None else vectors.shape[1]


def _named(missing: Sequence[str], of: int) -> str:
    told = f"{len(missing):,} of {of:,}"
    return f"{told}: {', '.join(missing[:NAMED])}" if missing else told
