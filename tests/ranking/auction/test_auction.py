"""What an auction puts on a page, and what it charges, in cases that can be worked out by hand."""

from fractions import Fraction
from random import Random

import msgspec
import pytest

from benchmarks.auction.drawing import small
from ranking.auction.auction import run
from ranking.auction.values import (
    Auction,
    Outcome,
    Position,
    PriceRule,
    Pricing,
    Rules,
    Sponsored,
)
from tests.assertions import each, every
from tests.ranking.auction.auctions import MICROS, ad, auction, names, prices, rules

TEXTBOOK = (ad("ten", 10 * MICROS), ad("four", 4 * MICROS), ad("two", 2 * MICROS))


@pytest.mark.parametrize(
    ("price_rule", "first", "second"),
    [(PriceRule.GSP, 4, 2), (PriceRule.VCG, 3, 2), (PriceRule.FIRST_PRICE, 10, 4)],
)
def test_the_textbook_pays_800_and_200_in_gsp_and_600_and_200_in_vcg(
    price_rule: PriceRule, first: int, second: int
) -> None:
    outcome = run(auction(*TEXTBOOK, rules=rules(price_rule)))  # 200 clicks and 100 clicks

    assert prices(outcome) == {"ten": first * MICROS, "four": second * MICROS}


def test_quality_divides_the_price() -> None:
    outcome = run(auction(ad("good", 3 * MICROS, 0.2), ad("dear", 10 * MICROS, 0.05)))

    assert prices(outcome) == {"good": 2_500_000, "dear": 0}  # 10 * 0.05 / 0.2


def test_a_price_is_rounded_up_to_a_whole_micro() -> None:
    outcome = run(auction(ad("a", 10, 0.3), ad("b", 10, 0.1), exposure_ppm=(1_000_000,)))

    assert prices(outcome) == {"a": 4}  # 10 / 3


@pytest.mark.parametrize("price_rule", [PriceRule.GSP, PriceRule.VCG])
def test_a_sole_bidder_above_the_reserve_wins_and_pays_the_reserve(price_rule: PriceRule) -> None:
    outcome = run(auction(ad("sole", 500), rules=rules(price_rule, reserve_cpc_micros=100)))

    assert prices(outcome) == {"sole": 100}


@pytest.mark.parametrize("price_rule", PriceRule)
def test_who_pays_exactly_the_reserve_has_won(price_rule: PriceRule) -> None:
    outcome = run(auction(ad("sole", 100), rules=rules(price_rule, reserve_cpc_micros=100)))

    assert prices(outcome) == {"sole": 100}


@pytest.mark.parametrize("price_rule", PriceRule)
def test_as_many_positions_as_bidders_charge_everyone(price_rule: PriceRule) -> None:
    bidders = [ad(name, bid) for name, bid in (("a", 30), ("b", 20), ("c", 10))]

    outcome = run(
        auction(
            *bidders,
            exposure_ppm=(1_000_000, 500_000, 250_000),
            rules=rules(price_rule, reserve_cpc_micros=5),
        )
    )

    assert names(outcome) == ["a", "b", "c"]
    assert every(price is not None and price >= 5 for price in prices(outcome).values())


