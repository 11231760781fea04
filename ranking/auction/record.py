"""The record of an auction: all that decided it, and what came of it for every candidate.

From the auction in it the whole record is made again, byte for byte as JSON.
"""

from enum import StrEnum

import msgspec

from ranking.auction.auction import run
from ranking.auction.participants import key_of
from ranking.auction.scores import attos_per_micro, organic_score
from ranking.auction.values import Auction, Organic, Outcome, Sponsored

VERSION = 1  # of the rules of allocation and prices; another version may decide otherwise


class Reason(StrEnum):
    """Why a candidate is not on the page; each alone keeps it off this page."""

    BELOW_RESERVE = "below_reserve"
    BELOW_RELEVANCE_FLOOR = "below_relevance_floor"
    SHOWN_BEFORE = "shown_before"  # the product, on an earlier page of the cursor
    WORTHLESS = "worthless"  # sponsored, and its probability rounds to 0
    PRODUCT_ON_PAGE = "product_on_page"  # by another candidate
    ADVERTISER_ON_PAGE = "advertiser_on_page"
    EXCLUSION_GROUP_ON_PAGE = "exclusion_group_on_page"
    AD_LOAD_REACHED = "ad_load_reached"
    OUTRANKED = "outranked"  # the page is full, of candidates that are worth more
    LOST_TIE = "lost_tie"  # the page is full, and its last is worth the same


class Loss(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A candidate that is not on the page, with all reasons in the order of `Reason`."""

    product: str
    campaign: str | None = None
    reasons: tuple[Reason, ...]


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An auction with its candidates in the order of their names, its outcome, and its losses."""

    version: int = VERSION
    auction: Auction
    outcome: Outcome
    losses: tuple[Loss, ...]


def record(auction: Auction, outcome: Outcome) -> Record:
    """Return the record of an auction and of what `run` made of it."""
    auction = _in_order(auction)
    page = _PageFacts(auction, outcome)
    sponsored = [
        Loss(product=one.product, campaign=one.campaign, reasons=page.reasons(one))
        for one in auction.sponsored
        if key_of(one) not in page.winners
    ]
    organic = [
        Loss(product=one.product, reasons=page.organic_reasons(one))
        for one in auction.organic
        if (None, one.product) not in page.winners
    ]
    return Record(auction=auction, outcome=outcome, losses=(*sponsored, *organic))


def recompute(given: Record) -> Record:
    """Return the record of the same auction, run again; it equals what was given."""
    return record(given.auction, run(given.auction))


def _in_order(auction: Auction) -> Auction:
    return msgspec.structs.replace(
        auction,
        organic=tuple(sorted(auction.organic, key=lambda one: one.product)),
        sponsored=tuple(
            msgspec.structs.replace(one, groups=tuple(sorted(one.groups))) if one.groups else one
            for one in sorted(auction.sponsored, key=key_of)
        ),
        shown=tuple(sorted(set(auction.shown))),
    )


class _PageFacts:
    """What of a page can keep a candidate off it."""

    def __init__(self, auction: Auction, outcome: Outcome) -> None:
        self.winners = {(one.campaign, one.product) for one in outcome.page}
        ads = [one for one in auction.sponsored if key_of(one) in self.winners]
        organic = [one for one in auction.organic if (None, one.product) in self.winners]
        self._rules = auction.rules
        self._shown = set(auction.shown)
        self._products = {one.product for one in outcome.page}
        self._advertisers = {one.advertiser for one in ads}
        self._groups = {group for one in ads for group in one.groups}
        self._load_reached = len(ads) == outcome.ad_load
        scores = [*map(_score, ads), *map(organic_score, organic)]
        full = len(outcome.page) == len(auction.exposure_ppm)
        self._least = min(scores) if full else -1

    def reasons(self, one: Sponsored) -> tuple[Reason, ...]:
        """Return why a sponsored candidate is not on the page."""
        rules, score = self._rules, _score(one)
        holds = {
            Reason.BELOW_RESERVE: one.bid_micros < rules.reserve_micros(one.pricing),
            Reason.BELOW_RELEVANCE_FLOOR: one.relevance < rules.relevance_floor,
            Reason.SHOWN_BEFORE: one.product in self._shown,
            Reason.WORTHLESS: score == 0,
            Reason.PRODUCT_ON_PAGE: one.product in self._products,
            Reason.ADVERTISER_ON_PAGE: one.advertiser in self._advertisers,
            Reason.EXCLUSION_GROUP_ON_PAGE: not self._groups.isdisjoint(one.groups),
            Reason.AD_LOAD_REACHED: self._load_reached,
            Reason.OUTRANKED: score < self._least,
            Reason.LOST_TIE: score == self._least,
        }
        return tuple(reason for reason, held in holds.items() if held)

    def organic_reasons(self, one: Organic) -> tuple[Reason, ...]:
        """Return why a product for which the house bids is not on the page."""
        score = organic_score(one)
        holds = {
            Reason.SHOWN_BEFORE: one.product in self._shown,
            Reason.PRODUCT_ON_PAGE: one.product in self._products,
            Reason.OUTRANKED: score < self._least,
            Reason.LOST_TIE: score == self._least,
        }
        return tuple(reason for reason, held in holds.items() if held)


def _score(one: Sponsored) -> int:
    return one.bid_micros * attos_per_micro(one)
