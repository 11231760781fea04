"""Runs an auction: the page and its prices."""

from ranking.auction.allocation import Bid, Effort, TooHard
from ranking.auction.contest import Contest
from ranking.auction.prices import PRICES
from ranking.auction.values import Auction, Outcome, Position

MOST_NODES = 500  # of all searches of one auction; usual ones need less than 20
EASY_LOAD = 1
NODES_OF_EASY = 100_000  # far more than it can need: no two sponsored products can conflict


def run(auction: Auction) -> Outcome:
    """Return the page that is worth most of all that the rules allow, with its prices.

    The same auction always has the same outcome, in whatever order its candidates stand. Exclusion
    groups can be so entangled that the best page is not found in bounded time; then, and only then,
    the page has at most one sponsored product, and `ad_load` of the outcome says so.
    """
    try:
        return _outcome(auction, auction.rules.ad_load, MOST_NODES)
    except TooHard:
        return _outcome(auction, min(EASY_LOAD, auction.rules.ad_load), NODES_OF_EASY)


def _outcome(auction: Auction, ad_load: int, most_nodes: int) -> Outcome:
    contest = Contest(auction, ad_load, Effort(most_nodes))
    page = tuple(
        _sponsored_position(contest, index)
        if bid.sponsored
        else Position(position=index + 1, product=auction.organic[bid.row].product)
        for index, bid in enumerate(contest.page)
    )
    return Outcome(page=page, ad_load=ad_load)


def _sponsored_position(contest: Contest, index: int) -> Position:
    bid: Bid = contest.page[index]
    candidate = contest.candidate(bid)
    return Position(
        position=index + 1,
        product=candidate.product,
        campaign=candidate.campaign,
        price_micros=PRICES[contest.auction.rules.price_rule](contest, index),
    )