def test_the_highest_value_in_the_last_position_is_an_equilibrium_of_gsp() -> None:
    """Edelman, Ostrovsky and Schwarz (2007): values 16, 15, 14 that bid 7, 9, 11."""
    values = {"high": 16 * MICROS, "middle": 15 * MICROS, "low": 14 * MICROS}
    bids = {"high": 7 * MICROS, "middle": 9 * MICROS, "low": 11 * MICROS}

    def utility(name: str, bid: int) -> float:
        page = run(
            auction(
                *(ad(one, bid if one == name else own) for one, own in bids.items()),
                exposure_ppm=(1_000_000, 666_667, 333_333),
            )
        )
        clicks = dict(zip(names(page), (3, 2, 1), strict=True))[name]
        return clicks * (values[name] - (prices(page)[name] or 0))

    tried = [step * MICROS // 2 for step in range(1, 41)]

    assert names(run(auction(*(ad(n, b) for n, b in bids.items())))) == ["low", "middle"]
    for name, own in bids.items():
        assert max(utility(name, bid) for bid in tried) <= utility(name, own)


@pytest.mark.parametrize("price_rule", [PriceRule.GSP, PriceRule.VCG])
def test_a_sponsored_product_pays_the_organic_value_that_it_pushes_out(
    price_rule: PriceRule,
) -> None:
    outcome = run(
        auction(
            ad("a", 100, 0.5),
            organic={"good": 30_000, "fair": 20_000},
            exposure_ppm=(1_000_000,),
            rules=rules(price_rule),
        )
    )

    assert prices(outcome) == {"a": 60}  # 30 micros an impression, at half a click each


def test_a_bid_below_the_organic_value_is_not_on_the_page() -> None:
    outcome = run(auction(ad("a", 59, 0.5), organic={"good": 30_000}, exposure_ppm=(1_000_000,)))

    assert names(outcome) == ["good"]


def test_vcg_pays_for_every_organic_product_that_moves_down() -> None:
    outcome = run(
        auction(
            ad("a", 100),
            organic={"x": 40_000, "y": 20_000},
            exposure_ppm=(1_000_000, 500_000),
            rules=rules(PriceRule.VCG),
        )
    )

    assert names(outcome) == ["a", "x"]
    assert prices(outcome) == {"a": 30}  # x loses half of 40, y loses half of 20


def test_a_thousand_views_are_weighed_against_clicks_by_what_an_impression_is_worth() -> None:
    views = ad("views", 50_000, 0.8, pricing=Pricing.CPM)  # 40 micros an impression
    clicks = ad("clicks", 300, 0.1)  # 30 micros an impression

    outcome = run(auction(views, clicks, exposure_ppm=(1_000_000,)))

    assert prices(outcome) == {"views": 37_500}  # 30 micros, at 0.8 views each, a thousand of them


@pytest.mark.parametrize(
    "fields",
    [
        {"advertiser": "same"},
        {"product": "same"},
        {"groups": ("beer",)},
        {"groups": ("beer", "wine")},
    ],
)
def test_a_page_shows_one_of_an_advertiser_a_product_and_a_group(fields: dict) -> None:
    bidders = [ad("a", 30, **fields), ad("b", 20, **fields), ad("c", 10)]

    assert names(run(auction(*bidders))) == ["a", "c"]


def test_a_product_that_is_organic_and_sponsored_stands_once() -> None:
    sponsored = auction(ad("a", 50, product="p"), organic={"p": 40_000, "q": 1_000})
    organic = auction(ad("a", 30, product="p"), organic={"p": 40_000, "q": 1_000})

    assert names(run(sponsored)) == ["a", "q"]
    assert names(run(organic)) == ["p", "q"]


def test_two_lighter_candidates_win_over_one_that_excludes_both() -> None:
    bidders = [
        ad("big", 30, groups=("x", "y")),
        ad("left", 20, groups=("x",)),
        ad("right", 19, groups=("y",)),
    ]

    outcome = run(auction(*bidders, exposure_ppm=(1_000_000, 900_000)))

    assert names(outcome) == ["left", "right"]  # 20 + 17.1 against 30; greedy takes the 30


def test_an_advertiser_does_not_raise_its_own_price() -> None:
    own = [ad("a", 30, advertiser="same"), ad("b", 29, advertiser="same")]

    for price_rule in (PriceRule.GSP, PriceRule.VCG):
        outcome = run(auction(*own, ad("c", 10), rules=rules(price_rule, ad_load=1)))

        assert prices(outcome) == {"a": 10}


def test_no_page_has_more_sponsored_products_than_the_ad_load() -> None:
    bidders = [ad(f"a{i}", 100 + i) for i in range(5)]
    exposure = tuple(1_000_000 - i for i in range(6))
    organic = {f"p{i}": 1_000 for i in range(6)}

    for load in range(4):
        outcome = run(
            auction(*bidders, organic=organic, exposure_ppm=exposure, rules=rules(ad_load=load))
        )

        assert [one.campaign is not None for one in outcome.page] == [True] * load + [False] * (
            6 - load
        )


def test_who_is_kept_off_by_the_ad_load_still_sets_the_price() -> None:
    outcome = run(
        auction(
            ad("a", 90),
            ad("b", 80),
            organic={"p": 1_000, "q": 1_000},
            rules=rules(ad_load=1),
        )
    )

    assert prices(outcome) == {"a": 80}


@pytest.mark.parametrize(
    "bidder",
    [
        ad("a", 99),
        ad("a", 999, pricing=Pricing.CPM),
        ad("a", 100, relevance=0.4),
        ad("a", 100, product="seen"),
        ad("a", 10**15, 4e-10),
    ],
)
def test_who_may_not_take_part_is_not_on_the_page_and_sets_no_price(bidder: Sponsored) -> None:
    settings = rules(reserve_cpc_micros=100, reserve_cpm_micros=1_000, relevance_floor=0.5)

    outcome = run(auction(bidder, ad("other", 500), rules=settings, shown=("seen",)))

    assert prices(outcome) == {"other": 100}


def test_an_organic_product_of_an_earlier_page_is_not_shown_again() -> None:
    assert names(run(auction(organic={"p": 2, "q": 1}, shown=("p",)))) == ["q"]


def test_products_that_are_worth_nothing_fill_a_page() -> None:
    assert sorted(names(run(auction(organic={"p": 0, "q": 0})))) == ["p", "q"]


def test_nobody_at_all_leaves_an_empty_page() -> None:
    assert run(auction()) == Outcome(page=(), ad_load=3)


def test_a_tie_goes_to_each_by_the_random_number() -> None:
    bidders = [ad(name, 10) for name in "abc"]
    exposure = (1_000_000,)

    first = [
        names(run(auction(*bidders, exposure_ppm=exposure, random_number=number)))[0]
        for number in range(600)
    ]

    assert every(150 < first.count(name) < 250 for name in "abc")


@pytest.mark.parametrize("price_rule", PriceRule)
def test_the_order_of_candidates_changes_nothing(price_rule: PriceRule) -> None:
    random = Random(3)

    for given in each(small(random, price_rule) for _ in range(100)):
        organic = random.sample(given.organic, len(given.organic))
        sponsored = random.sample(given.sponsored, len(given.sponsored))
        shuffled = msgspec.structs.replace(
            given, organic=tuple(organic), sponsored=tuple(sponsored)
        )

        assert run(shuffled) == run(given)


@pytest.mark.parametrize("price_rule", PriceRule)
def test_a_higher_bid_never_gets_a_worse_position(price_rule: PriceRule) -> None:
    random = Random(4)

    for given in each(small(random, price_rule) for _ in range(300)):
        for i, one in enumerate(given.sponsored):
            higher = msgspec.structs.replace(one, bid_micros=one.bid_micros + random.randint(1, 6))
            raised = msgspec.structs.replace(
                given, sponsored=(*given.sponsored[:i], higher, *given.sponsored[i + 1 :])
            )

            assert position(raised, one) <= position(given, one)


@pytest.mark.parametrize("price_rule", PriceRule)
def test_a_price_is_from_the_reserve_to_the_bid(price_rule: PriceRule) -> None:
    random = Random(5)
    charged = 0

    for given in each(small(random, price_rule) for _ in range(300)):
        bids = {one.campaign: one for one in given.sponsored}
        for campaign, price in prices(run(given)).items():
            one = bids[campaign]
            assert price is not None
            assert given.rules.reserve_micros(one.pricing) <= price <= one.bid_micros
            charged += 1

    assert charged > 100


def test_vcg_pays_at_most_what_gsp_does_and_gsp_at_most_the_bid() -> None:
    random = Random(6)
    cheaper = 0

    for given in each(small(random, PriceRule.VCG) for _ in range(300)):
        vcg, gsp, first = (
            prices(run(msgspec.structs.replace(given, rules=by(given.rules, price_rule))))
            for price_rule in (PriceRule.VCG, PriceRule.GSP, PriceRule.FIRST_PRICE)
        )
        assert list(vcg) == list(gsp) == list(first)
        for campaign in vcg:
            assert (vcg[campaign] or 0) <= (gsp[campaign] or 0) <= (first[campaign] or 0)
            cheaper += vcg[campaign] != gsp[campaign]

    assert cheaper > 10


@pytest.mark.parametrize("price_rule", PriceRule)
def test_what_a_sole_ad_pays_is_never_below_the_organic_value_that_it_displaces(
    price_rule: PriceRule,
) -> None:
    random = Random(7)
    paid = 0

    for given in each(small(random, price_rule) for _ in range(600)):
        alone = msgspec.structs.replace(given, sponsored=given.sponsored[:1])
        value = {one.product: one.value_micros for one in given.organic}
        page = run(alone).page
        for ad_position in (one for one in page if one.campaign is not None):
            one, exposure = alone.sponsored[0], given.exposure_ppm[ad_position.position - 1]
            per_event = 1 if one.pricing is Pricing.CPC else 1_000
            events = Fraction(round(one.probability * 10**9), 10**9) * exposure / per_event
            without = run(msgspec.structs.replace(given, sponsored=())).page
            displaced = organic_worth(without, value, given) - organic_worth(page, value, given)

            assert (ad_position.price_micros or 0) * events >= displaced
            paid += displaced > 0

    assert paid > 20


def test_no_product_stands_twice_on_the_pages_of_a_cursor() -> None:
    random = Random(8)

    for given in each(small(random, PriceRule.GSP) for _ in range(100)):
        shown = list(given.shown)
        for _ in range(4):
            page = run(msgspec.structs.replace(given, shown=tuple(shown))).page
            shown += [one.product for one in page]

        assert len(set(shown)) == len(shown)


def by(rules: Rules, price_rule: PriceRule) -> Rules:
    return msgspec.structs.replace(rules, price_rule=price_rule)


def organic_worth(page: tuple[Position, ...], value: dict[str, int], given: Auction) -> Fraction:
    """Return what the organic products of a page are worth, in micros times parts per million."""
    return sum(
        (
            Fraction(value[one.product] * given.exposure_ppm[one.position - 1], 1_000)
            for one in page
            if one.campaign is None
        ),
        Fraction(0),
    )


def position(given: Auction, candidate: Sponsored) -> int:
    key = (candidate.campaign, candidate.product)
    found = [p.position for p in run(given).page if (p.campaign, p.product) == key]
    return found[0] if found else len(given.exposure_ppm) + 1
