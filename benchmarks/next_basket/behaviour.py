"""Recall of behaviour channels on public logs: the next product of a sequence, the next basket.

    python -m benchmarks behaviour --data DATA [--only beauty|retail]

amazon_beauty: each user's last product is asked, all products ranked except those the user had;
hyper-parameters and weights are chosen on the next-to-last. online_retail: known until
2011-10-01, asked each known customer's first basket of at least four products from then on, and
apart from that the first in December, with the season of last December on and off.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse

from benchmarks.machine import run_benchmark
from benchmarks.next_basket.channel_table import Case, channels, fit, outcomes, show
from benchmarks.next_basket.sequence_towers import scores_of, trained
from index import Hits
from pipelines.config.sections import Config
from pipelines.metrics.intervals import mean_interval
from pipelines.release.retriever import behaviour_settings
from pipelines.tables import table
from retrieval.behaviour.ease import EaseSettings, ease
from retrieval.behaviour.item_to_item import next_after, together
from retrieval.behaviour.neighbours import Neighbours
from retrieval.behaviour.purchases import DAY, Purchases
from retrieval.behaviour.tables import Behaviour
from retrieval.fusion.fusion import fuse
from retrieval.fusion.weight_fitting import ChannelOutcome, fit_weights

DEPTH = 100  # of a list that is fused
K = 10
LAMBDAS = (100.0, 250.0)
HALF_LIVES = (2.0, 3.5)  # in positions of the sequence
FULL_HISTORY = np.inf
AT_ONCE = 1_000
FITTED_ON = 4_000  # users
RRF_K = Config().retrieval.rrf_k
MEMORY_MB = 4_000
NEIGHBOURS = 200
START, WINDOW, DECEMBER = "2011-10-01", "2011-09-01", "2011-12-01"
SMALLEST_BASKET = 4
LEAST_BOUGHT = 10


class Sequences(NamedTuple):
    """Each user's products in time order, and the product that came next."""

    before: list[np.ndarray]
    target: np.ndarray
    num_products: int


class Lists(NamedTuple):
    """The best products of one method, a row a user, best first, and their scores."""

    rows: np.ndarray
    scores: np.ndarray


def main() -> None:
    options = _options()
    if options.only in (None, "beauty"):
        beauty(options.data / "amazon_beauty" / "sequences.parquet")
    if options.only in (None, "retail"):
        retail(options.data / "online_retail" / "transactions.parquet")


def beauty(path: Path) -> None:
    whole = [np.array(items) for items in _read(path, ["items"])["items"].to_pylist()]
    validation, test = held_out(whole, 2), held_out(whole, 1)
    chosen, half_life, weights = choose(validation)
    lists = methods(test, chosen, half_life)
    lists["best fusion"] = fused(lists, weights)
    lists["towers"] = by_towers(test)
    lines = []
    for name, found in lists.items():
        recall, ndcg = mean_interval(reached(found, test.target))
        lines.append(
            (
                name,
                f"{recall.mean:.4f}",
                f"{recall.low:.4f} to {recall.high:.4f}",
                f"{ndcg.mean:.4f}",
                f"{ndcg.low:.4f} to {ndcg.high:.4f}",
            )
        )
    print(table(("amazon_beauty", "recall@10", "95 %", "nDCG@10", "95 %"), lines))
    told = ", ".join(f"{name} {weight:g}" for name, weight in sorted(weights.items()))
    print(
        f"{len(whole):,} users, {test.num_products:,} products, the last product asked; chosen on "
        f"the one before: lambda {chosen:g}, half-life {half_life:g} positions, weights {told}"
    )


def held_out(whole: list[np.ndarray], last: int) -> Sequences:
    """Return the sequences without their last products, and the first of those left out."""
    num_products = int(max(items.max() for items in whole)) + 1
    target = np.array([items[-last] for items in whole])
    return Sequences([items[:-last] for items in whole], target, num_products)


def choose(validation: Sequences) -> tuple[float, float, dict[str, float]]:
    """Return the lambda, the half-life and the weights of the fusion that validate best."""
    best = (-1.0, LAMBDAS[0], HALF_LIVES[0])
    for regularisation in LAMBDAS:
        weights = ease(histories(validation, FULL_HISTORY), settings(regularisation))
        for half_life in HALF_LIVES:
            found = ranked(validation, half_life, matrix(weights))
            gain = float(reached(found, validation.target).mean(axis=0).sum())
            best = max(best, (gain, regularisation, half_life))
    _, regularisation, half_life = best
    lists = methods(validation, regularisation, half_life)
    users = np.random.default_rng(0).choice(len(validation.target), FITTED_ON, replace=False)
    seen = [_outcome(lists, validation.target, int(user)) for user in np.sort(users)]
    start = {name: 0.2 for name in lists} | {"EASE with decay": 1.0}
    return regularisation, half_life, fit_weights(seen, start, RRF_K, K)


