from math import inf, nan
from typing import Any

import msgspec
import pytest

from ranking.auction.errors import AuctionError
from ranking.auction.values import MOST_MICROS, Auction, Organic, PriceRule, Rules, Sponsored
from tests.ranking.auction.auctions import ad, auction, rules

MONEY = (-1, 1.5, 10.0, MOST_MICROS + 1, 2**64, 10**40, nan, inf, "5", None, True)
SHARES = (nan, inf, -0.1, 1.0000001, 1, "0.5", None, True)
IDS = ("", "x" * 129, "\ud800", 7, None)
HOSTILE = [
    *(("bid_micros", value) for value in (0, *MONEY)),
    *(("probability", value) for value in SHARES),
    *(("relevance", value) for value in SHARES),
    *((name, value) for name in ("campaign", "product", "advertiser") for value in IDS),
    *(("groups", (value,)) for value in IDS),
    ("groups", ["g"]),
    ("groups", "g"),
    ("groups", ("g", "g")),
    ("groups", tuple(f"g{i}" for i in range(9))),
    ("pricing", "cpc"),
]
HOSTILE_RULES = [
    *((name, value) for name in ("reserve_cpc_micros", "reserve_cpm_micros") for value in MONEY),
    *(("relevance_floor", value) for value in SHARES),
    *(("ad_load", value) for value in (-1, 17, 1.0, None, True, 2**64)),
    ("price_rule", "gsp"),
]
HOSTILE_AUCTIONS = [
    ("placement", ""),
    ("exposure_ppm", ()),
    ("exposure_ppm", [1_000_000]),
    ("exposure_ppm", (999_999,)),
    ("exposure_ppm", (1_000_000, 1_000_001)),
    ("exposure_ppm", (1_000_000, 400_000, 500_000)),
    ("exposure_ppm", (1_000_000, 0)),
    ("exposure_ppm", (1_000_000, -1)),
    ("exposure_ppm", (1_000_000,) * 201),
    ("exposure_ppm[1]", (1_000_000, 0.5)),
    ("exposure_ppm[1]", (1_000_000, True)),
    ("organic", (Organic(product="p", value_micros=1), Organic(product="p", value_micros=2))),
    ("organic[0]", ("p",)),
    ("sponsored", (ad("a", 1), ad("a", 2))),
    ("sponsored[1]", (ad("a", 1), None)),
    ("rules", None),
    ("shown", ("",)),
    ("shown[0]", (7,)),
    ("random_number", -1),
    ("random_number", 2**64),
    ("random_number", 0.5),
]


@pytest.mark.parametrize(("field", "value"), HOSTILE)
def test_a_wrong_field_of_a_sponsored_candidate_is_refused_by_its_name(
    field: str, value: Any
) -> None:
    given = {**fields(ad("a", 1)), field: value}

    with pytest.raises(AuctionError) as refused:
        Sponsored(**given)

    assert refused.value.field.partition("[")[0] == field
    assert str(refused.value).startswith(refused.value.field)


@pytest.mark.parametrize("value", MONEY)
def test_a_wrong_organic_value_is_refused_by_its_name(value: Any) -> None:
    with pytest.raises(AuctionError, match="value_micros"):
        Organic(product="p", value_micros=value)


@pytest.mark.parametrize(("field", "value"), HOSTILE_RULES)
def test_a_wrong_rule_is_refused_by_its_name(field: str, value: Any) -> None:
    given = {**fields(rules()), field: value}

    with pytest.raises(AuctionError) as refused:
        Rules(**given)

    assert refused.value.field == field


@pytest.mark.parametrize(("field", "value"), HOSTILE_AUCTIONS)
def test_a_wrong_field_of_an_auction_is_refused_by_its_name(field: str, value: Any) -> None:
    given = {**fields(auction()), field.partition("[")[0]: value}

    with pytest.raises(AuctionError) as refused:
        Auction(**given)

    assert refused.value.field == field


def test_a_repeated_candidate_is_named() -> None:
    with pytest.raises(
        AuctionError, match=r"\('twice', 'p'\) stands twice or more; give each once"
    ):
        auction(ad("twice", 1, product="p"), ad("once", 2), ad("twice", 3, product="p"))


def test_one_campaign_may_bid_for_two_products_and_two_campaigns_for_one() -> None:
    both = auction(ad("a", 1, product="p"), ad("a", 1, product="q"), ad("b", 1, product="p"))

    assert len(both.sponsored) == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bid_micros", b"-5"),
        ("bid_micros", b"1.5"),
        ("bid_micros", b"18446744073709551616"),
        ("bid_micros", b"1e30"),
        ("probability", b"1.5"),
        ("probability", b"NaN"),
        ("relevance", b"-1"),
        ("campaign", b'""'),
        ("pricing", b'"cpa"'),
        ("colour", b'"red"'),
    ],
)
def test_json_with_a_wrong_field_is_refused(field: str, value: bytes) -> None:
    known = {name: msgspec.json.encode(each) for name, each in fields(ad("a", 1)).items()}
    pairs = [b'"%s":%s' % (name.encode(), each) for name, each in {**known, field: value}.items()]

    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(b"{" + b",".join(pairs) + b"}", type=Sponsored)


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(AuctionError) as refused:
        ad("x" * 10_000, 1)

    assert len(str(refused.value)) < 200


def test_each_price_rule_has_a_name() -> None:
    assert list(PriceRule) == ["gsp", "vcg", "first_price"]


def fields(value: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}
