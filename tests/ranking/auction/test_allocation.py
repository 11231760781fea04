"""The search for the best page: many candidates, entangled ones, and the end of the effort."""

from itertools import product
from random import Random

import msgspec
import pytest

from benchmarks.auction import brute_force
from benchmarks.auction.drawing import large, small
from ranking.auction import auction as auction_module
from ranking.auction import contest as contest_module
from ranking.auction import participants as participants_module
from ranking.auction.allocation import Bid, Effort, TooHard, _undominated, best_page
from ranking.auction.auction import run
from ranking.auction.record import Reason, record
from ranking.auction.values import Auction, PriceRule
from tests.assertions import each, every
from tests.ranking.auction.auctions import ad, auction, names, prices, rules


@pytest.mark.parametrize("price_rule", PriceRule)
def test_the_heaviest_candidates_alone_decide_as_all_do(
    price_rule: PriceRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(9)
    drawn = [small(random, price_rule) for _ in range(200)]
    drawn += [large(random, price_rule, 120) for _ in range(3)]
    monkeypatch.setattr(contest_module, "FIRST_SIZE", 1_000)
    monkeypatch.setattr(auction_module, "MOST_NODES", 100_000)
    by_all = [run(given) for given in drawn]
    monkeypatch.setattr(contest_module, "FIRST_SIZE", 1)
    monkeypatch.setattr(participants_module, "GROWTH", 2)

    assert [run(given) for given in drawn] == by_all


def test_a_crowd_of_one_advertiser_hides_nobody() -> None:
    crowd = [ad(f"c{i}", 1_000 + i, advertiser="crowd") for i in range(400)]

    outcome = run(auction(*crowd, ad("small", 10), ad("smaller", 5)))

    assert names(outcome) == ["c399", "small"]
    assert prices(outcome) == {"c399": 10, "small": 5}


def test_the_first_of_an_advertiser_that_nothing_keeps_off_wins() -> None:
    hopeless = [ad(f"c{i}", 1_000 + i, advertiser="one", product="best") for i in range(40)]
    able = ad("able", 500, advertiser="one")
    least = ad("least", 1, advertiser="one")

    outcome = run(
        auction(
            *hopeless, able, least, organic={"best": 9_000_000, "other": 90_000, "third": 9_000}
        )
    )

    assert names(outcome) == ["best", "able"]
    assert prices(outcome) == {"able": 90}


def test_a_crowd_of_a_few_advertisers_costs_few_steps() -> None:
    random = Random(12)
    bids = sorted(
        (
            Bid(1_000 + random.randrange(100), row, True, 1 << who, 1 << who | 1 << (20 + what), 0)
            for row, (who, what) in enumerate(product(range(8), range(8)))
        ),
        reverse=True,
    )
    cliques = [bid._replace(clique=bid.advertiser) for bid in bids]

    exposure = tuple(range(100, 94, -1))

    page = best_page(cliques, exposure, 6, Effort(20))

    assert [bid.row for bid in page] == [
        bid.row for bid in best_page(bids, exposure, 6, Effort(1_000))
    ]
    with pytest.raises(TooHard):
        best_page(bids, exposure, 6, Effort(20))


def test_a_thousand_equal_bids_are_one_tie() -> None:
    given = auction(*(ad(f"c{i}", 10) for i in range(1_000)), exposure_ppm=(1_000_000,))
    winner = {names(run(msgspec.structs.replace(given, random_number=i)))[0] for i in range(8)}

    assert len(winner) > 4


def entangled(seed: int, load: int = 8) -> Auction:
    """Return an auction whose groups make it hard: triples of ten, all worth about the same."""
    random = Random(seed)
    return auction(
        *(
            ad(
                f"c{i}",
                1_000_000 + random.randrange(1_000),
                groups=tuple(f"g{group}" for group in random.sample(range(10), 3)),
            )
            for i in range(300)
        ),
        organic={f"p{i}": 1_000 for i in range(30)},
        exposure_ppm=tuple(1_000_000 - 1_000 * i for i in range(20)),
        rules=rules(PriceRule.VCG, ad_load=load),
    )


def test_a_search_that_is_too_hard_leaves_one_sponsored_product_and_says_so() -> None:
    outcome = run(entangled(1))

    assert outcome.ad_load == 1
    assert len(prices(outcome)) == 1
    assert len(outcome.page) == 20
    assert run(entangled(1)) == outcome
    losses = record(entangled(1), outcome).losses
    assert every(
        Reason.AD_LOAD_REACHED in loss.reasons for loss in losses if loss.campaign is not None
    )


def test_one_sponsored_product_is_easy_to_place_whatever_conflicts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(auction_module, "MOST_NODES", -1)
    random = Random(10)

    for given in each(small(random, PriceRule.GSP) for _ in range(100)):
        load = min(given.rules.ad_load, 1)
        fewer = msgspec.structs.replace(
            given, rules=msgspec.structs.replace(given.rules, ad_load=load)
        )
        outcome = run(given)

        assert outcome.ad_load == load
        found = [(one.product, one.campaign, one.price_micros) for one in outcome.page]
        assert found == brute_force.outcome(fewer)


def test_the_effort_is_counted() -> None:
    bids = [Bid(10, 0, True, 1, 1, 1), Bid(9, 1, True, 2, 3, 0), Bid(8, 2, True, 4, 4, 0)]

    assert [bid.row for bid in best_page(bids, (2, 1), 2, Effort(9))] == [0, 2]
    with pytest.raises(TooHard):
        best_page(bids, (2, 1), 2, Effort(0))


def test_the_last_step_of_the_effort_may_be_taken() -> None:
    effort = Effort(1)

    effort.spend()

    with pytest.raises(TooHard):
        effort.spend()


def bids(*given: tuple[int, bool]) -> list[Bid]:
    """Return bids of these bits, each sponsored or not, the heaviest first."""
    return [Bid(99 - row, row, ad, 0, bits, 0) for row, (bits, ad) in enumerate(given)]


@pytest.mark.parametrize(
    ("load", "given", "left"),
    [
        # one each of 2 and of 4, none of both, and of bits that nobody shares as many as the load
        (2, [(1, True), (2, True), (2, True), (4, True), (4, True), (6, True), (8, True),
             (16, True)], [0, 1, 3, 6]),
        (2, [(2, True), (2, False), (2, True)], [0, 1]),  # the house gives way to nobody
        (1, [(1, True), (2, True), (1, True)], [0]),  # alone, none conflicts with another
        (1, [(1, True), (2, True), (4, True), (1, False)], [0, 1, 3]),  # but with the house
    ],
)  # fmt: skip
def test_bids_whose_every_position_a_heavier_one_could_take_are_left_out(
    load: int, given: list[tuple[int, bool]], left: list[int]
) -> None:
    assert [bid.row for bid in _undominated(bids(*given), load)] == left
