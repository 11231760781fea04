"""One history from two places: what the release knows of a shopper, and the acts since."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from pipelines.config.place import ShopPlace
from pipelines.events.profiles.profiles import ProfileLine
from pipelines.shop.purchases.returns import without_returns
from retrieval import EventType
from retrieval.behaviour.purchase_log import purchases_before
from retrieval.behaviour.purchases import NO_HISTORY, History, Purchases
from retrieval.encoded_query import NO_VISIT, Visit
from retrieval.types import local_seconds

# A shopper without a purchase is known by the strongest sign of interest that there is.
WEAKER = (EventType.PURCHASE, EventType.ADD_TO_CART, EventType.CLICK, EventType.VIEW)
# How much an act of this visit says beside a purchase: set by hand, no release has learnt it.
VISIT_WEIGHTS = {
    EventType.ADD_TO_CART: 0.5,
    EventType.ADD_TO_WISHLIST: 0.3,
    EventType.CLICK: 0.2,
    EventType.VIEW: 0.2,
}
VISIT_SECONDS = 86_400
SAME_SECONDS = 60  # between two tellings of one purchase, by the shop's files and by an act
RowsOf = Callable[[list[str]], dict[str, int]]
SCHEMA = pa.schema(
    [
        ("user", pa.string()),
        ("session", pa.string()),
        ("basket", pa.int64()),
        ("seconds", pa.int64()),
        ("row", pa.int32()),
        ("quantity", pa.float64()),
    ]
)


class LiveHistory:
    """Joins live acts to the histories of one release, by the definitions of its build."""

    def __init__(self, rows_of: RowsOf, place: ShopPlace, kind: EventType) -> None:
        """Count acts of one kind as the release does: those that its baskets are made of."""
        self._rows_of = rows_of
        self._place = place
        self._kind = kind

    def joined(
        self,
        released: History,
        lines: Sequence[ProfileLine],
        at_seconds: int,
        *,
        now: bool,
    ) -> tuple[History, Visit]:
        """Return the history of a shopper before a moment, and the weaker acts of a day before it.

        `released` is the history that the release has. With `now` every act is before the moment.
        """
        if not lines:
            return released, NO_VISIT
        rows = self._rows_of(list({line.product for line in lines if line.product}))
        acts = self._table(lines, rows, now_seconds=at_seconds if now else None)
        until = at_seconds + now
        history = self._of_kind(released, acts, self._kind, until)
        if len(history.rows):
            return history, _visit(acts, at_seconds, until)
        kinds = iter(kind for kind in WEAKER if kind is not self._kind)
        while not len(history.rows) and (kind := next(kinds, None)) is not None:
            history = self._of_kind(NO_HISTORY, acts, kind, until)
        return history, NO_VISIT._replace(instead=len(history.rows) > 0)

    def _of_kind(
        self, known: History, acts: pa.Table, kind: EventType, until_seconds: int
    ) -> History:
        acts = acts.filter(pc.less(acts["seconds"], until_seconds))
        taken = acts.filter(pc.equal(acts["type"], str(kind))).select(SCHEMA.names)
        taken = taken.filter(
            pa.array([not _holds(known, *act) for act in _acts(taken)], pa.bool_())
        )
        refunds = acts.filter(pc.equal(acts["type"], str(EventType.REFUND)))
        if not taken.num_rows and not refunds.num_rows:
            return known
        first = int(known.baskets.max(initial=-1)) + 1
        baskets = taken["basket"].combine_chunks().to_numpy() + first
        taken = taken.set_column(2, SCHEMA.field("basket"), pa.array(baskets, pa.int64()))
        table = pa.concat_tables([_as_table(known), taken])
        if kind is EventType.PURCHASE:
            table = without_returns(table, refunds.select(SCHEMA.names))
        return _as_history(table, until_seconds)

    def _table(
        self, lines: Sequence[ProfileLine], rows: dict[str, int], now_seconds: int | None
    ) -> pa.Table:
        """Return the lines whose product the release has, and refunds of whole orders."""
        numbers: dict[str, int] = {}
        records = []
        for line in lines:
            row = rows.get(line.product)
            if row is None and not (line.type is EventType.REFUND and not line.product):
                continue
            seconds = self.seconds(line.at_ms)
            visit = line.visit or f"\x1f{seconds // 86_400}"  # without a session a day is one
            records.append(
                {
                    "type": str(line.type),
                    "user": "",
                    "session": line.visit,
                    "basket": numbers.setdefault(visit, len(numbers)),
                    "seconds": seconds if now_seconds is None else min(seconds, now_seconds),
                    "row": row,
                    "quantity": line.quantity,
                }
            )
        return pa.Table.from_pylist(records, pa.schema([("type", pa.string()), *SCHEMA]))

    def seconds(self, at_ms: int) -> int:
        """Return the shop's local time of an instant, in whole seconds since 1970."""
        return local_seconds(self._place.local(datetime.fromtimestamp(at_ms // 1_000, UTC)))


def _visit(acts: pa.Table, at_seconds: int, until_seconds: int) -> Visit:
    """Return the products of the weaker acts of a day, each with the most that one of them says.

    What was taken out of the cart again says no more than that it was looked at.
    """
    weights: dict[int, float] = {}
    for kind, row, seconds in zip(
        acts["type"].to_pylist(), acts["row"].to_pylist(), acts["seconds"].to_pylist(), strict=True
    ):
        if row is None or not at_seconds - VISIT_SECONDS <= seconds < until_seconds:
            continue
        if kind == EventType.REMOVE_FROM_CART and row in weights:
            weights[row] = min(weights[row], VISIT_WEIGHTS[EventType.VIEW])
        elif says := VISIT_WEIGHTS.get(EventType(kind), 0.0):
            weights[row] = max(says, weights.get(row, 0.0))
    return Visit(np.array(list(weights), np.int32), np.array(list(weights.values()), np.float64))


def _acts(taken: pa.Table) -> Iterator[tuple[int, int]]:
    yield from zip(taken["row"].to_pylist(), taken["seconds"].to_pylist(), strict=True)


def _holds(known: History, row: int, seconds: int) -> bool:
    """Tell whether a release has an act already, from the files of its shop."""
    same = (known.rows == row) & (np.abs(known.seconds - seconds) <= SAME_SECONDS)
    return bool(same.any())


def _as_table(history: History) -> pa.Table:
    """Return a release's history as purchases of a piece each."""
    count = len(history.rows)
    return pa.table(
        {
            "user": pa.repeat("", count),
            "session": pa.repeat("", count),
            "basket": history.baskets,
            "seconds": history.seconds,
            "row": history.rows,
            "quantity": np.ones(count),
        },
        schema=SCHEMA,
    )


def _as_history(table: pa.Table, until_seconds: int) -> History:
    def column(name: str) -> Int64[np.ndarray, "e"]:
        return np.asarray(table[name].combine_chunks())

    purchases = Purchases(
        np.zeros(table.num_rows, np.int32),
        column("row").astype(np.int32),
        column("seconds"),
        column("basket"),
    )
    past = purchases_before(purchases, until_seconds)
    return History(past.rows, past.seconds, past.baskets)
