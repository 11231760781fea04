"""What each behaviour channel finds of the next basket, alone, fused, and what it adds."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from index import Hits
from pipelines.config import Config
from pipelines.metrics import Interval, mean_interval
from pipelines.progress import track
from pipelines.tables import table
from retrieval.ask import Ask
from retrieval.balance import Outcome, fit_weights
from retrieval.behaviour import Behaviour
from retrieval.channels.habit import (
    EaseChannel,
    NextChannel,
    RepeatChannel,
    SeasonChannel,
    TogetherChannel,
    TrendingChannel,
)
from retrieval.fusion import fuse
from retrieval.retriever import Channel

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


def channels(behaviour: Behaviour) -> list[Channel]:
    """Return every channel of behaviour."""
    return [
        RepeatChannel(behaviour, CONFIG.retrieval.half_life_days),
        EaseChannel(behaviour),
        TogetherChannel(behaviour),
        NextChannel(behaviour),
        SeasonChannel(behaviour),
        TrendingChannel(behaviour),
    ]


def outcomes(behaviour: Behaviour, cases: Sequence[Case], most: int | None = None) -> list[Outcome]:
    """Return what each channel proposes to each case, or to so many drawn at random."""
    if most is not None and len(cases) > most:
        drawn = np.random.default_rng(0).choice(len(cases), most, replace=False)
        cases = [cases[i] for i in np.sort(drawn)]
    asked, found = channels(behaviour), []
    for case in track(cases, "ask the channels", len(cases)):
        history = behaviour.history(case.user_id, case.at_seconds)
        ask = Ask(history=history, at_seconds=case.at_seconds)
        hits = {c.name: c.propose(ask, DEPTH) for c in asked}
        said = {name: h for name, h in hits.items() if h is not None}
        found.append(Outcome(said, np.asarray(case.bought, np.int64)))
    return found


def fit(validation: Sequence[Outcome]) -> dict[str, float]:
    """Return the weights that are best on a window before the test, from the defaults on."""
    given = msgspec.to_builtins(CONFIG.retrieval.weights)
    return fit_weights(validation, given, RRF_K, CANDIDATES)


def values(found: Sequence[Outcome], weights: Mapping[str, float], *, depth: int) -> np.ndarray:
    """Return recall@500, recall@20 and nDCG@20 of each case, fused with these weights."""
    rows = []
    for one in found:
        hits = {
            name: Hits(h.rows[:depth], h.scores[:depth])
            for name, h in one.hits.items()
            if weights.get(name, 0) > 0
        }
        order = fuse(hits, RRF_K, CANDIDATES, weights).rows
        hit = np.isin(order, one.bought)
        page = hit[:PAGE]
        discounts = 1 / np.log2(np.arange(2, PAGE + 2))
        ideal = discounts[: min(len(one.bought), PAGE)].sum()
        size = len(one.bought)
        rows.append(
            (hit.sum() / size, page.sum() / size, (page * discounts[: len(page)]).sum() / ideal)
        )
    return np.array(rows, np.float64)


def own_and_top(behaviour: Behaviour, cases: Sequence[Case], top: int = 150) -> np.ndarray:
    """Return the recall of all that a shopper ever bought, and of the most bought products."""
    popular = np.argsort(-behaviour.statistics.baskets, kind="stable")[:top]
    found = []
    for case in cases:
        own = behaviour.history(case.user_id, case.at_seconds).rows
        found.append(np.isin(case.bought, np.concatenate([own, popular])).mean())
    return np.array(found)


def show(title: str, found: Sequence[Outcome], weights: Mapping[str, float]) -> None:
    """Print one line a channel, of the fusion, and of the fusion without each channel."""
    names = sorted({name for one in found for name in one.hits}, key=list(weights).index)
    fused = values(found, weights, depth=DEPTH)
    alike = dict.fromkeys(names, 1.0)
    lines = [(name, values(found, {name: 1.0}, depth=DEPTH), None) for name in names]
    lines += [("all, weighed alike", values(found, alike, depth=DEPTH), None)]
    lines += [("fused, fitted weights", fused, None)]
    for name in names:
        rest = {n: w for n, w in weights.items() if n != name}
        without = values(found, rest, depth=DEPTH)
        lines.append((f"  without {name} ({weights[name]:g})", without, without - fused))
    print(table(("channel", "recall@500", "95 % interval", "recall@20", "nDCG@20", "against fused"),
                [_line(*line) for line in lines]))  # fmt: skip
    print(f"{title}: {len(found):,} baskets; intervals by bootstrap over shoppers")


def _line(name: str, column: np.ndarray, difference: np.ndarray | None) -> tuple[str, ...]:
    recall, page, ndcg = mean_interval(column)
    against = "" if difference is None else _signed(mean_interval(difference)[0])
    interval = f"{recall.low:.4f} to {recall.high:.4f}"
    numbers = (f"{recall.mean:.4f}", interval, f"{page.mean:.4f}", f"{ndcg.mean:.4f}")
    return (name, *numbers, against)


def _signed(found: Interval) -> str:
    return f"{found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
