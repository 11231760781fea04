"""The contest: the candidates of an auction that may win, as bids of the allocation.

A weight is a score, and below it a number that breaks ties: a hash of the auction's random number
and of the candidate's name, so that the order of candidates decides nothing. The room below the
score is so wide that no sum of hashes reaches the scores.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from itertools import chain
from operator import itemgetter

from ranking.auction.allocation import Bid, Effort, best_page, worth
from ranking.auction.participants import Name, names_of, participants
from ranking.auction.scores import attos_per_micro, organic_score, score_bounds
from ranking.auction.values import Auction, Organic, Sponsored

HASH_BYTES = 8
TIE_BITS = 96  # above 64 of a hash, 20 of an exposure and 8 of the number of positions
STAND_IN = -1  # the row of the first stand-in; the others have the rows below
FIRST_SIZE = 4  # sponsored bids that take part at first, for each position that they may have
ROW_OF = itemgetter(1)
OUT = -1  # below every value


class Contest:
    """The bids of one auction, and the best page among them and among altered ones.

    Whatever looks for a page raises TooHard where that takes more than the effort.
    """

    def __init__(self, auction: Auction, ad_load: int, effort: Effort) -> None:
        self.auction = auction
        self.exposure = auction.exposure_ppm
        self._load = ad_load
        self._effort = effort
        self._num_organic = len(auction.organic)
        self._bounds = score_bounds(auction)
        self._falling = sorted(self._bounds, reverse=True)
        self._bits: dict[Name, int] = {}  # stays while more bids take part
        self._attempt = 0
        self._bids = self._all_bids()
        self.page = self.best()
        self.worth = self.worth_of(self.page)

    def candidate(self, bid: Bid) -> Sponsored:
        """Return the sponsored candidate of a bid."""
        return self.auction.sponsored[bid.row - self._num_organic]

    def best(self, instead: Bid | None = None) -> list[Bid]:
        """Return the best page, its heaviest bid first.

        With `instead`, that of an auction in which this bid is the only one of its advertiser.
        """
        while True:
            page = best_page(self._altered(instead), self.exposure, self._load, self._effort)
            if min(map(ROW_OF, page), default=0) >= 0:
                return page
            self._attempt += 1
            self._bids = self._all_bids()

    def worth_of(self, page: Sequence[Bid]) -> int:
        """Return what a page is worth, in attos times parts per million."""
        return worth(page, self.exposure) >> TIE_BITS

    def _altered(self, instead: Bid | None) -> list[Bid]:
        if instead is None:
            return self._bids
        bids = [bid for bid in self._bids if bid.advertiser != instead.advertiser]
        bids.insert(bisect_left(bids, -instead.weight, key=_falling_weight), instead)
        return bids

    def _all_bids(self) -> list[Bid]:
        """Return the bids that take part, the heaviest first."""
        rows, others = participants(
            self.auction, self._bounds, FIRST_SIZE * (1 + self._load), self._load, self._attempt
        )
        names = [names_of(self.auction.sponsored[row]) for row in rows]
        holders = Counter(chain(*names, *(other.names for other in others)))
        for name in holders:
            self._bits.setdefault(name, 1 << len(self._bits))
        bids = [
            self._sponsored_bid(row, own, holders) for row, own in zip(rows, names, strict=True)
        ]
        bids = [bid for bid in bids if score_of(bid)]
        bids += self._organic_bids()
        bids += [
            self._bid((int(other.bound) + 1) << TIE_BITS, STAND_IN - i, other.names, holders)
            for i, other in enumerate(others)
        ]
        bids.sort(reverse=True)
        return bids

    def _sponsored_bid(self, row: int, names: tuple[Name, ...], holders: dict[Name, int]) -> Bid:
        one = self.auction.sponsored[row]
        weight = self._weight(one.bid_micros * attos_per_micro(one), one.campaign, one.product)
        return self._bid(weight, self._num_organic + row, names, holders)

    def _bid(self, weight: int, row: int, names: tuple[Name, ...], holders: dict[Name, int]) -> Bid:
        bits = [self._bits[name] for name in names]
        commonest = max(names, key=holders.__getitem__, default=None)
        clique = self._bits[commonest] if commonest and holders[commonest] > 1 else 0
        advertiser = bits[0] if names and names[0][0] == "advertiser" else 0
        return Bid(weight, row, True, advertiser, sum(bits), clique)

    def _organic_bids(self) -> list[Bid]:
        """Return the organic bids that may win, as many as the page has positions.

        A sponsored product keeps off at most one of them, and takes a position itself.
        """
        shown, most = frozenset(self.auction.shown), len(self.exposure)
        values = [
            one.value_micros if one.product not in shown else OUT for one in self.auction.organic
        ]
        least = max(min(sorted(values, reverse=True)[:most], default=0), 0)
        bids = [
            self._organic_bid(row, self.auction.organic[row])
            for row, value in enumerate(values)
            if value >= least
        ]
        bids.sort(reverse=True)  # more than `most` where some are worth the same
        return bids[:most]

    def _organic_bid(self, row: int, one: Organic) -> Bid:
        weight = self._weight(organic_score(one), "", one.product)
        return Bid(weight, row, False, 0, self._bits.get(("product", one.product), 0), 0)

    def _weight(self, score: int, campaign: str, product: str) -> int:
        return (score << TIE_BITS) + tie_break(self.auction.random_number, campaign, product)


def tie_break(random_number: int, campaign: str, product: str) -> int:
    """Return a number from 1 to 2^64; of candidates that are worth the same the higher is first."""
    name = f"{random_number} {len(campaign)} {campaign} {product}".encode()
    return int.from_bytes(blake2b(name, digest_size=HASH_BYTES).digest(), "big") + 1


def altered(bid: Bid, score: int) -> Bid:
    """Return a bid with another score."""
    ties = bid.weight & ((1 << TIE_BITS) - 1)
    return bid._replace(weight=(score << TIE_BITS) + ties)


def score_of(bid: Bid) -> int:
    """Return the score of a bid, in attos."""
    return bid.weight >> TIE_BITS


def _falling_weight(bid: Bid) -> int:
    return -bid.weight
