"""Reads what was shown to shoppers and what came of it, as requests to learn from."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32, Int64

from index import Columns
from pipelines.shop import Shop
from ranking.position_bias import DEEPEST, examination
from ranking.training import labels_of
from retrieval import EventType
from retrieval.behaviour import DAY

ACTS = {  # outcomes of the ranker, by the event that they are
    "click": EventType.CLICK,
    "cart": EventType.ADD_TO_CART,
    "purchase": EventType.PURCHASE,
}
SHOWN = ("user", "session", "time", "placement", "text", "product", "position", "propensity")
LATEST = DAY  # seconds after which an act has nothing to do with what was shown
MOST_SHOWN = 2_000_000  # products; of a longer log the newest
MOST_BYTES = 256 << 20  # of them and of what came of them: a text may be long
MOST_LISTS = 50_000  # requests; each is ranked by every channel again, which takes milliseconds
FEWEST = 2  # products of one request, of which one can be better
HEAVIEST = 20.0  # times that one shown product may count: the variance of a small propensity


class Shown(NamedTuple):
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


def read_shown(shop: Shop, products: Columns, until: datetime | None) -> list[Shown]:
    """Return what was shown before `until`, oldest first; without consent to train: left out.

    Of a long log it is the newest. An act counts for a product shown in the same session at most a
    day before it.
    """
    table = _read(shop, until)
    rows = pc.index_in(table["product"], value_set=pa.array(products.ids)).fill_null(-1)
    table = table.append_column("row", rows)
    shown = table.filter(pc.equal(table["type"], EventType.IMPRESSION.value))
    if not shown.num_rows:
        return []
    keys, seconds = _keys(shown), _seconds(shown)
    came = {outcome: _came(keys, seconds, _acts(table, event)) for outcome, event in ACTS.items()}
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


def _keys(table: pa.Table) -> np.ndarray:
    """Return one text a line: who, in which session, which product."""
    parts = [table["user"], table["session"], table["product"].fill_null("")]
    return np.asarray(pc.binary_join_element_wise(*parts, "\x1f").to_pylist(), dtype=object)


def _seconds(table: pa.Table) -> Int64[np.ndarray, "s"]:
    return np.asarray(table["time"].cast(pa.int64()), np.int64)


def _acts(table: pa.Table, event: EventType) -> dict[Any, np.ndarray]:
    """Return the moments of these acts, ascending, by key."""
    acts = table.filter(pc.equal(table["type"], event.value))
    found: dict[Any, list[int]] = {}
    for key, second in zip(_keys(acts), _seconds(acts).tolist(), strict=True):
        found.setdefault(key, []).append(second)
    return {key: np.sort(np.array(moments)) for key, moments in found.items()}


def _came(keys: np.ndarray, seconds: np.ndarray, acts: dict[Any, np.ndarray]) -> np.ndarray:
    """Tell of each product shown whether it came to such an act within a day."""
    came = np.zeros(len(keys), bool)
    for place, (key, second) in enumerate(zip(keys, seconds.tolist(), strict=True)):
        moments = acts.get(key)
        if moments is not None:
            next_ = int(np.searchsorted(moments, second))
            came[place] = next_ < len(moments) and moments[next_] - second <= LATEST
    return came


def _weights(shown: pa.Table, clicked: np.ndarray) -> Float32[np.ndarray, "s"]:
    """Return 1 / propensity: as logged, if it is a probability, else by the place, else 1."""
    logged = np.asarray(shown["propensity"].fill_null(np.nan), np.float32)
    logged = np.where((logged > 0) & (logged <= 1), logged, np.nan)
    places = np.asarray(shown["position"].fill_null(0), np.int64)
    placed = places > 0
    chances = np.ones(shown.num_rows, np.float32)
    if placed.any():
        # The same product in answer to other words is as good as another product.
        about = [shown["product"].fill_null(""), shown["placement"], shown["text"]]
        named = pc.binary_join_element_wise(*about, "\x1f").combine_chunks().dictionary_encode()
        items = np.asarray(named.indices, np.int64)
        looked = examination(items[placed], places[placed], clicked[placed])
        chances[placed] = looked[np.minimum(places[placed], DEEPEST) - 1]
    chances = np.where(np.isnan(logged), chances, logged)
    return np.minimum(1 / np.maximum(chances, 1e-6), HEAVIEST).astype(np.float32)


def _requests(shown: pa.Table, came: dict[str, np.ndarray], weights: np.ndarray) -> Iterator[Shown]:
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
        yield Shown(user, at, placement, text, distinct, labels, weights[chosen])