def settings(regularisation: float) -> EaseSettings:
    return EaseSettings(regularisation, NEIGHBOURS, 20_000, 1.0, MEMORY_MB)


def methods(asked: Sequences, regularisation: float, half_life: float) -> dict[str, Lists]:
    """Return the best products of each method."""
    full = histories(asked, FULL_HISTORY)
    log = as_log(asked)
    weights = matrix(ease(full, settings(regularisation)))
    near = matrix(together(log, asked.num_products, NEIGHBOURS, MEMORY_MB))
    after = matrix(next_after(log, asked.num_products, NEIGHBOURS, MEMORY_MB))
    shared = (full.T @ full).tocsr()
    sizes = 1 / np.sqrt(np.asarray(full.sum(0)).ravel() + 5)
    shared.setdiag(0)
    by_users = (sparse.diags(sizes) @ shared @ sparse.diags(sizes)).tocsr()
    popular = np.asarray(full.sum(0)).ravel()
    return {
        "popularity": best(asked, lambda part: np.tile(popular, (part.stop - part.start, 1))),
        "item-kNN": ranked(asked, FULL_HISTORY, by_users),
        "together, by sequence": ranked(asked, half_life, near),
        "next after": ranked(asked, half_life, after),
        "EASE": ranked(asked, FULL_HISTORY, weights),
        "EASE with decay": ranked(asked, half_life, weights),
    }


def by_towers(asked: Sequences) -> Lists:
    """Return the best products of towers that were trained on the sequences."""
    made, vectors = trained(asked.before, asked.num_products)
    return best(asked, lambda part: scores_of(made, vectors, asked.before[part]))


def histories(asked: Sequences, half_life: float) -> sparse.csr_matrix:
    """Return users x products: 1 for the newest product, half as much so many positions before."""
    lengths = [len(items) for items in asked.before]
    users = np.repeat(np.arange(len(lengths)), lengths)
    ages = np.concatenate([np.arange(size)[::-1] for size in lengths])
    weights = np.exp2(-ages / half_life).astype(np.float32)
    places = (users, np.concatenate(asked.before))
    return sparse.csr_matrix((weights, places), shape=(len(lengths), asked.num_products))


def as_log(asked: Sequences) -> Purchases:
    """Return the sequences as a log of baskets of one product, a day apart."""
    lengths = [len(items) for items in asked.before]
    days = np.concatenate([np.arange(size) for size in lengths]).astype(np.int64)
    users = np.repeat(np.arange(len(lengths)), lengths).astype(np.int32)
    rows = np.concatenate(asked.before).astype(np.int32)
    return Purchases(users, rows, days * DAY, np.arange(len(rows), dtype=np.int64))


def matrix(weights: Neighbours) -> sparse.csr_matrix:
    """Return a table of neighbours as products x products."""
    found = weights.rows >= 0
    sources = np.nonzero(found)[0]
    size = len(weights.rows)
    places = (sources, weights.rows[found])
    return sparse.csr_matrix((weights.weights[found], places), shape=(size, size))


def ranked(asked: Sequences, half_life: float, weights: sparse.csr_matrix) -> Lists:
    own = histories(asked, half_life)
    return best(asked, lambda part: (own[part] @ weights).toarray())


def best(asked: Sequences, scores_of: Callable[[slice], np.ndarray]) -> Lists:
    """Return each user's best products, without those that the user had."""
    rows, kept = [], []
    for start in range(0, len(asked.before), AT_ONCE):
        part = slice(start, min(start + AT_ONCE, len(asked.before)))
        scores = np.asarray(scores_of(part), np.float32)
        for place, items in enumerate(asked.before[part]):
            scores[place, items] = -np.inf
        top = np.argpartition(-scores, DEPTH, axis=1)[:, :DEPTH]
        found = np.take_along_axis(scores, top, 1)
        order = np.argsort(-found, axis=1, kind="stable")
        rows.append(np.take_along_axis(top, order, 1))
        kept.append(np.take_along_axis(found, order, 1))
    return Lists(np.concatenate(rows), np.concatenate(kept))


def reached(found: Lists, target: np.ndarray) -> np.ndarray:
    """Return recall@10 and nDCG@10 of each user."""
    hit = found.rows[:, :K] == target[:, None]
    return np.stack([hit.any(axis=1), (hit / np.log2(np.arange(2, K + 2))).sum(axis=1)], axis=1)


def fused(lists: dict[str, Lists], weights: dict[str, float]) -> Lists:
    rows, scores = [], []
    for user in range(len(lists["EASE"].rows)):
        said = {name: _hits(found, user) for name, found in lists.items() if weights[name] > 0}
        order = fuse(said, RRF_K, K, weights)
        rows.append(order.rows)
        scores.append(order.fused)
    return Lists(np.array(rows), np.array(scores))


