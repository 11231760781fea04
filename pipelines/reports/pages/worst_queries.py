"""Draws the worst queries of a report: request, relevant products, and the top of each run."""

from typing import Any

from pipelines.reports.findings import Report, SeenProduct, SeenQuery
from pipelines.reports.worst_queries import LOSS, LOWEST, MOST_PRODUCTS, brief

CHOSEN = {LOWEST: "among the lowest", LOSS: "among the greatest losses"}
ORDERS = {  # what the explorer can be sorted by, where there is a script
    "place": "as listed",
    "run": "lowest first",
    "change": "greatest loss first",
    "words": "shortest text first",
}


def worst_query_facts(report: Report) -> dict[str, Any]:
    """Return what the section's template needs beside the report."""
    paired = len(report.runs) > 1
    return {
        "worst_facts": (
            f"{len(report.explorer):,} of {report.num_queries:,} queries: "
            f"{'the greatest losses and the lowest' if paired else 'the lowest'} by "
            f"{report.per_query.metric}. Open one to see what was right and what came on top, "
            f"up to {MOST_PRODUCTS} products each."
        ),
        "orders": [one for one in ORDERS.items() if one[0] != "change" or paired],
        "chosen": CHOSEN,
        "brief": brief,
        "relevant_number": _relevant_number,
    }


def _relevant_number(query: SeenQuery, product: SeenProduct) -> int | None:
    """Return where a product stands among the relevant ones that are listed."""
    return next((n for n, one in enumerate(query.relevant) if one.id == product.id), None)
