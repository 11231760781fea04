"""A table of the behaviour channels: the recall of each alone, of all fused, and of all but one."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from index import Hits
from pipelines.config.sections import Config
from pipelines.metrics.intervals import Interval, mean_interval
from pipelines.progress import track
from pipelines.tables import table
from retrieval.behaviour.tables import Behaviour
from retrieval.channels.habit import (
    EaseChannel,
    KindChannel,
    NextChannel,
    RepeatChannel,
    SeasonChannel,
    TogetherChannel,
    TrendingChannel,
)
from retrieval.channels.types import Channel
from retrieval.encoded_query import EncodedQuery
from retrieval.fusion.fusion import fuse, fuse_scored, proposed
from retrieval.fusion.weight_fitting import ChannelOutcome, FusionWeights, fit_fusion_weights

CANDIDATES = 500
DEPTH = 1_000  # proposals of one channel
PAGE = 20
CONFIG = Config()
RRF_K = CONFIG.retrieval.rrf_k


class Case(NamedTuple):
    """One shopper, one moment, and what was bought then."""

    user_id: str
    at_seconds: int
    bought: np.ndarray  # distinct rows


def channels(behaviour: Behaviour, kinds: np.ndarray | None = None) -> list[Channel]:
    """Return every channel of behaviour; that of kinds where products have kinds."""
    of_kinds = [] if kinds is None else [KindChannel(behaviour, kinds)]
    return [
        RepeatChannel(behaviour, CONFIG.retrieval.half_life_days),
        EaseChannel(behaviour),
        TogetherChannel(behaviour),
        NextChannel(behaviour),
        SeasonChannel(behaviour),
        *of_kinds,
        TrendingChannel(behaviour),
    ]


def outcomes(
    behaviour: Behaviour,
    cases: Sequence[Case],
    most: int | None = None,
    kinds: np.ndarray | None = None,
) -> list[ChannelOutcome]:
    """Return what each channel proposes to each case, or to so many drawn at random."""
    if most is not None and len(cases) > most:
        drawn = np.random.default_rng(0).choice(len(cases), most, replace=False)
        cases = [cases[i] for i in np.sort(drawn)]
    asked, found = channels(behaviour, kinds), []
    for case in track(cases, "ask the channels", len(cases)):
        history = behaviour.history(case.user_id, case.at_seconds)
        ask = EncodedQuery(history=history, at_seconds=case.at_seconds)
        hits = {c.name: c.propose(ask, DEPTH) for c in asked}
        said = {name: h for name, h in hits.items() if h is not None}
        columns = {c.name: c.score(ask, proposed(said)) for c in asked}
        scores = {name: column for name, column in columns.items() if column is not None}
        found.append(ChannelOutcome(said, np.asarray(case.bought, np.int64), scores))
    return found


def fit(validation: Sequence[ChannelOutcome]) -> FusionWeights:
    """Return the fusion that is best on a window before the test, from the defaults on."""
    given = msgspec.to_builtins(CONFIG.retrieval.weights)
    return fit_fusion_weights(validation, given, RRF_K, CANDIDATES)


def values(found: Sequence[ChannelOutcome], balance: FusionWeights) -> np.ndarray:
    """Return recall@500, recall@20 and nDCG@20 of each case, fused so; a channel of 0 is off."""
    rows = []
    for one in found:
        on = {name: h for name, h in one.hits.items() if balance.weights.get(name, 0) > 0}
        order = _order(one, on, balance)
        hit = np.isin(order, one.bought)
        page = hit[:PAGE]
        discounts = 1 / np.log2(np.arange(2, PAGE + 2))
        ideal = discounts[: min(len(one.bought), PAGE)].sum()
        size = len(one.bought)
        rows.append(
            (hit.sum() / size, page.sum() / size, (page * discounts[: len(page)]).sum() / ideal)
        )
    return np.array(rows, np.float64)


def _order(one: ChannelOutcome, on: Mapping[str, Hits], balance: FusionWeights) -> np.ndarray:
    if not balance.scales:
        return fuse(on, RRF_K, CANDIDATES, balance.weights).rows
    place = np.searchsorted(proposed(one.hits), proposed(on))
    known = {name: column[place] for name, column in (one.scores or {}).items() if name in on}
    return fuse_scored(on, known, balance.scales, CANDIDATES, balance.weights).rows


def own_and_top(behaviour: Behaviour, cases: Sequence[Case], top: int = 150) -> np.ndarray:
    """Return the recall of all that a shopper ever bought, and of the most bought products."""
    popular = np.argsort(-behaviour.statistics.baskets, kind="stable")[:top]
    found = []
    for case in cases:
        own = behaviour.history(case.user_id, case.at_seconds).rows
        found.append(np.isin(case.bought, np.concatenate([own, popular])).mean())
    return np.array(found)


def show(title: str, found: Sequence[ChannelOutcome], balance: FusionWeights) -> None:
    """Print one line a channel, of the fusion, of it without each channel, and as it grows."""
    weights = balance.weights
    names = sorted({name for one in found for name in one.hits}, key=list(weights).index)
    fused = values(found, balance)
    alike = dict.fromkeys(names, 1.0)
    lines = [(name, values(found, FusionWeights({name: 1.0}, {})), None) for name in names]
    lines += [("all, weighed alike, by position", values(found, FusionWeights(alike, {})), None)]
    how = "by score" if balance.scales else "by position"
    lines += [(f"fused {how}, fitted weights", fused, None)]
    for name in names:
        rest = {n: w for n, w in weights.items() if n != name}
        without = values(found, balance._replace(weights=rest))
        lines.append((f"  without {name} ({weights[name]:g})", without, without - fused))
    lines += _growing(found, balance, names)
    print(table(("channel", "recall@500", "95 % interval", "recall@20", "nDCG@20", "difference"),
                [_line(*line) for line in lines]))  # fmt: skip
    print(f"{title}: {len(found):,} baskets; intervals by bootstrap over shoppers")


def _growing(
    found: Sequence[ChannelOutcome], balance: FusionWeights, names: Sequence[str]
) -> list[tuple[str, np.ndarray, np.ndarray | None]]:
    """Add one channel after the other, in the order of the table; the difference is to before."""
    lines, before = [], None
    on: dict[str, float] = {}
    for name in names:
        if balance.weights[name] == 0:
            continue
        on[name] = balance.weights[name]
        now = values(found, balance._replace(weights=dict(on)))
        lines.append((f"  + {name}", now, None if before is None else now - before))
        before = now
    return lines


def _line(name: str, column: np.ndarray, difference: np.ndarray | None) -> tuple[str, ...]:
    recall, page, ndcg = mean_interval(column)
    against = "" if difference is None else _signed(mean_interval(difference)[0])
    interval = f"{recall.low:.4f} to {recall.high:.4f}"
    numbers = (f"{recall.mean:.4f}", interval, f"{page.mean:.4f}", f"{ndcg.mean:.4f}")
    return (name, *numbers, against)


def _signed(found: Interval) -> str:
    return f"{found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
