"""Who takes part in the search for the best page, and what stands for all others.

An auction may have thousands of candidates, and its page a few dozen positions. So only the
candidates of most worth take part, and for the others stand-ins: bids that are at least as heavy
as any of those, and conflict with no more than all of those do. If no stand-in is on the best page,
no other candidate could be; if one is, more take part.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import inf
from typing import NamedTuple, TypeAlias

from ranking.auction.values import Auction, Sponsored

GROWTH = 8

Name: TypeAlias = tuple[str, str]  # of a kind: an advertiser, a product or an exclusion group


class StandIn(NamedTuple):
    """What stands for some candidates: a number above their scores, and names that all have."""

    bound: float
    names: tuple[Name, ...]


class Participants(NamedTuple):
    """Rows of sponsored candidates that take part, and what stands for the others."""

    rows: list[int]
    others: list[StandIn]


def names_of(one: Sponsored) -> tuple[Name, ...]:
    """Return what of a sponsored candidate a page shows once; its advertiser first."""
    names = (("advertiser", one.advertiser), ("product", one.product))
    return (*names, *(("group", group) for group in one.groups)) if one.groups else names


def key_of(one: Sponsored) -> tuple[str, str]:
    """Return what names a sponsored candidate."""
    return (one.campaign, one.product)


def participants(
    auction: Auction, bounds: Sequence[float], size: int, ad_load: int, attempt: int
) -> Participants:
    """Return who takes part at an attempt, counted from 0, which finds no stand-in on its page.

    `bounds` are above the scores of the candidates, 0 for who may not win. At first the `size`
    highest of them take part. If too few of those could stand together, some of each advertiser
    do, and from attempt to attempt more of them.
    """
    if attempt == 0:
        return _highest(bounds, size, ad_load)
    size *= GROWTH ** (attempt - 1)
    return _highest_of_each(auction, bounds, size, ad_load)


def _highest(bounds: Sequence[float], size: int, ad_load: int) -> Participants:
    falling = sorted(bounds, reverse=True)
    taken = [bound for bound in falling[:size] if bound]
    least = taken[-1] if taken else inf
    rows = [row for row, bound in enumerate(bounds) if bound >= least]
    below = next((bound for bound in falling[size:] if bound < least), 0.0)
    return Participants(rows, [StandIn(below, ())] * ad_load if below else [])


def _highest_of_each(
    auction: Auction, bounds: Sequence[float], size: int, ad_load: int
) -> Participants:
    """Return some candidates of the advertisers whose best is among the highest."""
    eligible = [row for row, bound in enumerate(bounds) if bound]
    order = sorted(eligible, key=lambda row: (-bounds[row], *key_of(auction.sponsored[row])))
    of_advertiser: dict[str, list[int]] = defaultdict(list)
    for row in order:
        of_advertiser[auction.sponsored[row].advertiser].append(row)
    each = max(size // 4, 1)
    common = _common_groups(auction.sponsored[row].groups for row in order)
    rows: list[int] = []
    others: list[StandIn] = []
    for i, (advertiser, own) in enumerate(of_advertiser.items()):
        if i == size:
            others += [StandIn(bounds[own[0]], common)] * ad_load
            break
        rows += own[:each]
        if len(own) > each:
            others.append(StandIn(bounds[own[each]], (("advertiser", advertiser), *common)))
    return Participants(rows, others)


def _common_groups(groups: Iterable[tuple[str, ...]]) -> tuple[Name, ...]:
    """Return the exclusion groups that all have."""
    common: set[str] | None = None
    for own in groups:
        common = set(own) if common is None else common.intersection(own)
        if not common:
            break
    return tuple(("group", group) for group in sorted(common or ()))
