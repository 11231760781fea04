"""A study on the small shop: what it tries, what it reports, and how it goes on."""

import csv
import fcntl
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pipelines.building.build import build
from pipelines.config.loading import load
from pipelines.config.sections import Config, not_hidden
from pipelines.engine.engine import Engine
from pipelines.errors import ConfigError, TrainingError, TuningError
from pipelines.evaluation.next_basket import Holdout, hold_out
from pipelines.progress import silent
from pipelines.release.parts import open_parts
from pipelines.release.store import open_release
from pipelines.shop.reader import Shop
from pipelines.tuning.objective import chunks, judge, read_measure, split_shoppers
from pipelines.tuning.ranges import Span, name_of
from pipelines.tuning.report import TuningReport, report
from pipelines.tuning.study import FinishedTrial, Study, TrialOutcome
from pipelines.tuning.trial_builds import RANKING, RETRIEVAL, TrialBuilder
from pipelines.tuning.tune import Budget, TuningJob, tune
from tests.assertions import every
from tests.conftest import UNTIL

RANGES = """
behaviour.ease_lambda: {low: 1, high: 1000, log: true}
retrieval.half_life_days: {low: 5, high: 200, step: 5}
retrieval.weights.together: {low: 0, high: 3}
behaviour.ease_neighbours: {low: 2, high: 20}
retrieval.channels: [[repeat, trending], [repeat, ease, together]]
"""
IN_TORCH = "encoders.text.runtime=torch"  # nothing to compile for each study
CONFIG = load(None, [IN_TORCH, "ranking.train=false", "retrieval.fit_weights=false"])
NDCG = read_measure("ndcg@20")
TRIALS = 14


class Studied(msgspec.Struct):
    """A study, where it is, and what was said while it ran."""

    report: TuningReport
    out: Path
    said: list[str]


def study(  # noqa: PLR0913
    shop: Path,
    out: Path,
    *,
    trials: int = TRIALS,
    config: Config = CONFIG,
    ranges: str = RANGES,
    measure: str = "ndcg@20",
    say: Callable[[str], None] | None = None,
) -> Studied:
    file = out.with_name(f"{out.name}.yaml")
    file.write_text(ranges)
    said: list[str] = []
    job = TuningJob(shop, file, out, config, UNTIL, read_measure(measure))
    found = tune(job, Budget(trials), track=silent, say=say or said.append)
    return Studied(found, out, said)


