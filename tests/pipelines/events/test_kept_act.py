"""What makes an act the same act, and what consent leaves of it."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from pipelines.events.kept_act import KeptAct, Purpose, Unset, kept_act
from retrieval.types import Act

NOW = datetime(2024, 3, 2, 12, tzinfo=UTC)
LINE = {"product": "p1"}


def kept(unset: Unset = "granted", **fields: Any) -> KeptAct:
    body = {"type": "view", "visitor": "v", "at": "2024-03-02T11:00:00Z", "lines": [LINE]} | fields
    return kept_act(msgspec.convert(body, Act), NOW, UTC, unset)


ORDER = {"type": "purchase", "order": "o1", "at": None}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"id": "a"}, {"id": "a", "type": "click"}, True),
        ({"id": "a"}, {"id": "b"}, False),
        ({}, {}, True),
        ({}, {"sent_at": "2024-03-02T11:00:01Z"}, True),  # sent again
        ({}, {"at": "2024-03-02T11:00:01Z"}, False),
        ({}, {"visitor": "w"}, False),
        ({}, {"type": "click"}, False),
        ({}, {"lines": [LINE, LINE]}, False),
        (ORDER, ORDER | {"visitor": "w"}, True),  # told by browser and server
        (ORDER, ORDER | {"order": "o2"}, False),
        (ORDER, ORDER | {"lines": [{"product": "p2"}]}, False),
        (ORDER | {"type": "refund"}, ORDER, False),
    ],
)
def test_two_acts_have_one_key_if_they_are_the_same(
    one: dict[str, Any],
    other: dict[str, Any],
    same: bool,  # noqa: FBT001
) -> None:
    assert (kept(**one).key == kept(**other).key) is same


def test_two_partial_refunds_of_an_order_with_ids_are_two() -> None:
    refund = {"type": "refund", "order": "o1"}

    one, two = kept(**refund, id="r1"), kept(**refund, id="r2")

    assert one.key != two.key
    assert (one.order_key, two.order_key) == (None, None)


@pytest.mark.parametrize(
    ("unset", "consent", "expected"),
    [
        ("granted", {}, ("search", "recommend", "ads", "train")),
        ("denied", {}, ()),
        ("granted", {"train": "denied"}, ("search", "recommend", "ads")),
        ("denied", {"search": "granted", "ads": "unset"}, ("search",)),
    ],
)
def test_silence_means_what_the_shop_says(
    unset: Unset, consent: dict[str, str], expected: tuple[Purpose, ...]
) -> None:
    assert kept(unset, consent=consent).purposes == expected
