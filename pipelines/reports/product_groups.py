"""Groups of a release's products: by brand, category, price band and age."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from pipelines.reports.evidence import ReleaseHistory
from pipelines.reports.markup import UNSHOWABLE
from retrieval.behaviour.purchases import DAY
from retrieval.behaviour.tables import Behaviour

MOST_GROUPS = 15  # that a table names; the others are one
LONGEST_LABEL = 40  # characters
FIFTHS = (0.2, 0.4, 0.6, 0.8)
AGES = {"under 30 days": 30, "30 to 89 days": 90, "90 to 364 days": 365}  # and their ends
OLDEST, NEVER_BOUGHT = "365 days and more", "never bought"
TURNING = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # marks that turn what follows


class Grouping(NamedTuple):
    """One way to group: every product is in one group."""

    name: str
    title: str
    definition: str
    labels: tuple[str, ...]
    group_of: Int64[np.ndarray, "n"]
    ordered: bool  # whether the groups have an order of their own, as bands do


def groupings(known: ReleaseHistory) -> tuple[Grouping, ...]:
    """Return every way to group that is reported."""
    return by_brand(known), by_category(known), by_price(known), by_age(known)


def by_brand(known: ReleaseHistory) -> Grouping:
    """Group by brand, as it is written."""
    labels, group_of = _distinct(known.products.column("brand"), "no brand")
    told = f"Brands as they are written. {_largest('brands')}"
    return Grouping("brand", "Brand", told, labels, group_of, ordered=False)


def by_category(known: ReleaseHistory) -> Grouping:
    """Group by the top level of the first category."""
    paths = known.products.column("categories")
    tops = [path[0].split(" > ")[0] if path else None for path in paths]
    labels, group_of = _distinct(tops, "no category")
    told = f"The top level of a product's first category. {_largest('categories')}"
    return Grouping("category", "Category", told, labels, group_of, ordered=False)


def by_price(known: ReleaseHistory) -> Grouping:
    """Group by fifths of the known prices; products of one price are in one band."""
    prices = np.nan_to_num(np.asarray(known.products.column("price"), np.float64))
    priced = prices > 0
    edges = np.unique(np.quantile(prices[priced], FIFTHS)) if priced.any() else np.zeros(0)
    band = np.where(priced, np.searchsorted(edges, prices), len(edges) + 1)
    labels = [_span(prices[priced & (band == place)]) for place in range(len(edges) + 1)]
    told = (
        "Fifths of the products that have a price, from the cheapest to the dearest; products of "
        "one price are in one band."
    )
    if len(currencies := {c for c in known.products.column("currency") if c}) > 1:
        told += f" Prices are compared as numbers, though there are {len(currencies)} currencies."
    return Grouping("price", "Price band", told, (*labels, "no price"), band, ordered=True)


def by_age(known: ReleaseHistory) -> Grouping:
    """Group by the days from a product's first purchase to the release's cut."""
    age = ages_days(known.behaviour)
    never = np.isnan(age)
    band = np.searchsorted(list(AGES.values()), age, side="right")  # NaN comes last
    labels = (NEVER_BOUGHT, *AGES, OLDEST)
    told = f"Days from a product's first purchase in the log to the cut, {known.cut}."
    if len(seconds := known.behaviour.purchases.entries.seconds):
        length = timedelta(seconds=int(known.behaviour.until_seconds - seconds.min()))
        told += f" The log begins {length.days:,} days before it, and no age is longer."
    return Grouping("age", "Age", told, labels, np.where(never, 0, band + 1), ordered=True)


def ages_days(behaviour: Behaviour) -> Float64[np.ndarray, "n"]:
    """Return how long ago each product was first bought, at the cut; NaN where it never was."""
    latest = np.iinfo(np.int64).max
    entries = behaviour.purchases.entries
    first = np.full(behaviour.num_products, latest)
    np.minimum.at(first, entries.rows, entries.seconds)
    return np.where(first == latest, np.nan, (behaviour.until_seconds - first) / DAY)


def largest(grouping: Grouping, exposure: Float64[np.ndarray, "n"]) -> Grouping:
    """Return a grouping without empty groups, those without an order by falling exposure.

    Of these only the first `MOST_GROUPS` keep their name.
    """
    count = len(grouping.labels)
    filled = np.flatnonzero(np.bincount(grouping.group_of, minlength=count))
    if not grouping.ordered:
        weight = np.bincount(grouping.group_of, exposure, count)
        filled = filled[np.argsort(-weight[filled], kind="stable")]
    named, others = filled, 0
    if not grouping.ordered and len(filled) > MOST_GROUPS:
        named, others = filled[:MOST_GROUPS], len(filled) - MOST_GROUPS
    place = np.full(count, len(named))
    place[named] = np.arange(len(named))
    labels = [grouping.labels[group] for group in named]
    if others:
        labels.append(f"{others:,} others")
    return grouping._replace(labels=tuple(labels), group_of=place[grouping.group_of])


def label(text: str) -> str:
    """Return a text from outside on one short line that a terminal and a drawing can show."""
    line = " ".join(UNSHOWABLE.sub("\ufffd", TURNING.sub("", text)).split())
    return line if len(line) <= LONGEST_LABEL else f"{line[: LONGEST_LABEL - 1]}…"


def _distinct(
    values: Sequence[str | None], missing: str
) -> tuple[tuple[str, ...], Int64[np.ndarray, "n"]]:
    """Number the values; what has none comes last."""
    names = sorted({value for value in values if value})
    number: dict[str | None, int] = {name: place for place, name in enumerate(names)}
    group_of = np.array([number.get(value, len(names)) for value in values], np.int64)
    return (*(label(name) for name in names), missing), group_of


def _span(prices: Float64[np.ndarray, "n"]) -> str:
    if not len(prices):
        return ""
    low, high = float(prices.min()), float(prices.max())
    return f"{low:,.2f}" if low == high else f"{low:,.2f} to {high:,.2f}"


def _largest(what: str) -> str:
    return f"The {MOST_GROUPS} {what} with the most exposure have a line, the others one together."
