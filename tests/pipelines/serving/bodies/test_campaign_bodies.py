"""Five hundred campaigns that cannot be: each is refused, and the field is named."""

from collections.abc import Iterator
from datetime import UTC
from typing import Any

import msgspec
import pytest

from pipelines.ads.campaigns.campaign import fault_of, placed_in_time
from pipelines.errors import RequestError
from pipelines.serving.bodies.campaign_bodies import read_campaign, refused
from tests.pipelines.ads.campaigns.test_campaign import WHOLE

NO_MONEY = (-1, 0, -(10**18), 0.5, 1.0, 1e3, 10**15 + 1, 2**53, 2**63, 2**64, 10**40, "1", "", None,
            True, [], [1], {}, {"micros": 1})  # fmt: skip
NO_TEXT = ("", "x" * 2_001, "a\x00b", "a\x1bb", "\n", 7, None, [], {}, True, 1.5)
NO_MOMENT = ("", "soon", "2026-13-01T00:00:00", "2026-02-30T00:00:00", "0001-01-01T00:00:00",
             "9999-12-31T23:59:59-12:00", "1999-12-31T23:59:59", 1_717_200_000, -1, None, [], {},
             True,             "2026-06-01T25:00:00", "2026-06-01", "12:00")  # fmt: skip
NO_LIST = ("p1", 7, None, {}, True, [7], [None], [""], ["x" * 2_001], [["p1"]], ["a\x00b"])
NO_OBJECT = (7, "x", None, [], True, {"colour": 1})
LISTS = ("terms", "categories", "products", "devices", "channels", "countries")
NO_CURRENCY = ("", "eur", "EURO", "€", "XXZ", "E\x00R", 978, None, [], "EU")
NO_CAP = (-1, 1_001, 0.5, "3", None, [], 2**70)


def cases() -> Iterator[tuple[str, Any]]:
    """Yield a field, and a value that it cannot have."""
    for field in ("budget.total_micros", "bid.micros"):
        yield from ((field, value) for value in NO_MONEY)
    yield from (("budget.daily_micros", value) for value in NO_MONEY if value is not None)
    yield from (("budget.daily_micros", 5_000_000 + n) for n in range(1, 20))
    for field in ("start", "end"):
        yield from ((field, value) for value in NO_MOMENT)
    yield from (("end", f"2024-05-{day:02}T00:00:00") for day in range(1, 32))
    yield from (
        ("end", f"2023-{month:02}-{2 * month:02}T{hour:02}:00:00+02:00")
        for month in range(1, 13)
        for hour in range(14)
    )
    for field in ("id", "advertiser"):
        yield from ((field, value) for value in NO_TEXT)
    yield from (("id", name) for name in (" c", "c ", "a/b", "/", ".", "..", "\x7f", "c" * 129))
    yield from (("advertiser", name) for name in (" Oats", "Oats ", "Oats\u2003"))
    yield from (("currency", value) for value in NO_CURRENCY)
    yield from (("products", value) for value in (*NO_LIST, [], ["p1", "p1"], ["p"] * 1_001))
    for name in LISTS:
        yield from ((f"targeting.{name}", value) for value in NO_LIST)
    yield from (("targeting.terms", [text]) for text in ("?", "...", " ", "€€", "\u2014", "🥛"))
    yield from (("targeting.placements", value) for value in (*NO_LIST, ["moon"], ["HOME"]))
    yield from (("exclusion_groups", value) for value in (*NO_LIST, ["g"] * 9))
    for field in ("budget", "bid", "targeting"):
        yield from ((field, value) for value in NO_OBJECT)
    yield from (("bid.kind", value) for value in ("cpa", "CPC", "", 7, None, []))
    yield from (("daily_cap", value) for value in NO_CAP)
    for address in (
        "javascript:x",
        "data:,x",
        "ftp://x",
        "//\n",
        "http//x",
        "https://a b",
        "x",
        "<",
    ):
        yield "creatives", [{"id": "a", "image": address}]
    yield from (("creatives", value) for value in (*NO_LIST, [{}], [{"id": ""}], [{"id": "a"}] * 2))
    yield from ((name, 1) for name in ("colour", "budget.colour", "bid.colour", "targeting.colour"))


CASES = list(cases())


def test_there_are_five_hundred_cases() -> None:
    assert len(CASES) >= 500 or pytest.fail(f"{len(CASES)} cases")


def test_each_campaign_that_cannot_be_is_refused_by_its_field() -> None:
    wrong = [case for case in CASES if not named(*case)]

    assert CASES
    assert wrong == []


def named(field: str, value: Any) -> bool:
    """Tell whether a campaign with this value is refused, and the field or a part of it named."""
    outer, _, inner = field.partition(".")
    body = dict(WHOLE)
    body[outer] = {**body.get(outer, {}), inner: value} if inner else value
    try:
        campaign = placed_in_time(read_campaign(msgspec.json.encode(body)), UTC)
        fault = fault_of(campaign)
        assert fault is not None, f"{field}={value!r} is taken"
        raise refused(fault)
    except RequestError as e:
        return e.field.startswith((field, outer))
