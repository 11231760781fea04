"""Thompson sampling over the creatives of a campaign, with the propensity of each draw.

A creative is drawn with the probability that its click-through is the best of all, if each has a
Beta distribution of 1 + clicks and 1 + views without a click (Thompson 1933). The probabilities are
computed first and then drawn from, so what is logged is exactly the probability of the draw, also
where the integral behind it is off in its last digits.
"""

from collections import Counter
from hashlib import blake2b
from itertools import accumulate
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Float64
from scipy.special import betainc, betaincinv, betaln

MOST_CREATIVES = 100
MOST_VIEWS = 10**9
LARGEST_SEED = 2**64 - 1
SMALLEST, LARGEST = np.nextafter(0.0, 1.0), np.nextafter(1.0, 0.0)  # within (0, 1)
NODES = 12  # of Gauss-Legendre in a panel
TAILS = np.array([1e-12, 1e-8, 1e-5, 1e-3, 0.02, 0.1, 0.3, 0.5])
QUANTILES = np.concatenate([TAILS, 1 - TAILS[:-1]])  # where panels end, of each creative


class CreativeError(ValueError):
    """Counts or a seed that cannot be drawn from; names the field."""


class CreativeCounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of a creative's views."""

    creative: str
    views: int
    clicks: int

    def __post_init__(self) -> None:
        """Refuse counts that cannot be."""
        if not self.creative:
            raise CreativeError("creative: is empty; give its id")
        for name, count, most in (
            ("views", self.views, MOST_VIEWS),
            ("clicks", self.clicks, self.views),
        ):
            if type(count) is not int or not 0 <= count <= most:
                raise CreativeError(
                    f"{name}: {count!r} of {self.creative!r} is no whole number from 0 to {most:,}"
                )


class CreativeDraw(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A draw as it is logged: what it was drawn from, by which seed, and how probable it was."""

    counts: tuple[CreativeCounts, ...]
    seed: int
    creative: str
    propensity: float


def draw(counts: tuple[CreativeCounts, ...], seed: Any) -> CreativeDraw:
    """Draw one of these creatives; whatever may not be shown must be left out before.

    `seed` is a number from 0 to 2^64 - 1, drawn anew for each draw. The order of the counts changes
    nothing.
    """
    if type(seed) is not int or not 0 <= seed <= LARGEST_SEED:
        raise CreativeError(f"seed: {seed!r} is not a whole number from 0 to {LARGEST_SEED:,}")
    counts = tuple(sorted(counts, key=lambda one: one.creative))
    shares = propensities(counts)
    ends = list(accumulate(shares))
    point = _uniform(seed) * ends[-1]
    place = next(i for i, end in enumerate(ends) if point < end)
    return CreativeDraw(
        counts=counts, seed=seed, creative=counts[place].creative, propensity=shares[place]
    )


def redraw(logged: CreativeDraw) -> CreativeDraw:
    """Return the draw from the counts and the seed of a logged one."""
    return draw(logged.counts, logged.seed)


def propensities(counts: tuple[CreativeCounts, ...]) -> list[float]:
    """Return the probability that each creative is the best; they are 1 together.

    The integral of a density times the distributions of the others, by Gauss-Legendre in panels
    between quantiles of all of them.
    """
    if not 1 <= len(counts) <= MOST_CREATIVES:
        raise CreativeError(f"counts: {len(counts)} creatives; give 1 to {MOST_CREATIVES}")
    [(twice, times)] = Counter(one.creative for one in counts).most_common(1)
    if times > 1:
        raise CreativeError(f"counts: {twice!r} stands {times} times; give each once")
    a = np.array([1.0 + one.clicks for one in counts])[:, None]
    b = np.array([1.0 + one.views - one.clicks for one in counts])[:, None]
    points, widths = _nodes(a, b)
    below = betainc(a, b, points)
    log_density = (a - 1) * np.log(points) + (b - 1) * np.log1p(-points) - betaln(a, b)
    mass = np.exp(log_density) * widths
    best = np.array([(mass[i] * _product_but(below, i)).sum() for i in range(len(counts))])
    shares: list[float] = (best / best.sum()).tolist()
    return shares


def _nodes(
    a: Float64[np.ndarray, "c 1"], b: Float64[np.ndarray, "c 1"]
) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
    """Return points in (0, 1) and their weights, dense where any of the distributions is."""
    ends = np.unique(np.concatenate([[0.0, 1.0], betaincinv(a, b, QUANTILES).ravel()]))
    at, weight = np.polynomial.legendre.leggauss(NODES)
    half = np.diff(ends)[:, None] / 2
    points = np.clip(ends[:-1, None] + half * (1 + at), SMALLEST, LARGEST)
    return points.ravel(), (half * weight).ravel()


def _product_but(below: Float64[np.ndarray, "c n"], i: int) -> Float64[np.ndarray, "n"]:
    return np.asarray(np.delete(below, i, axis=0).prod(axis=0))


def _uniform(seed: int) -> float:
    """Return a number in [0, 1) of 53 bits."""
    digest = blake2b(seed.to_bytes(8, "big"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) * 2.0**-53
