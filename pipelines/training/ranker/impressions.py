"""Reads what was shown to shoppers and what came of it, as requests to learn from."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float32, Int64

from index import Columns
from pipelines.shop.reader import Shop
from ranking.network.examples import labels_of
from ranking.slate.position_bias import chances_of_a_look
from retrieval import EventType
from retrieval.behaviour.purchases import DAY

ACTS = {  # outcomes of the ranker, by the event that they are
    "click": EventType.CLICK,
    "cart": EventType.ADD_TO_CART,
    "purchase": EventType.PURCHASE,
}
SHOWN = ("user", "session", "time", "placement", "text", "product", "position", "propensity")
LATEST = DAY  # seconds; what is done later has nothing to do with what was shown
MOST_SHOWN = 2_000_000  # products; of a longer log the newest
MOST_BYTES = 256 << 20  # of them and of what came of them: a text may be long
MOST_LISTS = 50_000  # requests; each is ranked by every channel again, which takes milliseconds
FEWEST = 2  # products of one request, of which one can be better
HEAVIEST = 20.0  # times that one shown product may count: the variance of a small propensity


class Impressions(NamedTuple):
    """Products that one shopper was shown at once, and what came of each."""

    user_id: str
    at_seconds: int
    placement: str
    text: str
    rows: Int64[np.ndarray, "s"]  # distinct
    labels: Float32[np.ndarray, "s o"]
    weights: Float32[np.ndarray, "s"]  # 1 / propensity of being looked at

    def came(self) -> bool:
        """Tell whether it came to anything."""
        return bool(np.nan_to_num(self.labels).any())


def read_shown(shop: Shop, products: Columns, until: datetime | None) -> list[Impressions]:
    """Return what was shown before `until`, oldest first; without consent to train: left out.

    Of a long log it is the newest. An act counts once: for the latest time that this shopper was
    shown its product before it, whichever session or window that was in, at most a day before.
    """
    table = _read(shop, until)
    rows = pc.index_in(table["product"], value_set=pa.array(products.ids)).fill_null(-1)
    pairs = _codes(table, "user", "product")
    table = table.append_column("row", rows).append_column("pair", pa.array(pairs))
    shown = _of(table, EventType.IMPRESSION)
    if not shown.num_rows:
        return []
    came = {outcome: _came(shown, _of(table, event)) for outcome, event in ACTS.items()}
    return list(_requests(shown, came, _weights(shown, came["click"])))[-MOST_LISTS:]


def _read(shop: Shop, until: datetime | None) -> pa.Table:
    """Return impressions, the newest, and all that may have come of them."""
    kinds = pa.array([EventType.IMPRESSION.value, *(event.value for event in ACTS.values())])
    parts: list[pa.Table] = []
    for batch in shop.event_batches(until, ["type", *SHOWN, "consent"]):
        kept = pc.and_(
            pc.is_in(batch.column("type"), value_set=kinds),
            pc.struct_field(batch.column("consent"), "train"),
        )
        found = pa.Table.from_batches([batch]).filter(kept).drop_columns(["consent"])
        if found.num_rows:
            parts.append(found)
        while len(parts) > 1 and _too_many(parts):
            parts.pop(0)
    if parts:
        return pa.concat_tables(parts)
    return pa.table({name: pa.array([], pa.string()) for name in ("type", *SHOWN)})


def _too_many(parts: list[pa.Table]) -> bool:
    newer = sum(part.num_rows for part in parts[1:])
    return bool(newer >= MOST_SHOWN or sum(part.nbytes for part in parts) > MOST_BYTES)


def _of(table: pa.Table, event: EventType) -> pa.Table:
    return table.filter(pc.equal(table["type"], event.value))


def _codes(table: pa.Table, *names: str) -> Int64[np.ndarray, "s"]:
    """Return a number a line, the same where these columns are."""
    parts = [table[name].fill_null("") for name in names]
    joined = pc.binary_join_element_wise(*parts, "\x1f").combine_chunks()
    return np.asarray(joined.dictionary_encode().indices, np.int64)


def _seconds(table: pa.Table) -> Int64[np.ndarray, "s"]:
    return np.asarray(table["time"].cast(pa.int64()), np.int64)


def _came(shown: pa.Table, acts: pa.Table) -> Bool[np.ndarray, "s"]:
    """Tell of each product shown whether an act is to be put down to it.

    That is the latest showing to the same shopper at or before the act; of several in the same
    second, in two windows at once, the first in the log.
    """
    came = np.zeros(shown.num_rows, bool)
    if not acts.num_rows:
        return came
    seconds, act_seconds = _seconds(shown), _seconds(acts)
    first = min(seconds.min(), act_seconds.min())
    stride = max(seconds.max(), act_seconds.max()) - first + LATEST + 1  # so that pairs stay apart
    shown_at = np.asarray(shown["pair"]) * stride + seconds - first
    acted_at = np.asarray(acts["pair"]) * stride + act_seconds - first
    order = np.argsort(shown_at, kind="stable")
    ascending = shown_at[order]
    latest = np.searchsorted(ascending, acted_at, side="right") - 1
    ago = acted_at - ascending[latest]
    told = ascending[latest[(latest >= 0) & (ago <= LATEST)]]
    came[order[np.searchsorted(ascending, told)]] = True
    return came


def _weights(shown: pa.Table, clicked: Bool[np.ndarray, "s"]) -> Float32[np.ndarray, "s"]:
    """Return 1 / propensity: as logged, if it is a probability, else by the place, else 1."""
    logged = np.asarray(shown["propensity"].fill_null(np.nan), np.float32)
    logged = np.where((logged > 0) & (logged <= 1), logged, np.nan)
    places = np.asarray(shown["position"].fill_null(0), np.int64)
    placed = places > 0
    # The same product in answer to other words is as good as another product.
    items, windows = _codes(shown, "product", "placement", "text"), _codes(shown, "placement")
    chances = np.ones(shown.num_rows, np.float32)
    chances[placed] = chances_of_a_look(
        *(column[placed] for column in (items, windows, places, clicked))
    )
    chances = np.where(np.isnan(logged), chances, logged)
    return np.minimum(1 / np.maximum(chances, 1e-6), HEAVIEST).astype(np.float32)


def _requests(
    shown: pa.Table, came: dict[str, Bool[np.ndarray, "s"]], weights: Float32[np.ndarray, "s"]
) -> Iterator[Impressions]:
    """Yield one request a user, session, moment, placement and text."""
    about = [shown[name].to_pylist() for name in ("user", "session", "placement", "text")]
    seconds, rows = _seconds(shown), np.asarray(shown["row"], np.int64)
    groups: dict[Any, list[int]] = {}
    for place, group in enumerate(zip(seconds.tolist(), *about, strict=True)):
        if rows[place] >= 0:
            groups.setdefault(group, []).append(place)
    for (at, user, _, placement, text), found in sorted(groups.items()):
        distinct, first = np.unique(rows[found], return_index=True)
        if len(distinct) < FEWEST:
            continue
        chosen = np.array(found)[first]
        labels = labels_of(**{outcome: column[chosen] for outcome, column in came.items()})
        yield Impressions(user, at, placement, text, distinct, labels, weights[chosen])
