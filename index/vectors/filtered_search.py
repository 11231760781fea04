"""Chooses how to search among the rows that pass a filter, and tells when enough was seen.

Three ways: compare all that pass ("scan"), search with a selector and more effort
("select"), or search without it, deeper, and drop what does not pass ("overfetch"). How many rows
pass says what a look costs, not whether it finds the answers: where a filter keeps what is unlike
the query, they lie where an index looks last. So every look is repeated with twice the effort, and
counts only when the second one changes almost nothing; else the rows that pass are scanned.
"""

from collections.abc import Callable
from math import ceil
from typing import Literal, NamedTuple

import numpy as np

from index.types import FilterPlan, Hits, Way

Kind = Literal["flat", "cells", "graph", "closed"]

CHANGED = 0.01  # share of the answers that a doubled effort may still replace
WASTED = 0.5  # of a scan's cost, at most, is spent on looks that may prove nothing
SAME_SCORE = 1e-6  # two scores this near are the same answer
SPARE = 1.2  # an over-fetch takes this much more than the share of passing rows asks for
AGAIN = 700  # more rows than asked for, about, are scored in full beside a scan of bytes


class Costs(NamedTuple):
    """Nanoseconds of each step of a search, as the benchmark filtered_search prints them.

    Only their ratios matter. These are of 73,055 real titles, on one thread of an idle machine, but
    for those of product codes, which are of 70,000 on a busy one.
    """

    score: float = 92.5  # comparing one row of 384 numbers, picked out of many
    skip: float = 1.3  # finding that a row does not pass
    cell: float = 269.0  # entering one cell
    step: float = 1_113.0  # one node of a graph with all its neighbours
    byte: float = 34.0  # comparing one row of 384 bytes
    again: float = 600.0  # keeping one row of those, and scoring it again
    entry: float = 1_700.0  # entering one cell of product codes
    code: float = 6.0  # comparing one of them, whoever passes


class IndexShape(NamedTuple):
    """What the choice needs to know of an index.

    `effort` is cells of `most` (cells), nodes kept (graph), or rows fetched (closed: an index that
    cannot be told which rows pass).
    """

    kind: Kind
    rows: int
    effort: int
    most: int
    has_bytes: bool = False  # its rows can be scanned as bytes first
    has_codes: bool = False  # its cells hold product codes, which are compared in registers


COSTS = Costs()


def choose(shape: IndexShape, passed: int, k: int, costs: Costs = COSTS) -> FilterPlan:
    """Return the cheapest way to the best `k` of the `passed` rows, with the effort it begins with.

    A scan costs in proportion to the rows that pass, as bytes or in full, whichever is less. Any
    other way begins with the effort that a filter drawn at random would need, `effort / share`, in
    two looks; it is taken where these two cost less than half a scan.
    """
    scan = FilterPlan(way=Way.SCAN, passed=passed, of=shape.rows, effort=0, exactness=1.0)
    if shape.kind == "flat" or passed <= k:
        return scan
    share = passed / shape.rows
    effort = _first_effort(shape, share, k)
    both = cost(shape, effort, share, costs) + cost(shape, 2 * effort, share, costs)
    if both > WASTED * scan_cost(shape, passed, k, costs):
        return scan
    way = Way.OVERFETCH if shape.kind == "closed" else Way.SELECT
    return FilterPlan(way=way, passed=passed, of=shape.rows, effort=effort, exactness=0.0)


def _first_effort(shape: IndexShape, share: float, k: int) -> int:
    """Return half of what a filter drawn at random needs; a graph keeps at least `k` nodes."""
    if shape.kind == "closed":
        wanted = SPARE * k / share
    elif shape.kind == "graph":
        wanted = max(max(shape.effort, k) / share / 2, k)
    else:
        wanted = shape.effort / share / 2
    return min(max(ceil(wanted), 1), shape.most)


def cost(shape: IndexShape, effort: int, share: float, costs: Costs = COSTS) -> float:
    """Return about how many nanoseconds a look with this effort takes.

    cells: `effort * cell + rows * effort / most * (skip + share * score)`, or of product codes
    `effort * entry + rows * effort / most * code`; graph and closed: `effort * step`, as the steps
    of a graph do not depend on who passes.
    """
    if shape.kind != "cells":
        return effort * costs.step
    seen = shape.rows * min(effort / shape.most, 1.0)
    if shape.has_codes:
        return effort * costs.entry + seen * costs.code
    return effort * costs.cell + seen * (costs.skip + share * costs.score)


def scan_cost(shape: IndexShape, passed: int, k: int, costs: Costs = COSTS) -> float:
    """Return about how many nanoseconds comparing all that pass takes."""
    in_full = passed * costs.score
    return min(in_full, _bytes_cost(shape, passed, k, costs)) if shape.has_bytes else in_full


def scans_bytes(shape: IndexShape, passed: int, k: int, costs: Costs = COSTS) -> bool:
    """Tell whether a scan reads the rows that pass as bytes first."""
    return k > 0 and shape.has_bytes and _bytes_cost(shape, passed, k, costs) < passed * costs.score


def _bytes_cost(shape: IndexShape, passed: int, k: int, costs: Costs) -> float:
    return shape.rows * costs.skip + passed * costs.byte + (k + AGAIN) * costs.again


def search_until_stable(
    look: Callable[[int], Hits], plan: FilterPlan, shape: IndexShape, k: int, costs: Costs = COSTS
) -> Hits | None:
    """Look with twice the effort until that changes almost nothing; None: scanning is cheaper.

    `look` returns what is found up to an effort. The exactness of the answer is the share that the
    last doubling left as it was: the answers that further ones would bring, halving each time, are
    no more than it replaced.
    """
    wanted, share = min(k, plan.passed), plan.passed / plan.of
    effort, found = plan.effort, look(plan.effort)
    in_proportion = ceil(effort * wanted / max(len(found.rows), 1))
    if cost(shape, in_proportion, share, costs) > scan_cost(shape, plan.passed, k, costs):
        return None  # what passes is not where the index looks
    while effort < shape.most:
        before, effort = found, min(2 * effort, shape.most)
        found = look(effort)
        changed = replaced(before, found, wanted)
        if changed <= CHANGED:
            return _as_found(found, plan, effort, 1 - changed)
        needed = cost(shape, ceil(effort * changed / CHANGED), share, costs)
        if needed > scan_cost(shape, plan.passed, k, costs):
            return None
    complete = shape.kind == "cells" and len(found.rows) == wanted
    return _as_found(found, plan, effort, 1.0) if complete else None


def replaced(before: Hits, after: Hits, wanted: int) -> float:
    """Return which share of `wanted` answers was not there before, or is not there even now."""
    if len(after.rows) < wanted:
        return 1 - len(before.rows) / wanted
    kept = np.count_nonzero(before.scores >= after.scores[wanted - 1] - SAME_SCORE)
    return 1 - min(int(kept), wanted) / wanted


def _as_found(hits: Hits, plan: FilterPlan, effort: int, exactness: float) -> Hits:
    plan = FilterPlan(
        way=plan.way, passed=plan.passed, of=plan.of, effort=effort, exactness=exactness
    )
    return Hits(hits.rows, hits.scores, plan)
