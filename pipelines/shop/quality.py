"""The quality report of an import: rows read, rows refused and why, values missing."""

import math
from collections import Counter
from collections.abc import Iterable
from io import StringIO
from typing import Annotated

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Meta
from rich.console import Console
from rich.table import Table

from pipelines.shop.id_match import IdMatch
from pipelines.shop.remarks import Remark

EXAMPLES = 100  # refused rows that are named
EXAMPLES_OF_A_KIND = 3
TOP = 10  # categories, brands and reasons that are named
COUNTED_NAMES = 100_000  # distinct categories or brands that are counted one by one
SHOWN_CHARACTERS = 80
REPORTED_FIELDS = (
    "description",
    "brand",
    "categories",
    "price",
    "images",
    "attributes",
)


class RefusedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One refused row; lines count from 1, the header included."""

    source: str
    line: int
    reason: str


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """The distribution of products over categories or brands.

    `effective` is the number of equally large ones that would be as mixed (exponential entropy).
    """

    distinct: int = 0
    effective: float = 0.0
    largest: dict[str, int] = {}


class Popularity(msgspec.Struct, frozen=True, kw_only=True):
    """The inequality of events over products; `gini` is 0 if equal and near 1 if one has all."""

    products_with_events: int = 0
    products_without_events: int = 0
    gini: float = 0.0
    share_of_top_percent: float = 0.0  # of the events, on the most popular 1 % of products
    median_events: float = 0.0  # per product that has any


class QualityReport(msgspec.Struct, frozen=True, kw_only=True):
    """The report of one import. `refused` counts rows by reason, `examples` has the first rows."""

    name: str
    source: str
    rows_read: int = 0
    rows_kept: int = 0
    refused: dict[str, int] = {}
    examples: tuple[RefusedRow, ...] = ()
    missing: dict[str, Annotated[float, Meta(ge=0, le=1)]] = {}
    duplicate_ids: int = 0
    impossible_prices: int = 0
    unreadable_images: int = 0
    pictures: int = 0
    videos: int = 0
    unreadable_videos: int = 0
    events_read: int = 0
    events_kept: int = 0
    events_ignored: dict[str, int] = {}  # that are none of shopping, by their names
    categories: Spread = Spread()
    brands: Spread = Spread()
    popularity: Popularity | None = None
    id_match: IdMatch | None = None  # how events find their products
    notes: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()  # what was read by a choice

    def json(self) -> bytes:
        """Return the report as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    def table(self) -> str:
        """Return the report for a reader, at most 100 characters wide."""
        out = StringIO()
        console = Console(file=out, width=100, color_system=None, emoji=False, markup=False)
        grid = Table(title=f"Quality of {self.name} ({self.source})", show_header=False)
        for label, value in self._rows():
            grid.add_row(label, value)
        console.print(grid)
        for refusal in self.examples[:TOP]:
            console.print(f"  {refusal.source}, line {refusal.line}: {refusal.reason}")
        if sum(self.refused.values()) > TOP:
            console.print("  more refused rows are in quality.json")
        return out.getvalue()

    def _rows(self) -> Iterable[tuple[str, str]]:
        yield "rows read / kept", f"{self.rows_read:,} / {self.rows_kept:,}"
        if self.events_read:
            yield "events read / kept", f"{self.events_read:,} / {self.events_kept:,}"
        if self.events_ignored:
            most = list(self.events_ignored.items())[:TOP]
            names = ", ".join(f"{name} {count:,}" for name, count in most)
            yield "beside shopping", f"{sum(self.events_ignored.values()):,}: {names}"
        for reason, count in sorted(self.refused.items(), key=lambda item: -item[1])[:TOP]:
            yield f"refused: {reason}", f"{count:,}"
        yield "duplicate ids", f"{self.duplicate_ids:,}"
        yield "impossible prices", f"{self.impossible_prices:,}"
        yield "pictures / unreadable", f"{self.pictures:,} / {self.unreadable_images:,}"
        if self.videos or self.unreadable_videos:
            yield "videos / unreadable", f"{self.videos:,} / {self.unreadable_videos:,}"
        yield "missing", ", ".join(f"{name} {share:.1%}" for name, share in self.missing.items())
        yield "categories", _spread_words(self.categories)
        yield "brands", _spread_words(self.brands)
        if self.popularity:
            yield "popularity", _popularity_words(self.popularity)
        for sentence in self.id_match.sentences() if self.id_match else ():
            yield "id match", sentence
        for note in self.notes:
            yield "note", note
        for remark in self.remarks:
            yield "choice", remark.sentence()


