"""Chooses the queries with the lowest or most reduced nDCG, with relevant and top products."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import numpy as np

from pipelines.metrics.ranked_lists import NAMES, NDCG_CUTS
from pipelines.reports.evidence import Evidence, ReleaseHistory, ReportedRequest
from pipelines.reports.findings import PerQuery, SeenProduct, SeenQuery
from retrieval.types import local_seconds

MOST_QUERIES = 50
MOST_PRODUCTS = 20  # of each list of a query
MOST_BOUGHT = 5  # of a shopper's last products
LONGEST_TEXT = 200  # characters of a title or a query that are shown
METRIC = next(iter(NDCG_CUTS))
LOWEST, LOSS = "lowest", "loss"


def per_query(evidence: Evidence) -> PerQuery:
    """Return the metric by which queries are chosen, for every query."""
    columns = [run.values[:, NAMES.index(METRIC)].tolist() for run in evidence.runs.values()]
    return PerQuery(
        metric=METRIC,
        queries=tuple(evidence.gains),
        run=tuple(columns[0]),
        against=tuple(columns[1]) if len(columns) > 1 else None,
    )


def worst(values: PerQuery, num_relevant: Sequence[int]) -> dict[str, str]:
    """Return up to 50 query ids with the reason why each is shown, the worst first.

    With another run half of them are the greatest losses against it, the rest the lowest. Among
    equals those with more relevant products come first, where it was harder to find none.
    Queries without a relevant product can never be right, and are not shown.
    """
    possible = [row for row, count in enumerate(num_relevant) if count]
    lowest = sorted(possible, key=lambda row: (values.run[row], -num_relevant[row], row))
    losses: list[int] = []
    if values.against is not None:
        change = np.subtract(values.run, values.against)
        losses = sorted((row for row in possible if change[row] < 0), key=lambda row: change[row])
    chosen = dict.fromkeys((values.queries[row] for row in losses[: MOST_QUERIES // 2]), LOSS)
    for row in lowest:
        if len(chosen) == MOST_QUERIES or values.run[row] == 1:
            break
        chosen.setdefault(values.queries[row], LOWEST)
    return chosen


def explore(evidence: Evidence) -> tuple[SeenQuery, ...]:
    """Return the worst queries with their products."""
    values = per_query(evidence)
    counts = [sum(gain > 0 for gain in wanted.values()) for wanted in evidence.gains.values()]
    row_of = {query: row for row, query in enumerate(values.queries)}
    found = []
    for query, reason in worst(values, counts).items():
        row = row_of[query]
        asked = (evidence.asked or {}).get(query, ReportedRequest())
        found.append(
            SeenQuery(
                id=query,
                chosen=reason,
                text=brief(asked.text),
                user=brief(asked.user),
                at=brief(asked.at),
                filter=brief(asked.filter),
                picture=asked.picture,
                num_candidates=asked.num_candidates,
                bought=_bought(evidence.history, asked),
                values=tuple(column[row] for column in (values.run, values.against) if column),
                num_relevant=counts[row],
                relevant=_relevant(evidence, query),
                top=_top(evidence, query),
            )
        )
    return tuple(found)


def brief(text: str) -> str:
    """Return a text, cut where it is too long to be shown."""
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def titles(known: ReleaseHistory | None, ids: Iterable[str]) -> dict[str, str]:
    """Return the titles of those products that the release has."""
    if known is None:
        return {}
    records = known.products.records(known.products.rows_of(list(ids)).rows)
    return {record["id"]: brief(record["title"] or "") for record in records}


def _relevant(evidence: Evidence, query: str) -> tuple[SeenProduct, ...]:
    """Return the relevant products, the best grade first, and among those the best position."""
    wanted = evidence.gains[query]
    places = _places(evidence, query)
    best = sorted(
        (product for product, gain in wanted.items() if gain > 0),
        key=lambda p: (-wanted[p], places[0].get(p, np.inf), p),
    )
    return _seen(evidence, query, best[:MOST_PRODUCTS])


def _top(evidence: Evidence, query: str) -> tuple[tuple[SeenProduct, ...], ...]:
    lists = [run.rankings.get(query, ())[:MOST_PRODUCTS] for run in evidence.runs.values()]
    return tuple(_seen(evidence, query, products) for products in lists)


def _seen(evidence: Evidence, query: str, products: Sequence[str]) -> tuple[SeenProduct, ...]:
    named = titles(evidence.history, products)
    places = _places(evidence, query)
    return tuple(
        SeenProduct(
            id=product,
            title=named.get(product, ""),
            gain=evidence.gains[query].get(product),
            positions=tuple(place.get(product) for place in places),
        )
        for product in products
    )


def _places(evidence: Evidence, query: str) -> list[Mapping[str, int]]:
    return [
        {product: place for place, product in enumerate(run.rankings.get(query, ()), start=1)}
        for run in evidence.runs.values()
    ]


def _bought(known: ReleaseHistory | None, asked: ReportedRequest) -> tuple[str, ...]:
    """Return what the shopper bought last before the request, as far as the release has seen it."""
    if known is None or not asked.user:
        return ()
    history = known.behaviour.history(asked.user, _moment(asked.at, known))
    newest = list(dict.fromkeys(history.rows[::-1].tolist()))[:MOST_BOUGHT]
    records = known.products.records(np.array(newest, np.int64))
    return tuple(brief(record["title"] or record["id"]) for record in records)


def _moment(text: str, known: ReleaseHistory) -> int:
    try:
        return local_seconds(known.place.local(datetime.fromisoformat(text)))
    except ValueError:
        return known.behaviour.until_seconds
