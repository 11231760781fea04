"""The allocation: of all pages that the rules allow, the one that is worth most, found exactly.

Branch and bound. Let each sponsored bid count for one clique only, a set of bids of which a page
holds one. Then what is allowed is a matroid (load over cliques), of which the greedy page is the
best, at each of its positions. So the greedy page bounds every page, and is the answer where no two
of its bids conflict. Where two do, either the heavier is on the page, or it is not: two smaller
problems.
"""

from collections.abc import Sequence
from operator import itemgetter, mul
from typing import NamedTuple

WEIGHT_OF = itemgetter(0)


class Bid(NamedTuple):
    """A candidate as the allocation sees it; two candidates conflict if they share a bit."""

    weight: int  # above 0; on a position it counts times the exposure
    row: int  # who it is; no two have the same
    sponsored: bool
    advertiser: int  # one of its bits; 0 for the house
    bits: int  # one for its product, its advertiser and each of its exclusion groups
    clique: int  # one of these bits; 0 where nobody shares one, and for the house


class TooHard(RuntimeError):
    """The best page was not found within the effort that was allowed."""


class Effort:
    """How many more smaller problems may be looked at."""

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes

    def spend(self) -> None:
        """Count one; TooHard where none is left."""
        self._nodes -= 1
        if self._nodes < 0:
            raise TooHard


class _Node(NamedTuple):
    """A smaller problem: bids that must be on the page, and rows that must not."""

    on: tuple[Bid, ...]
    off: frozenset[int]


ROOT = _Node((), frozenset())


def best_page(bids: Sequence[Bid], exposure: Sequence[int], load: int, effort: Effort) -> list[Bid]:
    """Return the allowed page of most worth, the heaviest bid first.

    `bids` stand heaviest first, `exposure` never rises, and at most `load` are sponsored. The page
    is as long as `exposure`, or as many as can stand together. TooHard beyond the effort.
    """
    effort.spend()
    page = _greedy_page(bids, ROOT, len(exposure), load)
    if _heavier_in_conflict(page) is None:
        return page
    bids = _undominated(bids, load)
    best: list[Bid] = []
    most = -1
    nodes = [ROOT]
    while nodes:
        effort.spend()
        node = nodes.pop()
        page = _greedy_page(bids, node, len(exposure), load)
        bound = worth(page, exposure)
        if bound <= most:
            continue
        heavier = _heavier_in_conflict(page)
        if heavier is None:
            best, most = page, bound
        else:
            nodes.append(_Node(node.on, node.off | {heavier.row}))
            nodes.append(_Node((*node.on, heavier), node.off))
    return best


def worth(page: Sequence[Bid], exposure: Sequence[int]) -> int:
    """Return the weights of a page, each times the exposure of its position."""
    return sum(map(mul, map(WEIGHT_OF, page), exposure))


def _undominated(bids: Sequence[Bid], load: int) -> list[Bid]:
    """Return the bids without the sponsored ones of which a heavier one could take any position.

    A heavier bid could if it conflicts with the lighter, and shares no bit that this one does not.
    So could one of the heavier bids that share no bit at all, if there are `load` of them.
    """
    shared = _shared_bits(bids, load)
    left: list[Bid] = []
    heavier: set[int] = set()
    free = 0
    for bid in bids:
        bits = bid.bits & shared
        if bid.sponsored and (free >= load or any(bits & own == own for own in heavier)):
            continue
        left.append(bid)
        if bits:
            heavier.add(bits)
        elif bid.sponsored:
            free += 1
    return left


def _shared_bits(bids: Sequence[Bid], load: int) -> int:
    """Return the bits by which two bids can conflict; sponsored ones cannot under a load of 1."""
    once = shared = 0
    for bid in bids:
        if load > 1:
            shared |= once & bid.bits
        elif not bid.sponsored:
            shared |= bid.bits
        once |= bid.bits
    return shared


def _greedy_page(bids: Sequence[Bid], node: _Node, length: int, load: int) -> list[Bid]:
    """Return the heaviest page of a node, with each bid open to it counting for its clique alone.

    No page of the node has a heavier bid at any position.
    """
    on, off = node
    taken = cliques = 0
    for bid in on:
        taken |= bid.bits
    ads = load - sum(bid.sponsored for bid in on)
    positions = length - len(on)
    page = list(on)
    for bid in bids:
        if positions == 0:
            break
        _, row, sponsored, _, bits, clique = bid
        if bits & taken or row in off:
            continue
        if sponsored:
            if ads == 0 or clique & cliques:
                continue
            ads -= 1
            cliques |= clique
        page.append(bid)
        positions -= 1
    if on:
        page.sort(key=lambda bid: -bid.weight)
    return page


def _heavier_in_conflict(page: Sequence[Bid]) -> Bid | None:
    """Return the heavier bid of the first two that conflict on a page; None if none do."""
    bits = 0
    for bid in page:
        if bid.bits & bits:
            return next(heavier for heavier in page if heavier.bits & bid.bits)
        bits |= bid.bits
    return None
