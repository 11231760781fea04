"""How likely a place on the page is looked at, from what was clicked at several places."""

import numpy as np
from jaxtyping import Bool, Float32, Int64

DEEPEST = 50  # places that are told apart; what stands further down is as this one
LEAST_SHOWN = 20  # times at both of two places, before these say anything of each other
LOWEST = 0.02  # no place is looked at less often than this


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
    names, item_of = np.unique(items, return_inverse=True)
    key = item_of * deepest + places
    shown = np.bincount(key, minlength=len(names) * deepest).reshape(len(names), deepest)
    clicks = np.bincount(key, clicked, len(names) * deepest).reshape(len(names), deepest)
    chances = np.ones(deepest, np.float64)
    for place in range(1, deepest):
        both = np.minimum(shown[:, place - 1], shown[:, place])
        known = both > 0
        above, here = (
            float((both * clicks[:, p] / np.maximum(shown[:, p], 1))[known].sum())
            for p in (place - 1, place)
        )
        seen = both.sum() >= LEAST_SHOWN and above > 0
        chances[place] = chances[place - 1] * (min(here / above, 1.0) if seen else 1.0)
    return np.maximum(chances, LOWEST).astype(np.float32)