def _hits(found: Lists, user: int) -> Hits:
    return Hits(found.rows[user].astype(np.int64), found.scores[user].astype(np.float32))


def _outcome(lists: dict[str, Lists], target: np.ndarray, user: int) -> ChannelOutcome:
    hits = {name: _hits(found, user) for name, found in lists.items()}
    return ChannelOutcome(hits, target[user : user + 1].astype(np.int64))


def retail(path: Path) -> None:
    names, log = read_retail(path)
    past_names, past_log, past_start = ranked_until(names, log, WINDOW)
    window = [_seconds(WINDOW), _seconds(START)]
    validation = first_baskets(past_names, past_log, *window)
    size = int(past_log.rows.max()) + 1
    settings_ = behaviour_settings(Config())
    known = Behaviour.build(past_names, past_log, size, past_start, settings_)
    names, log, start = ranked_until(names, log, START)
    behaviour = Behaviour.build(names, log, int(log.rows.max()) + 1, start, settings_)
    balance = fit(outcomes(known, validation))
    assert {c.name for c in channels(behaviour)} <= balance.weights.keys()
    off = balance._replace(weights=balance.weights | {"season": 0.0})
    for title, since in (("from October on", START), ("in December", DECEMBER)):
        found = outcomes(behaviour, first_baskets(names, log, _seconds(since), np.inf))
        show(f"online_retail, first basket {title}, season on", found, balance)
        show(f"online_retail, first basket {title}, season off", found, off)


def read_retail(path: Path) -> tuple[np.ndarray, Purchases]:
    """Return the customers and what they bought: returns, postage and strangers are left out."""
    lines = _read(path, ["InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "CustomerID"])
    frame = {name: lines[name].to_numpy() for name in lines.column_names}
    kept = (frame["Quantity"] > 0) & ~np.isnan(frame["CustomerID"].astype(float))
    kept &= np.array([code[:5].isdigit() for code in frame["StockCode"].astype(str)])
    customers = frame["CustomerID"][kept].astype(int).astype(str)
    names, users = np.unique(customers, return_inverse=True)
    rows = np.unique(frame["StockCode"][kept].astype(str), return_inverse=True)[1]
    baskets = np.unique(frame["InvoiceNo"][kept].astype(str), return_inverse=True)[1]
    seconds = frame["InvoiceDate"][kept].astype("datetime64[s]").astype(np.int64)
    return names, Purchases(
        users.astype(np.int32), rows.astype(np.int32), seconds, baskets.astype(np.int64)
    )


def ranked_until(
    names: np.ndarray, log: Purchases, until: str
) -> tuple[np.ndarray, Purchases, int]:
    """Keep the products that were bought at least ten times before a date, numbered anew."""
    start = _seconds(until)
    times = np.bincount(log.rows[log.seconds < start], minlength=int(log.rows.max()) + 1)
    chosen = np.flatnonzero(times >= LEAST_BOUGHT)
    place = np.full(len(times), -1, np.int32)
    place[chosen] = np.arange(len(chosen), dtype=np.int32)
    kept = place[log.rows] >= 0
    rows = place[log.rows]
    return names, Purchases(*(c[kept] for c in log._replace(rows=rows))), start


def first_baskets(names: np.ndarray, log: Purchases, start: float, end: float) -> list[Case]:
    """Return each known customer's first basket in [start, end) of at least four products."""
    known = np.unique(
        log.users[log.seconds < _seconds(START if start >= _seconds(START) else WINDOW)]
    )
    inside = (log.seconds >= start) & (log.seconds < end) & np.isin(log.users, known)
    users, rows, seconds, baskets = (column[inside] for column in log)
    order = np.lexsort((baskets, seconds, users))
    users, rows, seconds, baskets = (c[order] for c in (users, rows, seconds, baskets))
    starts = np.flatnonzero(np.diff(baskets, prepend=-1) | np.diff(users, prepend=-1))
    found: dict[int, Case] = {}
    for begin, stop in zip(starts, [*starts[1:], len(rows)], strict=True):
        bought = np.unique(rows[begin:stop])
        if int(users[begin]) not in found and len(bought) >= SMALLEST_BASKET:
            found[int(users[begin])] = Case(
                str(names[users[begin]]), int(seconds[begin]), bought.astype(np.int64)
            )
    return list(found.values())


def _seconds(day: str) -> int:
    return int(np.datetime64(day, "s").astype(np.int64))


def _read(path: Path, columns: list[str]) -> pa.Table:
    if not path.is_file():
        raise SystemExit(
            f"{path} is missing; --data is a folder with amazon_beauty/sequences.parquet and "
            "online_retail/transactions.parquet, from their publishers"
        )
    return pq.read_table(path, columns=columns)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--only", choices=("beauty", "retail"), help="measure just this one")
    return parser.parse_args()


if __name__ == "__main__":
    run_benchmark(main)
