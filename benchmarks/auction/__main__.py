"""Auctions against brute force and milp, deviations from the truth under VCG, and their time.

    python -m benchmarks auction [--auctions 100000] [--milp 5000] [--deviations 1000000]

Auctions are drawn with up to six bidders, five organic products and four positions, with many ties
and conflicts. Brute force looks at every allowed page in every order and knows prices by their
definition; milp (HiGHS) finds the worth of the best page. A deviation is other bids of one
advertiser than its values; it gains if the value of what is won less the payment rises.
Times are of one auction among 1,000 eligible candidates, 200 organic products and 24 positions, by
the clock and by the processor's time of the thread, which other work changes less.
"""

import argparse
import gc
from collections.abc import Callable
from math import isclose
from random import Random
from time import perf_counter, thread_time

import msgspec
import numpy as np

from benchmarks.auction import brute_force
from benchmarks.auction.deviations import gains
from benchmarks.auction.drawing import large, small
from benchmarks.auction.milp import most_worth
from benchmarks.machine import run_benchmark
from ranking.auction.allocation import Effort, worth
from ranking.auction.auction import run
from ranking.auction.contest import TIE_BITS, Contest
from ranking.auction.record import Record, recompute, record
from ranking.auction.values import Auction, PriceRule

ATTOS_PPM_IN_MICRO = 10**18
NUM_ELIGIBLE = 1_000
TRIES = 10  # deviations of one advertiser


def main() -> None:
    """Print each comparison, and the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--auctions", type=int, default=100_000)
    parser.add_argument("--milp", type=int, default=5_000)
    parser.add_argument("--deviations", type=int, default=1_000_000)
    parser.add_argument("--timed", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=24)
    options = parser.parse_args()
    print_brute_force(Random(options.seed), options.auctions)
    print_milp(Random(options.seed + 1), options.milp)
    print_deviations(Random(options.seed + 2), options.deviations)
    print_times(Random(options.seed + 3), options.timed)


def print_brute_force(random: Random, count: int) -> None:
    """Print how many auctions differ from brute force, and how many records from themselves."""
    different = forged = sponsored = cut_off = 0
    for i in range(count):
        given = small(random, list(PriceRule)[i % len(PriceRule)])
        outcome = run(given)
        found = [(one.product, one.campaign, one.price_micros) for one in outcome.page]
        different += found != brute_force.outcome(given)
        sponsored += sum(campaign is not None for _, campaign, _ in found)
        cut_off += outcome.ad_load != given.rules.ad_load
        written = msgspec.json.encode(record(given, outcome))
        read = msgspec.json.decode(written, type=Record)
        forged += msgspec.json.encode(recompute(read)) != written
    print(
        f"{count:,} auctions with {sponsored:,} sponsored positions: page or a price differs from "
        f"brute force in {different}, the record recomputed differs in a byte in {forged}, "
        f"{cut_off} cut off",
        flush=True,
    )


def print_milp(random: Random, count: int) -> None:
    """Print how many pages are worth something else than milp says, to a part in 10^9."""
    different = 0
    for _ in range(count):
        given = small(random, PriceRule.VCG)
        contest = Contest(given, given.rules.ad_load, Effort(100_000))
        page = (worth(contest.page, given.exposure_ppm) >> TIE_BITS) / ATTOS_PPM_IN_MICRO
        different += not isclose(page, most_worth(given), rel_tol=1e-9, abs_tol=1e-12)
    print(
        f"{count:,} auctions: the page is worth something else to milp in {different}", flush=True
    )


def print_deviations(random: Random, count: int) -> None:
    """Print how many deviations gain anything under VCG."""
    tried = profitable = rounded = lost = 0
    while tried < count:
        given = small(random, PriceRule.VCG)
        if not given.sponsored:
            continue
        for gain in gains(random, given, TRIES):
            tried += 1
            profitable += gain.exact > 0
            lost += gain.exact < 0
            rounded += gain.rounded >= max(gain.micro, 1)
    print(
        f"{tried:,} deviations under VCG: {profitable} gain, {lost:,} lose; by prices in whole "
        f"micros {rounded} gain a micro an event or more",
        flush=True,
    )


def print_times(random: Random, count: int) -> None:
    """Print the time of an auction, and of what stands around it."""
    print(f"{NUM_ELIGIBLE:,} eligible, ms:      clock p50    p99   thread p50    p99")
    for price_rule in PriceRule:
        print_time(price_rule, run, [large(random, price_rule, NUM_ELIGIBLE) for _ in range(count)])
    drawn = [large(random, PriceRule.GSP, NUM_ELIGIBLE) for _ in range(count // 10)]
    print_time("the checks of Auction", msgspec.structs.replace, drawn)
    print_time("auction and record", lambda given: record(given, run(given)), drawn)


def print_time(name: str, act: Callable[[Auction], object], drawn: list[Auction]) -> None:
    """Print the quantiles of one act, each auction once."""
    gc.collect()
    gc.freeze()  # what was drawn is no garbage that a server would have
    clock, thread = [], []
    for given in drawn:
        began, worked = perf_counter(), thread_time()
        act(given)
        thread.append(thread_time() - worked)
        clock.append(perf_counter() - began)
    gc.unfreeze()
    (c50, c99), (t50, t99) = (1e3 * np.quantile(times, (0.5, 0.99)) for times in (clock, thread))
    print(f"{name:25} {c50:10.3f} {c99:6.3f} {t50:12.3f} {t99:6.3f}", flush=True)


if __name__ == "__main__":
    run_benchmark(main)
