"""Prices of the sponsored products on a page: GSP with quality, VCG, and first price.

A price is in whole micros, for a click or for a thousand views; it is rounded up, is at least the
reserve and never above the bid, which is a whole number itself. In no price an advertiser competes
with its own other candidates.
"""

from collections.abc import Callable, Sequence

from ranking.auction.allocation import Bid
from ranking.auction.contest import Contest, altered, score_of
from ranking.auction.scores import attos_per_micro
from ranking.auction.values import PriceRule


def first_price(contest: Contest, index: int) -> int:
    """Return the bid of the candidate at an index of the page, which counts from 0."""
    return contest.candidate(contest.page[index]).bid_micros


def vcg_price(contest: Contest, index: int) -> int:
    """Return the payment of VCG for each click, or for each thousand views."""
    quality = attos_per_micro(contest.candidate(contest.page[index]))
    return _ceiling(vcg_payment(contest, index), contest.exposure[index] * quality)


def vcg_payment(contest: Contest, index: int) -> int:
    """Return what a candidate pays for one impression, in attos times parts per million.

    That is the worth of the best page if the candidate bid its reserve, less what the others have
    on this page. Without a reserve it is the externality of Clarke (1971). With one it is what
    Myerson (1981) adds, so that nobody gains by bidding other than its value: the payment depends
    on the bid only through the page, and below the reserve nothing is won or paid.
    """
    bid = contest.page[index]
    quality = attos_per_micro(contest.candidate(bid))
    at_reserve = contest.best(altered(bid, quality * _reserve_micros(contest, bid)))
    return contest.worth_of(at_reserve) - _others(contest, index)


def gsp_price(contest: Contest, index: int) -> int:
    """Return the least bid that keeps the position of a candidate while the others bid the same.

    Without conflicts that is the textbook's: the score below, by the candidate's own quality. With
    conflicts a lower bid may move others, too, so the page is sought anew: Newton's method on the
    worth of the best page, which is convex in the bid, from below. A tie keeps the position.
    """
    bid = contest.page[index]
    quality = attos_per_micro(contest.candidate(bid))
    exposure, others = contest.exposure[index], _others(contest, index)
    price = max(_reserve_micros(contest, bid), _ceiling(_score_below(contest, index), quality))
    while True:
        page = contest.best(altered(bid, quality * price))
        short = contest.worth_of(page) - others - exposure * quality * price
        if short <= 0:
            return price
        price += _ceiling(short, (exposure - _exposure_of(contest, page, bid)) * quality)


PRICES: dict[PriceRule, Callable[[Contest, int], int]] = {
    PriceRule.GSP: gsp_price,
    PriceRule.VCG: vcg_price,
    PriceRule.FIRST_PRICE: first_price,
}


def _reserve_micros(contest: Contest, bid: Bid) -> int:
    return contest.auction.rules.reserve_micros(contest.candidate(bid).pricing)


def _others(contest: Contest, index: int) -> int:
    """Return what the other candidates have on the page, in attos times parts per million."""
    return contest.worth - score_of(contest.page[index]) * contest.exposure[index]


def _exposure_of(contest: Contest, page: Sequence[Bid], bid: Bid) -> int:
    """Return the exposure of a candidate on a page; 0 where it is not there."""
    pairs = zip(page, contest.exposure, strict=False)
    return next((share for other, share in pairs if other.row == bid.row), 0)


def _score_below(contest: Contest, index: int) -> int:
    """Return the score of the first candidate that has less exposure; 0 where there is none."""
    exposure = contest.exposure[index]
    below = zip(contest.page, contest.exposure, strict=False)
    return next((score_of(other) for other, share in below if share < exposure), 0)


def _ceiling(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
