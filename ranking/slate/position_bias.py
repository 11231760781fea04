"""Position bias: the probability that a place is looked at, estimated from clicks."""

import numpy as np
from jaxtyping import Bool, Float32, Int64

DEEPEST = 50  # places that are told apart; what stands further down is as this one
LEAST_SHOWN = 20  # times at both of two places, before these say anything of each other
LOWEST = 0.02  # no place is looked at less often than this
LEAST_CLICKED = 300  # in a window that is estimated by itself: of five places, to about a tenth


def chances_of_a_look(
    items: Int64[np.ndarray, "i"],
    windows: Int64[np.ndarray, "i"],
    positions: Int64[np.ndarray, "i"],
    clicked: Bool[np.ndarray, "i"],
) -> Float32[np.ndarray, "i"]:
    """Return the chance that each was looked at, against the first place of its window.

    Each window of the shop is estimated by itself: a column on a search page is read otherwise than
    a row in the cart. One with fewer than `LEAST_CLICKED` clicks goes by all windows together. The
    same product in two windows is two items.
    """
    chances = _at(examination(items, positions, clicked), positions)
    order = np.argsort(windows, kind="stable")
    ends = np.cumsum(np.bincount(windows))
    for window in np.flatnonzero(np.bincount(windows, clicked) >= LEAST_CLICKED):
        own = order[ends[window - 1] if window else 0 : ends[window]]
        chances[own] = _at(examination(items[own], positions[own], clicked[own]), positions[own])
    return chances


def _at(
    looked: Float32[np.ndarray, "p"], positions: Int64[np.ndarray, "i"]
) -> Float32[np.ndarray, "i"]:
    return np.asarray(looked[np.minimum(positions, DEEPEST) - 1])


def examination(
    items: Int64[np.ndarray, "i"], positions: Int64[np.ndarray, "i"], clicked: Bool[np.ndarray, "i"]
) -> Float32[np.ndarray, "p"]:
    """Return the chance that each place is looked at, against the first, for places 1, 2, 3…

    An item shown at two neighbouring places is as good at both, so the ratio of its clicks is that
    of the looks (intervention harvesting, Agarwal et al., WSDM 2019, with neighbouring places).
    Where no item stood at both often enough, a place counts as the one above it; none is looked at
    more than the one above.
    """
    places = np.minimum(positions, DEEPEST) - 1
    deepest = int(places.max(initial=0)) + 1
    stride = deepest + 1  # so that the last place of an item is no neighbour of the next one's
    keys, key_of, shown = np.unique(
        items * stride + places, return_inverse=True, return_counts=True
    )
    rates = np.bincount(key_of, clicked, len(keys)) / np.maximum(shown, 1)
    upper = np.flatnonzero(np.diff(keys) == 1)  # of items that were shown at both of two places
    both = np.minimum(shown[upper], shown[upper + 1])
    lower_place = keys[upper + 1] % stride
    known, above, here = (
        np.bincount(lower_place, weight, deepest)
        for weight in (both, both * rates[upper], both * rates[upper + 1])
    )
    told = (known >= LEAST_SHOWN) & (above > 0)
    ratios = np.where(told, np.minimum(here / np.where(told, above, 1), 1), 1)
    return np.maximum(np.cumprod(ratios), LOWEST).astype(np.float32)