@pytest.fixture(scope="module")
def studied(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Studied:
    """Fourteen trials. Read it, never write to it."""
    return study(shop, tmp_path_factory.mktemp("tune") / "out")


def of(tried: Sequence[FinishedTrial]) -> list[tuple[Any, ...]]:
    """Return what two equal studies have in common: all but the time they took."""
    return [
        (t.number, t.state, t.value, msgspec.structs.replace(t.outcome, seconds=0)) for t in tried
    ]


@pytest.fixture(scope="module")
def held(shop: Path, releases: Path) -> Holdout:
    products = open_parts(open_release(releases).path).products
    return hold_out(Shop(shop), products, products.allowed(not_hidden(CONFIG)), UNTIL)


def test_trial_0_is_the_configuration_as_given_even_outside_the_ranges(studied: Studied) -> None:
    first = studied.report.tried[0]

    assert first.outcome.settings == {
        "behaviour.ease_lambda": 200.0,
        "retrieval.half_life_days": 60.0,
        "retrieval.weights.together": 0.2,
        "behaviour.ease_neighbours": 200,
        "retrieval.channels": list(CONFIG.retrieval.channels),
    }
    assert first.state == "complete"


def test_the_other_trials_stay_inside_the_ranges(studied: Studied) -> None:
    tried = [t.outcome.settings for t in studied.report.tried[1:]]

    assert every(1 <= s["behaviour.ease_lambda"] <= 1000 for s in tried)
    assert every(s["retrieval.half_life_days"] % 5 == 0 for s in tried)
    assert every(isinstance(s["behaviour.ease_neighbours"], int) for s in tried)
    assert every(
        s["retrieval.channels"] in (["repeat", "trending"], ["repeat", "ease", "together"])
        for s in tried
    )


def test_no_two_trials_try_the_same(studied: Studied) -> None:
    tried = {name_of(t.outcome.settings) for t in studied.report.tried}

    assert len(tried) == TRIALS


@pytest.mark.parametrize("which", ["first", "best"])
def test_a_trial_is_worth_what_a_whole_build_of_its_settings_is(
    which: str, shop: Path, studied: Studied, held: Holdout, tmp_path: Path
) -> None:
    found = studied.report
    trial, config = {"first": (found.tried[0], CONFIG), "best": (found.best, found.config)}[which]

    build(shop, tmp_path / "releases", config, UNTIL, silent)
    both = split_shoppers(held)
    engine = Engine.open(tmp_path / "releases")

    assert judge(both.choosing, engine, NDCG).mean() == pytest.approx(trial.value, abs=1e-9)
    assert judge(both.reporting, engine, NDCG) == pytest.approx(trial.outcome.reported)


def test_the_best_is_compared_with_what_was_given_on_shoppers_it_was_not_chosen_by(
    studied: Studied,
) -> None:
    found = studied.report

    before, after = (np.array(t.outcome.reported) for t in (found.tried[0], found.best))
    assert found.best.number > 0
    assert found.compared.shoppers == len(after)
    assert found.compared.difference is not None
    assert found.compared.difference.mean == pytest.approx((after - before).mean())
    assert "difference: " in found.table()


def test_the_best_file_is_the_configuration_of_the_best_trial(studied: Studied) -> None:
    config = load(studied.out / "best.yaml")

    assert config == studied.report.config
    assert (
        config.behaviour.ease_neighbours
        == (studied.report.best.outcome.settings["behaviour.ease_neighbours"])
    )
    assert not config.retrieval.fit_weights


def test_every_trial_is_a_line_of_the_table_and_the_pruned_ones_say_so(studied: Studied) -> None:
    with (studied.out / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    states = [t.state for t in studied.report.tried]
    assert [row["state"] for row in rows] == states
    assert "pruned" in states
    assert f"{states.count('pruned')} given up early" in studied.report.table()
    assert [float(row["value"]) for row in rows] == [t.value for t in studied.report.tried]
    assert rows[0]["behaviour.ease_lambda"] == "200.0"


def test_the_plot_names_the_measure_and_every_key(studied: Studied) -> None:
    drawn = (studied.out / "tuning.svg").read_text()

    words = set(re.findall(r"<text[^>]*>([^<]+)</text>", drawn))
    assert {
        "best so far",
        "as given",
        "ndcg@20",
        "trial",
        *studied.report.best.outcome.settings,
    } <= words


def test_the_journal_is_lines_of_json(studied: Studied) -> None:
    lines = (studied.out / "journal.jsonl").read_bytes().splitlines()

    assert every(isinstance(msgspec.json.decode(line), dict) for line in lines)


def test_nothing_of_the_builds_is_left_but_their_vectors(studied: Studied) -> None:
    left = {path.name for path in studied.out.iterdir() if path.name != ".lock"}

    assert left == {"journal.jsonl", "trials.csv", "best.yaml", "tuning.svg", "embeddings"}


def test_the_seed_decides_what_is_tried(shop: Path, studied: Studied, tmp_path: Path) -> None:
    other = msgspec.structs.replace(CONFIG, seed=1)

    same = study(shop, tmp_path / "same", trials=4)
    different = study(shop, tmp_path / "different", trials=2, config=other)

    assert of(same.report.tried) == of(studied.report.tried[:4])
    assert different.report.tried[1].outcome.settings != studied.report.tried[1].outcome.settings


def test_a_study_that_was_stopped_goes_on_as_if_it_had_not_been(
    shop: Path, studied: Studied, tmp_path: Path
) -> None:
    study(shop, tmp_path / "out", trials=10)

    found = study(shop, tmp_path / "out")

    assert len(found.said) == TRIALS - 10
    assert of(found.report.tried) == of(studied.report.tried)
    assert found.report.compared == studied.report.compared


def test_a_hand_that_stops_it_leaves_what_was_found(
    shop: Path, studied: Studied, tmp_path: Path
) -> None:
    said: list[str] = []

    def stop(line: str) -> None:
        said.append(line)
        if line.startswith("trial 2 "):
            raise KeyboardInterrupt

    found = study(shop, tmp_path / "out", say=stop)

    assert said[-1] == "stopped; the same command goes on from here"
    assert of(found.report.tried) == of(studied.report.tried[:3])
    assert (tmp_path / "out/best.yaml").exists()


def test_settings_that_cannot_be_built_are_told_and_the_study_goes_on(
    shop: Path, tmp_path: Path
) -> None:
    ranges = "encoders.text.model: [all-MiniLM-L6-v2, ./none]\nretrieval.rrf_k: [30, 60, 90]"

    found = study(shop, tmp_path / "out", ranges=ranges, trials=6).report

    failed = [t for t in found.tried if t.state == "failed"]
    assert failed
    assert every(t.outcome.settings["encoders.text.model"] == "./none" for t in failed)
    assert every("there is no such folder" in t.outcome.reason for t in failed)
    assert found.best.state == "complete"


def test_settings_are_tried_once_and_a_spent_range_ends_the_study(
    shop: Path, tmp_path: Path
) -> None:
    found = study(shop, tmp_path / "out", ranges="retrieval.rrf_k: [30, 60]", trials=99).report

    again = [t for t in found.tried if t.outcome.repeats is not None]
    assert len(found.tried) - len(again) == 2
    assert len(found.tried) < 99
    assert every(t.value == found.tried[t.outcome.repeats or 0].value for t in again)


def test_recall_is_of_retrieval_alone_and_trains_no_ranker(shop: Path, tmp_path: Path) -> None:
    on = load(None, [IN_TORCH, "retrieval.fit_weights=false"])

    found = study(shop, tmp_path / "out", config=on, measure="recall@10", trials=2).report

    assert found.config.ranking.train
    with pytest.raises(ConfigError, match=r"ranking\.epochs: no ranker is asked"):
        study(shop, tmp_path / "b", config=on, measure="recall@10", ranges="ranking.epochs: [1]")


@pytest.mark.slow
def test_a_ranker_is_measured_after_what_retrieval_alone_reaches(
    shop: Path, config: Config, held: Holdout, tmp_path: Path
) -> None:
    plain = msgspec.structs.replace(config, encoders=CONFIG.encoders)
    both = split_shoppers(held)

    found = study(shop, tmp_path / "out", config=plain, ranges="ranking.epochs: [1]", trials=1)
    workshop = TrialBuilder(Shop(shop), tmp_path / "w", tmp_path / "e", UNTIL, silent)
    ranked = Engine(workshop.release(plain, RANKING), plain)
    retrieved = Engine(workshop.release(plain, RETRIEVAL), plain)

    journal = (found.out / "journal.jsonl").read_text()
    steps = msgspec.json.decode(re.findall(r'"intermediate_values":(\{.*?\})', journal)[0])
    assert steps["0"] == pytest.approx(judge(both.choosing, retrieved, NDCG).mean())
    assert found.report.tried[0].value == pytest.approx(judge(both.choosing, ranked, NDCG).mean())


def test_every_judged_shopper_is_in_one_half_whatever_their_order(held: Holdout) -> None:
    both, turned = split_shoppers(held), split_shoppers(held._replace(tests=held.tests[::-1]))

    choosing, reporting = ({t.user_id for t in half.tests} for half in both)
    assert choosing.isdisjoint(reporting)
    assert choosing | reporting == {t.user_id for t in held.tests}
    assert both == turned
    assert [t for part in chunks(both.choosing) for t in part.tests] == list(both.choosing.tests)


def test_too_few_shoppers_to_divide_are_refused(held: Holdout) -> None:
    with pytest.raises(TrainingError, match=r"3 shoppers .* 4 are needed in each half"):
        split_shoppers(held._replace(tests=held.tests[:3]))


@pytest.mark.parametrize("text", ["", "ndcg", "ndcg@", "ndcg@0", "ndcg@1001", "mrr@5", "ndcg@1.5"])
def test_a_wrong_measure_says_which_there_are(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected ndcg@K or recall@K with K from 1 to 1,000"):
        read_measure(text)


# Studies without builds: values are made up.
SPAN = {"retrieval.rrf_k": Span(1, 100, False, None, False)}
GIVEN = {"retrieval.rrf_k": 60.0}


def new_study(folder: Path, made_from: str = "a") -> Study:
    return Study(folder / "journal.jsonl", SPAN, {"shop": made_from, "config": {}}, 0)


def fill(made: Study, values: Sequence[float]) -> None:
    for value in values:
        trial = made.next(GIVEN)
        made.hopeless(trial, value)
        made.end(trial, "complete", value, outcome(trial.settings))


def outcome(settings: dict[str, Any]) -> TrialOutcome:
    return TrialOutcome(settings=settings, seconds=1, reported=[0.5, 0.25])


def test_a_trial_below_the_median_of_the_others_is_hopeless(tmp_path: Path) -> None:
    made = new_study(tmp_path)
    fill(made, [0.5, 0.6, 0.7, 0.8])

    better, worse = made.next(GIVEN), 0.64
    assert not made.hopeless(better, 0.66)
    made.end(better, "complete", 0.66, outcome(better.settings))

    assert made.hopeless(made.next(GIVEN), worse)


def test_the_first_of_equal_trials_is_the_best(tmp_path: Path) -> None:
    made = new_study(tmp_path)

    fill(made, [0.5, 0.7, 0.7])

    best = made.best()
    assert best is not None
    assert best.number == 1
    assert not made.would_lead(0.7)
    assert made.would_lead(0.71)


def test_where_every_trial_failed_the_reason_is_told(tmp_path: Path) -> None:
    made = new_study(tmp_path)
    for _ in range(2):
        trial = made.next(GIVEN)
        failed = TrialOutcome(settings=trial.settings, seconds=1, reason="too little memory")
        made.end(trial, "failed", None, failed)

    with pytest.raises(TuningError, match="all 2 trials failed: too little memory"):
        report(made, CONFIG, NDCG)


def test_a_budget_without_a_trial_says_so(tmp_path: Path) -> None:
    with pytest.raises(TuningError, match="no trial was completed"):
        report(new_study(tmp_path), CONFIG, NDCG)


def test_the_journal_of_another_study_is_refused(tmp_path: Path) -> None:
    fill(new_study(tmp_path), [0.5])

    with pytest.raises(
        TuningError, match=r"another study: shop differ \(shop was 'a' and is 'b'\)"
    ):
        new_study(tmp_path, "b")


def cut(text: bytes) -> bytes:
    return text[:-9]


def without_its_question(text: bytes) -> bytes:
    return text.replace(b"made_from", b"made_of")


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut off": (cut, r"journal\.jsonl, line 3: no whole record .* Keep the 2 lines before it"),
    "not JSON": (lambda text: b"\x80\x04K\x01.\n" + text, r"line 1: no whole record"),
    "a list": (lambda text: b"[]\n" + text, "line 1: no whole record"),
    "deep": (lambda text: text + b"[" * 100_000 + b"\n", "line 4: no whole record"),
    "not a number": (lambda text: text + b'{"op_code":NaN}\n', "line 4: no whole record"),
    "an unknown operation": (lambda text: text + b'{"op_code":99}\n', "line 4: no whole record"),
    "an empty record": (lambda text: text + b"{}\n", "line 4: no whole record"),
    "a record twice": (lambda text: text.splitlines()[0] + b"\n" + text, "line 2: no whole"),
    "no question": (without_its_question, "made_from is missing"),
    "another key": (lambda text: text.replace(b'"settings":{"re', b'"settings":{"xx'), "settings"),
    "a word for a time": (lambda text: text.replace(b'"seconds":1', b'"seconds":"x"'), "seconds"),
    "a huge number": (
        lambda text: text.replace(b'"value":0.5', b'"value":1e999'),
        "cannot be read as a study",
    ),
    "no value": (lambda text: text.replace(b'"value":0.5', b'"value":null'), "value"),
    "no such state": (
        lambda text: text.replace(b'"state":1', b'"state":7'),
        "cannot be read as a study",
    ),
    "still running": (
        lambda text: text.replace(b'"state":1', b'"state":0'),
        "cannot be read as a study",
    ),
}


@pytest.mark.parametrize(("damage", "says"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_journal_is_refused_by_name(
    damage: Callable[[bytes], bytes], says: str, tmp_path: Path
) -> None:
    fill(new_study(tmp_path), [0.5])
    journal = tmp_path / "journal.jsonl"
    before = journal.read_bytes()
    journal.write_bytes(damage(before))

    with pytest.raises(TuningError, match=says) as error:
        new_study(tmp_path)

    assert damage(before) != before
    assert str(journal) in str(error.value)
    assert "\n" not in str(error.value)


def test_figures_of_other_shoppers_are_not_compared(tmp_path: Path) -> None:
    made = new_study(tmp_path)
    fill(made, [0.5])
    trial = made.next(GIVEN)
    made.end(
        trial, "complete", 0.9, TrialOutcome(settings=trial.settings, seconds=1, reported=[1.0])
    )

    with pytest.raises(TuningError, match="of 2 shoppers for trial 0 and of 1 for trial 1"):
        report(made, CONFIG, NDCG)


def test_a_folder_of_other_things_is_left_as_it_is(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")

    with pytest.raises(TuningError, match="holds something that no tuning wrote"):
        study(shop, tmp_path / "out")

    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_two_at_once_in_one_folder_are_refused(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with (tmp_path / "out/.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(TuningError, match="another tuning is at work here"):
            study(shop, tmp_path / "out")


def test_a_key_matters_as_much_as_the_values_follow_it(tmp_path: Path) -> None:
    spans = {**SPAN, "behaviour.ease_lambda": Span(1, 100, False, None, False)}
    made = Study(tmp_path / "journal.jsonl", spans, {}, 0)
    for _ in range(40):
        trial = made.next({"retrieval.rrf_k": 60.0, "behaviour.ease_lambda": 60.0})
        value = trial.settings["retrieval.rrf_k"] / 100
        made.end(trial, "complete", value, outcome(trial.settings))

    shares = made.importance()

    assert sum(shares.values()) == pytest.approx(1)
    assert shares["retrieval.rrf_k"] > shares["behaviour.ease_lambda"]
