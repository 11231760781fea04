"""What makes an act the same act, and what consent leaves of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from pipelines.config.sections import ConsentConfig
from pipelines.events.kept_act import PURPOSES, KeptAct, Purpose, kept_act
from retrieval.types import Act

GRANTED = ConsentConfig()
NOW = datetime(2024, 3, 2, 12, tzinfo=UTC)
LINE, OTHER = {"product": "p1"}, {"product": "p2"}


def kept(unset: ConsentConfig = GRANTED, **fields: Any) -> KeptAct:
    body = {"type": "view", "visitor": "v", "at": "2024-03-02T11:00:00Z", "lines": [LINE]} | fields
    return kept_act(msgspec.convert(body, Act), NOW, UTC, unset)


ORDER = {"type": "purchase", "order": "o1", "at": None}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"id": "a"}, {"id": "a", "text": "told again"}, True),
        ({"id": "o1"}, {"id": "o1", "type": "refund"}, False),  # named by their order, both
        ({"id": "a"}, {"id": "b"}, False),
        ({}, {}, True),
        ({}, {"sent_at": "2024-03-02T11:00:01Z"}, True),  # sent again
        ({}, {"at": "2024-03-02T11:00:01Z"}, False),
        ({}, {"at": "2024-03-02T12:00:00+01:00"}, True),  # the same instant
        ({}, {"visitor": "w"}, False),
        ({}, {"type": "click"}, False),
        ({}, {"lines": [LINE, LINE]}, False),
        (ORDER, ORDER | {"visitor": "w"}, True),  # told by browser and server
        (ORDER | {"lines": [LINE, OTHER]}, ORDER | {"lines": [OTHER, LINE]}, True),
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
        ({}, {}, ("search", "recommend", "ads", "train")),
        ({"ads": "denied", "train": "denied"}, {}, ("search", "recommend")),
        (dict.fromkeys(PURPOSES, "denied"), {}, ()),
        ({}, {"train": "denied"}, ("search", "recommend", "ads")),
        (
            dict.fromkeys(PURPOSES, "denied"),
            {"search": "granted", "ads": "unset"},
            ("search",),
        ),
    ],
)
def test_silence_means_what_the_shop_says(
    unset: dict[str, str], consent: dict[str, str], expected: tuple[Purpose, ...]
) -> None:
    silence = msgspec.convert(unset, ConsentConfig)

    assert kept(silence, consent=consent).purposes == expected


def test_without_an_id_and_a_time_every_arrival_is_an_act() -> None:
    act = msgspec.convert({"type": "view", "visitor": "v", "lines": [LINE]}, Act)

    today, tomorrow = (
        kept_act(act, NOW + timedelta(days=days), UTC, ConsentConfig()) for days in (0, 1)
    )

    assert today.key != tomorrow.key


def test_a_basket_is_an_order_of_a_purchase_and_a_session_of_a_view() -> None:
    both = {"session": "s", "order": "o"}

    assert kept(**both).visit == "s"
    assert kept(**both, type="purchase").visit == kept(order="o", type="refund").visit == "o"
