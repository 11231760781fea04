"""Exposure by group of products in two runs, before and after ranking."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from index import Columns
from pipelines.evaluation.trec_files import SHOWN_CHARACTERS, EvaluationError, read_run
from pipelines.metrics.ranked_lists import Rankings
from pipelines.reports.evidence import ReleaseHistory, names, open_history
from pipelines.reports.exposure_findings import (
    LEAST_REQUESTS,
    ExposureReport,
    ExposureSpread,
    Group,
    Grouped,
)
from pipelines.reports.findings import Range
from pipelines.reports.output import page_file, refuse_to_overwrite, write
from pipelines.reports.product_groups import Grouping, groupings, largest
from ranking.slate.exposure import (
    RankedLists,
    coverage,
    gini,
    moved,
    of_groups,
    of_products,
    ratio_interval,
    ratios,
    shares,
)

LARGEST_RUN = 1_000_000_000  # bytes
NAMED_MISSING = 3  # products that a message names


class Lists(NamedTuple):
    """The lists of both runs for the same requests."""

    before: RankedLists
    after: RankedLists
    num_requests: int
    alone: tuple[int, int]


def exposure(
    before: Path, after: Path, releases: Path, *, k: int = 20, page: Path | None = None
) -> ExposureReport:
    """Compare two runs on the products of the current release, and write a page if one is named."""
    out = None if page is None else page_file(page)
    if out is not None:
        refuse_to_overwrite((before, after), [out])
    first, second = _read(before), _read(after)
    known = open_history(releases)
    refuse_unknown(before, first, known)
    refuse_unknown(after, second, known)
    if not first.keys() & second.keys():
        raise EvaluationError(
            f"{before} and {after} have no request in common (the first ones are "
            f"{next(iter(first))!r} and {next(iter(second))!r}); give two runs of the same "
            "requests"
        )
    report = measure(names([before, after]), lists(first, second, known.products, k), known, k)
    if out is not None:
        from pipelines.reports.pages.exposure import page as draw

        write(out, draw(report).encode())
    return report


def measure(runs: list[str], shown: Lists, known: ReleaseHistory, k: int) -> ExposureReport:
    """Return every figure of two runs of the same requests."""
    size = known.products.size
    totals = [of_products(each, size) for each in (shown.before, shown.after)]
    return ExposureReport(
        runs=tuple(runs),
        release=known.release,
        cut=known.cut,
        k=k,
        num_products=size,
        num_requests=shown.num_requests,
        alone=shown.alone,
        spreads=tuple(
            ExposureSpread(shown=int((t > 0).sum()), coverage=coverage(t), gini=gini(t))
            for t in totals
        ),
        groupings=tuple(
            grouped(largest(grouping, totals[0] + totals[1]), shown, known)
            for grouping in groupings(known)
        ),
    )


def grouped(grouping: Grouping, shown: Lists, known: ReleaseHistory) -> Grouped:
    """Return the shares of each group, and the ratio where it can be told."""
    count = len(grouping.labels)
    before, after = (
        of_groups(each, grouping.group_of, shown.num_requests, count)
        for each in (shown.before, shown.after)
    )
    shares_of = [shares(each.sum(axis=0)) for each in (before, after)]
    sizes = np.bincount(grouping.group_of, minlength=count)
    bought = np.bincount(grouping.group_of, known.baskets, count)
    sold = shares(bought)
    found = _ratios(before, after)
    return Grouped(
        name=grouping.name,
        title=grouping.title,
        definition=grouping.definition,
        moved=moved(before.sum(axis=0), after.sum(axis=0)),
        groups=tuple(
            Group(
                name=name,
                num_products=int(sizes[place]),
                catalogue=float(sizes[place] / sizes.sum()),
                purchases=float(sold[place]) if bought.any() else None,
                before=float(shares_of[0][place]),
                after=float(shares_of[1][place]),
                ratio=found[place],
            )
            for place, name in enumerate(grouping.labels)
        ),
    )


def lists(before: Rankings, after: Rankings, products: Columns, k: int) -> Lists:
    """Return the first k of each request that both runs answer."""
    common = sorted(before.keys() & after.keys())
    return Lists(
        before=_shown([before[request][:k] for request in common], products),
        after=_shown([after[request][:k] for request in common], products),
        num_requests=len(common),
        alone=(len(before) - len(common), len(after) - len(common)),
    )


def refuse_unknown(path: Path, rankings: Rankings, known: ReleaseHistory) -> None:
    """Raise EvaluationError where a run shows products that the release lacks."""
    ids = list({product for products in rankings.values() for product in products})
    missing = sorted(known.products.rows_of(ids).missing)
    if missing:
        named = ", ".join(repr(name[:SHOWN_CHARACTERS]) for name in missing[:NAMED_MISSING])
        more = ", ..." if len(missing) > NAMED_MISSING else ""
        raise EvaluationError(
            f"{path}: {len(missing):,} of its {len(ids):,} products are not in release "
            f"{known.release} ({named}{more}); give the run and the release that made it"
        )


def _read(path: Path) -> Rankings:
    size = path.stat().st_size if path.is_file() else 0
    if size > LARGEST_RUN:
        raise EvaluationError(
            f"{path} holds {size:,} bytes, and a run of at most {LARGEST_RUN:,} is read; "
            "give fewer requests, or a smaller k"
        )
    return read_run(path)


def _shown(ranked: Sequence[Sequence[str]], products: Columns) -> RankedLists:
    lengths = [len(one) for one in ranked]
    rows = products.rows_of([product for one in ranked for product in one]).rows
    positions = [np.arange(1, length + 1) for length in lengths]
    return RankedLists(np.repeat(np.arange(len(ranked)), lengths), rows, np.concatenate(positions))


def _ratios(
    before: Float64[np.ndarray, "q g"], after: Float64[np.ndarray, "q g"]
) -> list[Range | None]:
    """Return the ratio of each group; without ends where too few requests show it."""
    found = ratios(*(shares(each.sum(axis=0)) for each in (before, after)))
    ends = ratio_interval(before, after)
    often = np.minimum((before > 0).sum(axis=0), (after > 0).sum(axis=0)) >= LEAST_REQUESTS
    told = often & np.isfinite(ends.low) & np.isfinite(ends.high)
    return [
        None
        if np.isnan(ratio)
        else Range(mean=float(ratio), low=float(low), high=float(high))
        if known
        else Range(mean=float(ratio))
        for ratio, low, high, known in zip(found, *ends, told, strict=True)
    ]
