"""A table of a release's metrics beside those of simple baselines."""

from typing import NamedTuple

from pipelines.evaluation.baselines import BASELINES
from pipelines.evaluation.next_basket import Holdout, judged
from pipelines.metrics import intervals, ranked_lists
from pipelines.metrics.intervals import Interval
from pipelines.tables import table


class MethodResult(NamedTuple):
    """The metrics of one method."""

    method: str
    ndcg: Interval
    recall: Interval
    ahead: Interval  # of personal frequency, in nDCG@20, shopper by shopper


def measure(rankings: dict[str, dict[str, list[str]]], held: Holdout) -> list[MethodResult]:
    """Return what each method reaches, and how far it is from personal frequency."""
    gains = judged(held)
    values = {name: ranked_lists.measure(ranked, gains) for name, ranked in rankings.items()}
    habit = values[BASELINES[-1]]
    found = []
    for name, column in values.items():
        reached = dict(zip(ranked_lists.NAMES, intervals.mean_interval(column), strict=True))
        ahead = dict(zip(ranked_lists.NAMES, intervals.mean_interval(column - habit), strict=True))
        found.append(MethodResult(name, reached["nDCG@20"], reached["recall@20"], ahead["nDCG@20"]))
    return found


def holdout_table(measured: list[MethodResult], held: Holdout) -> str:
    """Write the measurement as a table."""
    rows = [
        (
            m.method,
            f"{m.recall.mean:.4f}",
            f"{m.ndcg.mean:.4f}",
            f"{m.ndcg.low:.4f} to {m.ndcg.high:.4f}",
            f"{m.ahead.mean:+.4f} ({m.ahead.low:+.4f} to {m.ahead.high:+.4f})",
        )
        for m in measured
    ]
    headers = ("next basket", "recall@20", "nDCG@20", "95 % interval", "ahead of the habit")
    return table(headers, rows) + (
        f"{len(held.tests):,} shoppers, each ranking {len(held.product_ids):,} products; "
        "nothing after the release's moment was seen"
    )
