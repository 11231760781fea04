"""Policies and rankers learnt from logged impressions, judged on the impressions of another policy.

    python -m benchmarks impressions --data DATA

DATA holds open_bandit/log.parquet and open_bandit/item_context.parquet (Open Bandit Dataset): in a
week of 2019 the three places of a banner of a fashion shop were filled from 34 products for men or
46 for women, for some shoppers by chance (`random`), for others by Bernoulli Thompson sampling
(`bts`). An impression is one product at one place, with the chance that it had there.

Every policy learns from the first four days of one log, and shows its three best products, each as
likely. What it would earn is estimated from the last three days: of the other log and, where it
learnt from `random`, of that one too. The model inside the doubly robust estimate is the click rate
of product and place in what was learnt from. Nothing was chosen by looking at the last three days.

The ranker takes what a shop would give it: a vector for a product (its features, and which it is),
how often this shopper clicked each product, traits, place, hour and weekday. It learns as in a
build, from lists with a click only, each of all products of the campaign; the last of the four days
chooses the epoch.

Nothing is seen to beat the log's own policy: there are 207 clicks in 40,000 impressions, 48 of them
in the days that judge on either side, and even the two policies that filled the banner cannot be
told apart.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from benchmarks.machine import run_benchmark
from benchmarks.ranking.banner_policies import Learn, Policy, by_place, policies
from benchmarks.ranking.open_bandit import PLACES, Log, Shop, read
from pipelines.config.loading import load
from pipelines.metrics.intervals import Interval, interval_of, mean_interval, resampled_means
from pipelines.metrics.off_policy import doubly_robust_terms, importance, values
from pipelines.training.ranker.setup import training_settings
from ranking.slate.position_bias import examination

LEARNT_DAYS = 4  # of seven
JUDGED_ON = {"bts": ("random",), "random": ("bts", "random")}  # by the log that is learnt from
EPOCHS, PATIENCE = 30, 5  # instead of 3 and 2: with so few clicks an epoch is four steps
POPULAR = "click rate of the product"
HEADERS = (
    "learnt from",
    "judged on",
    "policy",
    "effective impressions",
    "IPS",
    "SNIPS",
    "doubly robust",
    "against the log",
    "against the click rate of the product",
)

Row = tuple[str, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--set", action="append", default=[], help="an override of the defaults")
    given = parser.parse_args()
    torch.set_num_threads(1)
    how = training_settings(load(None, given.set))._replace(epochs=EPOCHS, patience=PATIENCE)
    shop, logs = read(given.data / "open_bandit")
    show(("log", "days", "impressions", "clicks", "clicks of 1,000"), earned(logs))
    show(("place", "clicks of 1,000", "against the first", *map(found_from, logs)), looks(logs))
    show(HEADERS, all_judged(shop, logs, policies(how)))


def show(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table as Markdown."""
    print()
    for row in chain((headers, ["---"] * len(headers)), rows):
        print(f"| {' | '.join(row)} |", flush=True)


# What the logs say by themselves


def earned(logs: Mapping[str, Log]) -> Iterator[Row]:
    """Yield what each policy earned while it ran, and how far apart the two are."""
    for days, first in (("all", 0), ("the last three", LEARNT_DAYS)):
        parts = {name: log.of(log.days >= first) for name, log in logs.items()}
        for name, part in parts.items():
            [rate] = mean_interval(part.clicks[:, None])
            yield (name, days, f"{len(part.clicks):,}", f"{part.clicks.sum():.0f}", thousand(rate))
        bts, random = (parts[name].clicks[:, None] for name in ("bts", "random"))
        drawn = resampled_means(bts, seed=0) - resampled_means(random, seed=1)
        ahead = interval_of(float(bts.mean() - random.mean()), drawn[:, 0])
        yield ("bts against random", days, "", "", difference(ahead))


def looks(logs: Mapping[str, Log]) -> Iterator[Row]:
    """Yield how often each place is clicked where chance fills it, and what we make of each log.

    Chance shows every product as often at each place, so that there the rates are as the looks.
    """
    log = logs["random"]
    at = (log.places[:, None] == np.arange(1, PLACES + 1)).astype(float)
    drawn = resampled_means(np.concatenate([at, at * log.clicks[:, None]], axis=1))
    rates = drawn[:, PLACES:] / drawn[:, :PLACES]
    found = [examination(one.products, one.places, one.clicks > 0) for one in logs.values()]
    for place in range(PLACES):
        clicked = log.clicks[log.places == place + 1].mean()
        first = log.clicks[log.places == 1].mean()
        ratio = interval_of(clicked / first, rates[:, place] / rates[:, 0])
        yield (
            str(place + 1),
            thousand(interval_of(clicked, rates[:, place])),
            "" if place == 0 else f"{ratio.mean:.2f} ({ratio.low:.2f} to {ratio.high:.2f})",
            *(f"{one[place]:.2f}" for one in found),
        )


def found_from(name: str) -> str:
    return f"found by neighbouring places in {name}"


# What is learnt from them


def all_judged(shop: Shop, logs: Mapping[str, Log], how: Mapping[str, Learn]) -> Iterator[Row]:
    for learnt_from, judged_on in JUDGED_ON.items():
        past = logs[learnt_from].of(logs[learnt_from].days < LEARNT_DAYS)
        learnt = {name: learn(shop, past) for name, learn in how.items()}
        for name in judged_on:
            later = logs[name].of(logs[name].days >= LEARNT_DAYS)
            model = by_place(shop, past)(later)
            for row in judged(learnt, later, model, name):
                yield (learnt_from, name, *row)


def judged(
    learnt: Mapping[str, Policy], log: Log, model: np.ndarray, logged_by: str
) -> Iterator[Row]:
    """Yield what each policy would have earned on this log, and how far it is ahead of others."""
    shown = np.arange(len(log.clicks)), log.products
    given = {name: policy(log) for name, policy in learnt.items()}
    terms = {
        name: (
            log.clicks,
            importance(chances[shown], log.propensities),
            model[shown],
            (chances * model).sum(axis=1),
        )
        for name, chances in given.items()
    }
    robust = {name: doubly_robust_terms(*of_one) for name, of_one in terms.items()}
    for name, of_one in terms.items():
        found = values(*of_one)
        ahead = np.stack([robust[name] - log.clicks, robust[name] - robust[POPULAR]], axis=1)
        against = [
            "" if name == other else difference(each)
            for other, each in zip((logged_by, POPULAR), mean_interval(ahead), strict=True)
        ]
        yield (name, f"{found.effective:,.0f}", *map(thousand, found[:3]), *against)


def thousand(rate: Interval) -> str:
    """Write a click rate as clicks of 1,000 impressions."""
    mean, low, high = (1_000 * each for each in rate)
    return f"{mean:.1f} ({low:.1f} to {high:.1f})"


def difference(ahead: Interval) -> str:
    """Write a difference of click rates, marked where its interval excludes zero."""
    mean, low, high = (1_000 * each for each in ahead)
    mark = " *" if low > 0 or high < 0 else ""
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f}){mark}"


if __name__ == "__main__":
    run_benchmark(main)
