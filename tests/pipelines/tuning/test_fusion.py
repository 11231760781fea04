"""Weights of search channels, chosen by judged queries and measured on others."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from pipelines.config.loading import load
from pipelines.engine.engine import Engine
from pipelines.errors import TuningError
from pipelines.evaluation.trec_files import read_judgments
from pipelines.metrics.ranked_lists import ndcg_of_list
from pipelines.progress import silent
from pipelines.tuning.fusion import FusionTuning, _choice, tune_fusion, write_lines
from retrieval import Query, Stage
from tests.conftest import BRANDS, KINDS, NUM_PRODUCTS


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Forty searches of a brand's kind; right are its products of that kind."""
    folder = tmp_path_factory.mktemp("judged")
    titles = [(BRANDS[i % 4], KINDS[i % 6]) for i in range(NUM_PRODUCTS)]
    asked = [(brand, kind, copy) for brand in BRANDS for kind in KINDS for copy in ("", "good ")]
    with (folder / "requests.jsonl").open("wb") as requests, (folder / "qrels").open("w") as qrels:
        for number, (brand, kind, copy) in enumerate(asked):
            right = [i for i, title in enumerate(titles[:47]) if title == (brand, kind)]
            line = {"id": f"q{number}", "text": f"{copy}{kind} {brand}"}
            requests.write(msgspec.json.encode(line) + b"\n")
            qrels.writelines(f"q{number} 0 p{i} 1\n" for i in right)
        requests.write(b'{"id": "unjudged", "text": "oat"}\n')
    return folder / "requests.jsonl", folder / "qrels"


@pytest.fixture(scope="module")
def tuned(real_engine: Engine, judged: tuple[Path, Path]) -> FusionTuning:
    return tune_fusion(real_engine.probe, *judged, seed=0, track=silent)


def test_the_figure_before_is_that_of_the_release_itself(
    tuned: FusionTuning, real_engine: Engine, judged: tuple[Path, Path]
) -> None:
    requests, qrels = judged
    gains = read_judgments(qrels)
    lines = map(msgspec.json.decode, requests.read_bytes().splitlines())

    values = [
        ndcg_of_list(_answer(real_engine, line["text"]), gains[line["id"]], 10)
        for line in lines
        if line["id"] in gains
    ]

    # What fits equally well is served by popularity, which fusion does not know.
    assert tuned.before.mean == pytest.approx(np.mean(values), abs=2e-3)
    assert tuned.num_queries == len(values)


def test_what_is_not_judged_does_not_count_and_is_told(tuned: FusionTuning) -> None:
    assert tuned.skipped >= 1
    assert "do not count" in tuned.table()


def test_the_same_seed_gives_the_same_answer(
    tuned: FusionTuning, real_engine: Engine, judged: tuple[Path, Path]
) -> None:
    assert tune_fusion(real_engine.probe, *judged, seed=0, track=silent) == tuned


def test_what_is_written_is_a_configuration(tuned: FusionTuning, tmp_path: Path) -> None:
    write_lines(tuned, tmp_path / "fusion.yaml")

    settings = load(tmp_path / "fusion.yaml").retrieval

    weights = msgspec.to_builtins(settings.weights)
    assert settings.fusion == tuned.best.fusion
    assert max(weights[name] for name in tuned.channels) == 1


def test_no_setting_is_better_on_all_queries_than_the_best(tuned: FusionTuning) -> None:
    assert tuned.after.mean <= 1
    assert tuned.difference.low <= tuned.difference.mean <= tuned.difference.high


def test_a_channel_that_knows_nothing_gets_no_weight(
    real_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judged: tuple[Path, Path]
) -> None:
    told = real_engine.probe.channel_scores

    def spoilt(query: Query) -> object:
        """One channel is right by the words, the other says the opposite of it."""
        found = told(query)
        right = found.scores["lexical"]
        opposite = (right.max() + 1 - right).astype(np.float32)
        return found._replace(
            scores={"lexical": right, "towers": opposite},
            positions={"lexical": found.positions["lexical"], "towers": _positions(opposite)},
        )

    monkeypatch.setattr(real_engine.probe, "channel_scores", spoilt)

    found = tune_fusion(real_engine.probe, *judged, seed=1, track=silent)

    weights = dict(zip(found.channels, found.best.weights, strict=True))
    assert weights["lexical"] > weights["towers"]
    assert found.after.mean >= found.before.mean


def test_too_few_judged_searches_are_refused(
    real_engine: Engine, judged: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "few.jsonl").write_bytes(b'{"id": "q1", "text": "oat"}\n')

    with pytest.raises(TuningError, match=r"1 lines of .* at least 20 are needed"):
        tune_fusion(real_engine.probe, tmp_path / "few.jsonl", judged[1], seed=0, track=silent)


def test_a_line_that_is_no_request_is_refused_by_its_number(
    real_engine: Engine, judged: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "bad.jsonl").write_bytes(b'{"id": "q1", "text": "oat"}\n{"id": 3, "q": 1}\n')

    with pytest.raises(TuningError, match="line 2: "):
        tune_fusion(real_engine.probe, tmp_path / "bad.jsonl", judged[1], seed=0, track=silent)


def _answer(engine: Engine, text: str) -> list[str]:
    slate = engine.answer(Query(text=text, k=100, deadline_ms=60_000), Stage.RETRIEVAL)
    return [placed.product.id for placed in slate.products]


def _positions(scores: np.ndarray) -> np.ndarray:
    positions = np.empty(len(scores), np.int32)
    positions[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return positions


def test_what_is_better_by_luck_alone_is_not_chosen() -> None:
    given = np.tile([0.5, 0.6], 50)
    lucky = given.copy()
    lucky[0] += 0.3  # one query of a hundred
    better = given + np.tile([0.1, 0.0], 50)

    assert _choice(np.stack([given, lucky])) == 0
    assert _choice(np.stack([given, lucky, better])) == 2
