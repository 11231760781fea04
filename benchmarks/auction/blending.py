"""Relevance against revenue on judged lists: how much of each is left as organic value rises.

    python -m benchmarks blending --data FOLDER [--draws 20]

FOLDER holds esci_us/products.parquet and esci_us/judgments.parquet (gains E 1, S 0.1, C 0.01, I 0).
Each list is a page of 24 positions. Its organic values are `scale` times the gain that the packaged
text encoder lets expect (isotonic, fitted on the first half of the queries); a quarter of its
products are also sponsored, by drawn campaigns with log-normal bids for a click, and clicks are the
likelier the higher the expected gain, which is also the relevance that the floor is about. Ads
first is the auction with organic values of 0 and no floor. Scale and floor are chosen on the first
half, for most nDCG with at least 90 % of the revenue of ads first, and measured on the other half;
intervals are by bootstrap over queries.
"""

import argparse
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression

from benchmarks.machine import run_benchmark
from benchmarks.search.text_relevance import ESCI, esci
from ranking.auction.auction import run
from ranking.auction.values import Auction, Organic, Outcome, PriceRule, Pricing, Rules, Sponsored
from retrieval.encoders.text import open_text_encoder

POSITIONS, AD_LOAD, SPONSORED = 24, 4, 0.25
EXPOSURE = tuple(round(1e6 / position**0.7) for position in range(1, POSITIONS + 1))
SCALES = (4_000, 8_000, 11_000, 14_000, 17_000, 20_000, 25_000, 35_000)  # micros, of gain 1
FLOORS = (0.0, 0.3, 0.4, 0.5)
REVENUE = 0.9  # of ads first, at least
MODEL = "all-MiniLM-L6-v2"


class Shelf(NamedTuple):
    """The judged products of one query, the most similar first."""

    cosines: np.ndarray
    gains: np.ndarray


class Blend(NamedTuple):
    """How relevance and revenue are weighed."""

    scale: int
    floor: float
    ad_load: int = AD_LOAD


ADS_FIRST = Blend(0, 0.0)
ORGANIC = Blend(1_000, 0.0, 0)
BLENDS = tuple(Blend(scale, floor) for floor in FLOORS for scale in SCALES)


class Measures(NamedTuple):
    """One row a query: means over the draws."""

    ndcg: np.ndarray
    revenue: np.ndarray  # micros an impression
    ads: np.ndarray  # on a page


