"""Thompson sampling over four creatives: regret beside the lower bound, and the best one found.

    python -m benchmarks creatives [--runs 200]

One creative has a click-through of 1.5 %, three of 1 %. Counts are taken in after each hundredth
part of the views, as they would be with a delay. The bound is the leading term of Lai and Robbins
(1985): the sum over the worse creatives of (difference / KL divergence) times ln(views); for few
views it is above the regret of drawing at random, which is printed beside it.
"""

import argparse
from math import log

import numpy as np

from benchmarks.machine import run_benchmark
from ranking.creatives.thompson import CreativeCounts, draw, propensities, redraw

RATES = np.array([0.015, 0.01, 0.01, 0.01])
STEPS = 100
VIEWS = (20_000, 100_000, 1_000_000)


def main() -> None:
    """Print a line for each number of views."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    options = parser.parse_args()
    random = np.random.default_rng(15)
    print("      views  regret (95 %)          of bound  at random  best has most clicks a view")
    for views in VIEWS:
        runs = [one_run(random, views) for _ in range(options.runs)]
        regret = np.array([regret for regret, _ in runs])
        found = np.mean([best for _, best in runs])
        half = 1.96 * regret.std(ddof=1) / len(regret) ** 0.5
        bound = lower_bound(views)
        even = views * (RATES.max() - RATES).mean()
        print(
            f"{views:11,} {regret.mean():7.1f} ± {half:<12.1f} {regret.mean() / bound:10.2f} "
            f"{even:10.1f} {found:10.3f}",
            flush=True,
        )
    print_replay(random, 1_000)


def one_run(random: np.random.Generator, views: int) -> tuple[float, bool]:
    """Return the regret in clicks, and whether the best creative has the most clicks a view."""
    shown, clicked = np.zeros(len(RATES), np.int64), np.zeros(len(RATES), np.int64)
    for _ in range(STEPS):
        step = random.multinomial(views // STEPS, propensities(counts(shown, clicked)))
        shown += step
        clicked += random.binomial(step, RATES)
    rates = clicked / np.maximum(shown, 1)
    return float(shown @ (RATES.max() - RATES)), bool(rates.argmax() == RATES.argmax())


def counts(shown: np.ndarray, clicked: np.ndarray) -> tuple[CreativeCounts, ...]:
    return tuple(
        CreativeCounts(creative=f"c{i}", views=int(views), clicks=int(clicks))
        for i, (views, clicks) in enumerate(zip(shown, clicked, strict=True))
    )


def lower_bound(views: int) -> float:
    """Return the leading term of the bound, in clicks."""
    best = RATES.max()
    return log(views) * sum((best - p) / divergence(p, best) for p in RATES if p < best)


def divergence(p: float, q: float) -> float:
    """Return the KL divergence of two click-through rates, in nats."""
    return p * log(p / q) + (1 - p) * log((1 - p) / (1 - q))


def print_replay(random: np.random.Generator, draws: int) -> None:
    """Print how far the propensity of a redraw is from the logged one, at most."""
    furthest, other = 0.0, 0
    for _ in range(draws):
        shown = random.integers(0, 50_000, len(RATES))
        logged = draw(counts(shown, random.binomial(shown, RATES)), int(random.integers(2**63)))
        again = redraw(logged)
        furthest = max(furthest, abs(again.propensity - logged.propensity))
        other += again.creative != logged.creative
    print(f"{draws:,} logged draws, drawn again: {other} others, propensity off by {furthest:.1e}")


if __name__ == "__main__":
    run_benchmark(main)