class Quality:
    """Counts while an import runs, in bounded memory, and makes the report at the end."""

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source
        self.rows_read = 0
        self.events_read = 0
        self.events_kept = 0
        self.events_ignored: Counter[str] = Counter()
        self.duplicate_ids = 0
        self.impossible_prices = 0
        self.unreadable_images = 0
        self.pictures = 0
        self.videos = 0
        self.unreadable_videos = 0
        self.rows_kept = 0
        self.refused: Counter[str] = Counter()
        self.examples: list[RefusedRow] = []
        self.id_match: IdMatch | None = None
        self.notes: list[str] = []
        self.remarks: list[Remark] = []
        self._missing: Counter[str] = Counter()
        self._categories: Counter[str] = Counter()
        self._brands: Counter[str] = Counter()
        self._popularity: Popularity | None = None

    def refuse(self, source: str, line: int, kind: str, reason: str) -> None:
        """Count a row that is not taken, under `kind`, and remember the first ones in full.

        Of each kind EXAMPLES_OF_A_KIND are remembered, however many others came before.
        """
        self.refused[kind] += 1
        always = self.refused[kind] <= EXAMPLES_OF_A_KIND and len(self.refused) <= EXAMPLES
        self.example(source, line, reason, always=always)

    def example(self, source: str, line: int, reason: str, *, always: bool = False) -> None:
        """Remember a mistake by its line, if there is room for it."""
        if always or len(self.examples) < EXAMPLES:
            self.examples.append(RefusedRow(source=source, line=line, reason=reason))

    def see_products(self, table: pa.Table) -> None:
        """Count the products that are kept."""
        self.rows_kept += table.num_rows
        for name in REPORTED_FIELDS:
            self._missing[name] += _empty(table[name])
        _count(self._brands, table["brand"])
        _count(self._categories, pc.list_flatten(table["categories"]))

    def see_popularity(self, counts: np.ndarray) -> None:
        """Take how many events each product with any has, in any order."""
        self._popularity = _popularity(counts, self.rows_kept)

    def report(self) -> QualityReport:
        """Return what was counted."""
        return QualityReport(
            name=self.name,
            source=self.source,
            rows_read=self.rows_read,
            rows_kept=self.rows_kept,
            refused=dict(self.refused.most_common()),
            examples=tuple(self.examples),
            missing={name: count / max(self.rows_kept, 1) for name, count in self._missing.items()},
            duplicate_ids=self.duplicate_ids,
            impossible_prices=self.impossible_prices,
            unreadable_images=self.unreadable_images,
            pictures=self.pictures,
            videos=self.videos,
            unreadable_videos=self.unreadable_videos,
            events_read=self.events_read,
            events_kept=self.events_kept,
            events_ignored=dict(self.events_ignored.most_common()),
            categories=_spread(self._categories),
            brands=_spread(self._brands),
            popularity=self._popularity,
            id_match=self.id_match,
            notes=tuple(self.notes),
            remarks=tuple(self.remarks),
        )


def shown(value: object) -> str:
    """Return a value as a message shows it: quoted, on one line, and not too long."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of thousands of digits
        return "a huge number"
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _empty(column: pa.ChunkedArray) -> int:
    if pa.types.is_string(column.type):
        return int(pc.sum(pc.equal(column, "")).as_py() or 0)
    if pa.types.is_list(column.type):
        return int(pc.sum(pc.equal(pc.list_value_length(column), 0)).as_py() or 0)
    if pa.types.is_map(column.type):
        return sum(1 for pairs in column if not len(pairs))
    return int(column.null_count)


def _count(counter: Counter[str], column: pa.ChunkedArray) -> None:
    for found in pc.value_counts(column):
        name = found["values"].as_py()
        if name and (name in counter or len(counter) < COUNTED_NAMES):
            counter[name] += found["counts"].as_py()


def _spread(counter: Counter[str]) -> Spread:
    total = sum(counter.values())
    entropy = -sum(n / total * math.log(n / total) for n in counter.values())
    return Spread(
        distinct=len(counter),
        effective=round(math.exp(entropy), 1) if counter else 0.0,
        largest=dict(counter.most_common(TOP)),
    )


def _popularity(counts: np.ndarray, num_products: int) -> Popularity:
    """The Gini coefficient is taken over products that have events."""
    if not len(counts):
        return Popularity(products_without_events=num_products)
    ordered = np.sort(counts.astype(np.float64))
    places = np.arange(1, len(ordered) + 1)
    gini = float((2 * places - len(ordered) - 1) @ ordered / (len(ordered) * ordered.sum()))
    top = max(1, round(len(ordered) / 100))
    return Popularity(
        products_with_events=len(ordered),
        products_without_events=max(num_products - len(ordered), 0),
        gini=round(gini, 3),
        share_of_top_percent=round(float(ordered[-top:].sum() / ordered.sum()), 3),
        median_events=float(np.median(ordered)),
    )


def _spread_words(spread: Spread) -> str:
    largest = "; ".join(f"{name} {count:,}" for name, count in list(spread.largest.items())[:3])
    return f"{spread.distinct:,} (as mixed as {spread.effective:,.0f} equal ones): {largest}"


def _popularity_words(popularity: Popularity) -> str:
    return (
        f"{popularity.products_with_events:,} products with events, "
        f"{popularity.products_without_events:,} without; the top 1 % have "
        f"{popularity.share_of_top_percent:.1%} of the events; Gini {popularity.gini}"
    )