def main() -> None:
    """Print the frontier of each price rule on the second half of the queries."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=20)
    options = parser.parse_args()
    shelves = read_shelves(options.data / ESCI)
    first, second = shelves[::2], shelves[1::2]
    expected = fit_gains(first)
    for price_rule in (PriceRule.GSP, PriceRule.VCG):
        print_rule(price_rule, (first, second), expected, options.draws)


def read_shelves(folder: Path) -> list[Shelf]:
    """Return the lists with at least one exact product, in the order of their queries."""
    encode = open_text_encoder(MODEL, threads=1).encode
    shelves = []
    for query, judged in sorted(esci(folder).items()):
        if max(judged.values()) < 1:
            continue
        titles = sorted(judged)
        cosines = (encode(titles) @ encode([query]).T).ravel()
        order = np.argsort(-cosines, kind="stable")
        shelves.append(Shelf(cosines[order], np.array([judged[t] for t in titles])[order]))
    return shelves


def fit_gains(shelves: list[Shelf]) -> tuple[np.ndarray, np.ndarray]:
    """Return cosines and the gains that they let expect, both ascending."""
    cosines = np.concatenate([shelf.cosines for shelf in shelves])
    gains = np.concatenate([shelf.gains for shelf in shelves])
    order = np.argsort(cosines)
    return cosines[order], isotonic_regression(gains[order]).x


def print_rule(
    price_rule: PriceRule,
    halves: tuple[list[Shelf], list[Shelf]],
    expected: tuple[np.ndarray, np.ndarray],
    draws: int,
) -> None:
    fitted, judged = (
        {
            blend: measure(half, expected, price_rule, blend, draws)
            for blend in (ORGANIC, ADS_FIRST, *BLENDS)
        }
        for half in halves
    )
    print(f"{price_rule}, {len(halves[1])} queries: floor  scale  nDCG kept  revenue kept  ads")
    for blend in (ADS_FIRST, *BLENDS):
        kept = judged[blend].ndcg.sum() / judged[ORGANIC].ndcg.sum()
        revenue = judged[blend].revenue.sum() / judged[ADS_FIRST].revenue.sum()
        ads = judged[blend].ads.mean()
        print(f"{blend.floor:22} {blend.scale:6,} {kept:10.4f} {revenue:13.4f} {ads:5.2f}")
    least = REVENUE * fitted[ADS_FIRST].revenue.sum()
    able = [blend for blend in BLENDS if fitted[blend].revenue.sum() >= least]
    chosen = max(able, key=lambda blend: fitted[blend].ndcg.sum())
    print(
        f"  chosen floor {chosen.floor}, scale {chosen.scale:,}: "
        f"nDCG kept {ratio(judged[chosen].ndcg, judged[ORGANIC].ndcg)}, "
        f"revenue kept {ratio(judged[chosen].revenue, judged[ADS_FIRST].revenue)}",
        flush=True,
    )


def measure(
    shelves: list[Shelf],
    expected: tuple[np.ndarray, np.ndarray],
    price_rule: PriceRule,
    blend: Blend,
    draws: int,
) -> Measures:
    """Return what pages are like; the draws are the same for all blends."""
    rows = []
    for number, shelf in enumerate(shelves):
        random = Random(number)
        each = [one_page(random, shelf, expected, price_rule, blend) for _ in range(draws)]
        rows.append(np.mean(each, axis=0))
    return Measures(*np.array(rows).T)


def one_page(
    random: Random,
    shelf: Shelf,
    expected: tuple[np.ndarray, np.ndarray],
    price_rule: PriceRule,
    blend: Blend,
) -> tuple[float, float, float]:
    """Return nDCG, revenue and the number of ads of one page."""
    gains = np.interp(shelf.cosines, *expected)
    tie = 1e-6 * np.arange(len(gains), 0, -1)  # equal expected gains in the order of cosines
    given = Auction(
        placement="search",
        exposure_ppm=EXPOSURE,
        organic=tuple(
            Organic(product=f"p{i}", value_micros=round(1_000 * blend.scale * float(gain)))
            for i, gain in enumerate(gains + tie)
        ),
        sponsored=drawn_campaigns(random, gains),
        rules=Rules(price_rule=price_rule, relevance_floor=blend.floor, ad_load=blend.ad_load),
        random_number=random.getrandbits(64),
    )
    outcome = run(given)
    ads = sum(one.campaign is not None for one in outcome.page)
    return ndcg(outcome, shelf.gains), revenue(given, outcome), ads


def drawn_campaigns(random: Random, gains: np.ndarray) -> tuple[Sponsored, ...]:
    """Draw a campaign for a quarter of the products; each draw has the same bids at all scales."""
    return tuple(
        Sponsored(
            campaign=f"c{i}",
            product=f"p{i}",
            advertiser=f"a{random.randrange(12)}",
            pricing=Pricing.CPC,
            bid_micros=round(300_000 * random.lognormvariate(0, 0.6)),
            probability=0.005 + 0.03 * float(gain),
            relevance=float(gain),
        )
        for i, gain in enumerate(gains)
        if random.random() < SPONSORED
    )


def ndcg(outcome: Outcome, gains: np.ndarray) -> float:
    """Return the nDCG of a page against the best page."""
    discounts = 1 / np.log2(np.arange(2, len(gains) + 2))[:POSITIONS]
    shown = gains[[int(one.product[1:]) for one in outcome.page]]
    best = np.sort(gains)[::-1][:POSITIONS]
    return float(shown @ discounts[: len(shown)] / (best @ discounts[: len(best)]))


def revenue(given: Auction, outcome: Outcome) -> float:
    """Return what a page is expected to bring in, in micros an impression."""
    chance = {one.campaign: one.probability for one in given.sponsored}
    return sum(
        (one.price_micros or 0) * chance[one.campaign] * EXPOSURE[one.position - 1] / 1e6
        for one in outcome.page
        if one.campaign is not None
    )


def ratio(part: np.ndarray, whole: np.ndarray) -> str:
    """Return the ratio of two sums over queries, with its 95 % interval by bootstrap."""
    drawn = np.random.default_rng(0).integers(0, len(part), (2_000, len(part)))
    low, high = np.quantile(part[drawn].sum(axis=1) / whole[drawn].sum(axis=1), (0.025, 0.975))
    return f"{part.sum() / whole.sum():.4f} ({low:.4f}-{high:.4f})"


if __name__ == "__main__":
    run_benchmark(main)
