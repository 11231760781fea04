"""Campaigns: what cannot be is refused with the field's name."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from pipelines.ads.campaigns.campaign import AdCampaign, fault_of, placed_in_time
from tests.assertions import each
from tests.pipelines.ads.conftest import campaign

WHOLE: dict[str, Any] = {
    "id": "c1",
    "advertiser": "Oats & Co",
    "currency": "EUR",
    "budget": {"total_micros": 5_000_000},
    "start": "2024-06-01T00:00:00",
    "end": "2024-07-01T00:00:00",
    "bid": {"micros": 300_000},
    "products": ["p1"],
}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"id": ""}, "id"),
        ({"id": " c1"}, "id"),
        ({"id": "x" * 129}, "id"),
        ({"id": "a\nb"}, "id"),
        ({"id": "a/b"}, "id"),
        ({"advertiser": "  "}, "advertiser"),
        ({"advertiser": "a\x00b"}, "advertiser"),
        ({"currency": "euro"}, "currency"),
        ({"currency": "ABC"}, "currency"),
        ({"budget": {"total_micros": -1}}, "budget.total_micros"),
        ({"budget": {"total_micros": 0}}, "budget.total_micros"),
        ({"budget": {"total_micros": 1.5}}, "budget.total_micros"),
        ({"budget": {"total_micros": 1.0}}, "budget.total_micros"),
        ({"budget": {"total_micros": 2**63}}, "budget.total_micros"),
        ({"budget": {"total_micros": 10**30}}, "budget.total_micros"),
        ({"budget": {"total_micros": "5"}}, "budget.total_micros"),
        ({"budget": {"total_micros": True}}, "budget.total_micros"),
        ({"budget": {"total_micros": 5, "daily_micros": 6}}, "budget.daily_micros"),
        ({"budget": {"total_micros": 5, "daily_micros": 0}}, "budget.daily_micros"),
        ({"bid": {"micros": -3}}, "bid.micros"),
        ({"bid": {"micros": 2**64}}, "bid.micros"),
        ({"bid": {"micros": 1, "kind": "cpa"}}, "bid.kind"),
        ({"end": "2024-06-01T00:00:00"}, "end"),
        ({"end": "2024-05-01T00:00:00"}, "end"),
        ({"start": "0001-01-01T00:00:00+14:00"}, "start"),
        ({"end": "9999-12-31T23:59:59-12:00"}, "end"),
        ({"end": "soon"}, "end"),
        ({"products": []}, "products"),
        ({"products": ["p1", "p1"]}, "products"),
        ({"products": ["p1", "\x01"]}, "products[1]"),
        ({"targeting": {"terms": ["?!"]}}, "targeting.terms[0]"),
        ({"targeting": {"placements": ["moon"]}}, "targeting.placements[0]"),
        ({"exclusion_groups": ["a"] * 9}, "exclusion_groups"),
        ({"creatives": [{"id": "a", "image": "javascript:alert(1)"}]}, "creatives[0].image"),
        ({"creatives": [{"id": "a", "image": "//elsewhere/x.png"}]}, "creatives[0].image"),
        ({"creatives": [{"id": "a"}, {"id": "a"}]}, "creatives"),
        ({"creatives": [{"id": "a", "text": "\x1b[31m"}]}, "creatives[0].text"),
        ({"daily_cap": -1}, "daily_cap"),
    ],
)
def test_a_campaign_that_cannot_be_is_refused_by_field(fields: dict[str, Any], field: str) -> None:
    body = msgspec.json.encode(WHOLE | fields)

    try:
        fault = fault_of(placed_in_time(msgspec.json.decode(body, type=AdCampaign), UTC))
    except msgspec.ValidationError as e:
        told = str(e).rpartition("$.")[2].rstrip("`")
        told = told.replace("[...]", "[0]")
    else:
        assert fault is not None
        told = fault.field
    assert told == field


def test_a_moment_without_an_offset_is_local() -> None:
    one = msgspec.convert(WHOLE, AdCampaign)

    placed = placed_in_time(one, ZoneInfo("Europe/Rome"))

    assert placed.start == datetime(2024, 5, 31, 22, tzinfo=UTC)
    assert fault_of(placed) is None


def test_a_campaign_is_the_same_after_json() -> None:
    whole = campaign(products=("p1", "é"), exclusion_groups=("milk",), daily_cap=3)

    assert msgspec.json.decode(msgspec.json.encode(whole), type=AdCampaign) == whole
    for fault in each([fault_of(whole)]):
        assert fault is None
