from random import Random

import msgspec
import pytest

from benchmarks.auction.drawing import large, small
from ranking.auction.auction import run
from ranking.auction.record import Reason, Record, recompute, record
from ranking.auction.values import Auction, PriceRule, Pricing
from tests.assertions import each
from tests.ranking.auction.auctions import ad, auction, rules


def recorded(given: Auction) -> Record:
    return record(given, run(given))


def reasons(given: Auction) -> dict[str, tuple[Reason, ...]]:
    return {loss.campaign or loss.product: loss.reasons for loss in recorded(given).losses}


@pytest.mark.parametrize("price_rule", PriceRule)
def test_a_record_is_made_again_byte_for_byte(price_rule: PriceRule) -> None:
    random = Random(6)
    drawn = [small(random, price_rule) for _ in range(100)]

    for given in each([*drawn, large(random, price_rule, 300)]):
        written = msgspec.json.encode(recorded(given))

        read = msgspec.json.decode(written, type=Record)

        assert recompute(read) == read
        assert msgspec.json.encode(recompute(read)) == written


def test_a_record_does_not_depend_on_the_order_of_candidates() -> None:
    random = Random(7)

    for given in each(small(random, PriceRule.GSP) for _ in range(50)):
        turned = msgspec.structs.replace(
            given,
            organic=given.organic[::-1],
            sponsored=tuple(
                msgspec.structs.replace(one, groups=one.groups[::-1])
                for one in given.sponsored[::-1]
            ),
            shown=(*given.shown[::-1], *given.shown),
        )

        assert msgspec.json.encode(recorded(turned)) == msgspec.json.encode(recorded(given))


def test_a_forged_price_is_seen() -> None:
    true = recorded(auction(ad("a", 10), ad("b", 5), exposure_ppm=(1_000_000,)))
    [position] = true.outcome.page
    page = (msgspec.structs.replace(position, price_micros=6),)
    forged = msgspec.structs.replace(true, outcome=msgspec.structs.replace(true.outcome, page=page))

    assert recompute(forged) == true != forged


def test_every_candidate_is_on_the_page_or_lost_for_at_least_one_reason() -> None:
    random = Random(8)

    for given in each(small(random, PriceRule.VCG) for _ in range(400)):
        outcome = run(given)
        losses = record(given, outcome).losses

        on = [(one.campaign, one.product) for one in outcome.page]
        off = [(loss.campaign, loss.product) for loss in losses]
        everyone = [(one.campaign, one.product) for one in given.sponsored]
        everyone += [(None, one.product) for one in given.organic]
        assert sorted(map(str, on + off)) == sorted(map(str, everyone))
        assert () not in [loss.reasons for loss in losses]


def test_all_reasons_of_a_loss_are_told() -> None:
    lost = ad(
        "lost",
        5,
        relevance=0.1,
        product="seen",
        advertiser="winner's",
        groups=("beer",),
    )
    winner = ad("winner", 100, advertiser="winner's", groups=("beer", "wine"))

    told = reasons(
        auction(
            lost,
            winner,
            exposure_ppm=(1_000_000,),
            rules=rules(reserve_cpc_micros=10, relevance_floor=0.5, ad_load=1),
            shown=("seen",),
        )
    )

    assert told == {
        "lost": (
            Reason.BELOW_RESERVE,
            Reason.BELOW_RELEVANCE_FLOOR,
            Reason.SHOWN_BEFORE,
            Reason.ADVERTISER_ON_PAGE,
            Reason.EXCLUSION_GROUP_ON_PAGE,
            Reason.AD_LOAD_REACHED,
            Reason.OUTRANKED,
        )
    }


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (auction(ad("lost", 9), rules=rules(reserve_cpc_micros=10)), Reason.BELOW_RESERVE),
        (
            auction(ad("lost", 9, pricing=Pricing.CPM), rules=rules(reserve_cpm_micros=10)),
            Reason.BELOW_RESERVE,
        ),
        (
            auction(ad("lost", 9, relevance=0.49), rules=rules(relevance_floor=0.5)),
            Reason.BELOW_RELEVANCE_FLOOR,
        ),
        (auction(ad("lost", 9, product="p"), shown=("p",)), Reason.SHOWN_BEFORE),
        (auction(ad("lost", 9, 0.0)), Reason.WORTHLESS),
        (
            auction(ad("lost", 9, product="p"), organic={"p": 10_000}),
            Reason.PRODUCT_ON_PAGE,
        ),
        (
            auction(ad("lost", 9, advertiser="x"), ad("won", 10, advertiser="x")),
            Reason.ADVERTISER_ON_PAGE,
        ),
        (
            auction(ad("lost", 9, groups=("x",)), ad("won", 10, groups=("x",))),
            Reason.EXCLUSION_GROUP_ON_PAGE,
        ),
        (auction(ad("lost", 9), rules=rules(ad_load=0)), Reason.AD_LOAD_REACHED),
        (
            auction(ad("lost", 9), organic={"p": 10_000}, exposure_ppm=(1_000_000,)),
            Reason.OUTRANKED,
        ),
    ],
)
def test_a_single_reason_is_told_alone(given: Auction, reason: Reason) -> None:
    assert reasons(given)["lost"] == (reason,)


def test_who_is_on_par_with_the_last_position_lost_a_tie() -> None:
    told = reasons(auction(ad("a", 10), ad("b", 10), exposure_ppm=(1_000_000,)))

    assert list(told.values()) == [(Reason.LOST_TIE,)]


def test_an_organic_product_tells_its_reasons_too() -> None:
    told = reasons(
        auction(
            ad("a", 90, product="p"),
            organic={"p": 80_000, "q": 70_000, "seen": 1_000, "r": 2_000},
            shown=("seen",),
        )
    )

    assert told == {
        "p": (Reason.PRODUCT_ON_PAGE,),
        "r": (Reason.OUTRANKED,),
        "seen": (Reason.SHOWN_BEFORE, Reason.OUTRANKED),
    }
