"""Finds acts of an archive that the shop's own files hold, too."""

from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from retrieval import EventType

COLUMNS = ("type", "user", "session", "time", "product")
OF_AN_ORDER = pa.array([EventType.PURCHASE, EventType.REFUND], pa.string())
Batches = Callable[[list[str]], Iterator[pa.RecordBatch]]


def told_twice(own: Batches, archived: Batches) -> pa.Array:
    """Return the keys of the archived acts that are among the shop's own events, each once.

    `own` and `archived` yield events with the columns that they are called with.
    """
    keys = [pa.array([], pa.string()), *(act_keys(one) for one in archived(list(COLUMNS)))]
    wanted = pa.chunked_array(keys).unique()
    found = [pa.array([], pa.string())]
    for batch in own(list(COLUMNS)):
        mine = act_keys(batch)
        found.append(mine.filter(pc.is_in(mine, value_set=wanted)))
    return pa.chunked_array(found).unique()


def act_keys(events: pa.RecordBatch) -> pa.Array:
    """Return what two tellings of one act share: an order, else its user and second; the product.

    Of what was bought or paid back, `session` is the order where it has one.
    """
    session = events.column("session")
    second = events.column("time").cast(pa.timestamp("s"), safe=False).cast(pa.string())
    who = pc.binary_join_element_wise(events.column("user"), second, "\x1f")
    of_order = pc.is_in(events.column("type"), value_set=OF_AN_ORDER)
    of_order = pc.and_(of_order, pc.not_equal(session, ""))
    return pc.binary_join_element_wise(
        events.column("type"),
        pc.if_else(of_order, "order", "act"),
        pc.if_else(of_order, session, who),
        pc.fill_null(events.column("product"), ""),
        "\x1f",
    )
