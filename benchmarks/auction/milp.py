"""The worth of the best page by mixed-integer programming (HiGHS, in scipy)."""

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from benchmarks.auction.brute_force import Candidate, candidates
from ranking.auction.values import Auction


def most_worth(auction: Auction) -> float:
    """Return the most worth of an allowed page, in micros for an impression."""
    pool = candidates(auction)
    if not pool:
        return 0.0
    exposure = np.array(auction.exposure_ppm) / 1e6
    worth = np.array([float(one.worth) for one in pool])
    positions = len(exposure)
    on = np.kron(np.eye(len(pool)), np.ones(positions))  # whether each is on the page
    at = np.kron(np.ones(len(pool)), np.eye(positions))  # how many are at each position
    once = np.array([[name in names(one) for one in pool] for name in every_name(pool)])
    load = np.array([[one.one is not None for one in pool]])
    found = milp(
        -np.outer(worth, exposure).ravel(),
        integrality=np.ones(len(pool) * positions),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(on, ub=1),
            LinearConstraint(at, ub=1),
            LinearConstraint(once.astype(float) @ on, ub=1),
            LinearConstraint(load.astype(float) @ on, ub=auction.rules.ad_load),
        ],
        options={"mip_rel_gap": 0.0},
    )
    return -float(found.fun)


def names(one: Candidate) -> set[str]:
    """Return what a page shows once: a product, an advertiser, exclusion groups."""
    ad = one.one
    own = {f"product {one.product}"}
    return own if ad is None else own | {f"of {ad.advertiser}", *(f"in {g}" for g in ad.groups)}


def every_name(pool: list[Candidate]) -> list[str]:
    """Return the names of all candidates."""
    return sorted(set().union(*map(names, pool)))
