import json
from pathlib import Path
from threading import Event
from time import monotonic

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from pipelines.cli.main import vetrina
from pipelines.engine.engine import Engine
from pipelines.engine.ranking_log import PATTERN, LoggedRanking, RankLog, decode, encode, files_of
from pipelines.engine.stages.ranking import RankingStage
from pipelines.errors import UserError
from pipelines.evaluation.replay import furthest_of, replay
from pipelines.progress import silent
from retrieval import Query
from retrieval.types import Scene

FEATURES = np.array([[0.1, -2.0], [3.5, 1e-20]], np.float32)
ONE = LoggedRanking(
    "r", Query(user="u"), 7, ["a", "b"], FEATURES, np.array([1.5, -0.25], np.float32)
)


@pytest.fixture
def logged(releases: Path, tmp_path: Path) -> Path:
    log = RankLog(tmp_path / "log")
    engine = Engine.open(releases, watch=log.put)
    for query in (
        Query(user="u3"),
        Query(user="u3", scene=Scene(device="phone")),
        Query(user="nobody", k=3),
        Query(text="milk", user="u4"),
        Query(user="u3", candidates=("p1", "p2", "p3")),
    ):
        engine.answer(query)
    log.close()
    assert log.dropped == 0
    return tmp_path / "log"


def test_what_is_served_is_what_training_computes(logged: Path, releases: Path) -> None:
    found = replay(logged, releases, None, silent)

    assert found.requests >= 4
    assert found.candidates > 20
    assert found.different == {}
    assert found.agrees
    assert found.furthest <= 1e-5


def test_searches_are_replayed_with_the_same_words(
    releases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RankingStage, "ranks", lambda *_: True)  # whether or not that was better
    log = RankLog(tmp_path / "log")
    engine = Engine.open(releases, watch=log.put)
    for text in ("milk", " north rye bread 3 ", "juice without apple, 500 g", "unheard of"):
        engine.answer(Query(text=text, user="u4", deadline_ms=60_000))
    log.close()

    found = replay(tmp_path / "log", releases, None, silent)

    assert found.requests == 4
    assert found.different == {}
    assert found.agrees


def test_a_feature_that_differs_is_named_and_fails_the_command(
    logged: Path, releases: Path
) -> None:
    [file] = logged.glob(PATTERN)
    lines = [decode(line, "here") for line in file.read_bytes().splitlines()]
    lines[0].features[0, 3] += 0.5
    file.write_bytes(b"".join(encode(line) + b"\n" for line in lines))

    said = CliRunner().invoke(vetrina, ["replay", str(logged), "--releases", str(releases)])

    assert said.exit_code == 1
    assert "days_since differs for 1" in said.output


def test_a_line_comes_back_as_it_was() -> None:
    again = decode(encode(ONE), "here")

    assert (again.release, again.query, again.at_seconds, again.ids) == ONE[:4]
    np.testing.assert_array_equal(again.features, ONE.features)
    np.testing.assert_array_equal(again.logits, ONE.logits)


@pytest.mark.parametrize(
    "change",
    [
        {"ids": []},
        {"ids": ["a", "b", "c"]},
        {"logits": "AAAA"},
        {"features": "not base64!"},
        {"more": 1},
        {"query": {"k": -1}},
    ],
)
def test_a_line_that_is_none_is_refused_by_its_place(change: dict[str, object]) -> None:
    line = json.loads(encode(ONE)) | change

    with pytest.raises(UserError, match="log, line 9 is no line of a ranking log"):
        decode(msgspec.json.encode(line), "log, line 9")


def test_a_folder_without_a_log_is_named(tmp_path: Path, releases: Path) -> None:
    with pytest.raises(UserError, match="holds no ranking log"):
        replay(tmp_path, releases, None, silent)


def test_another_release_cannot_agree_with_what_it_never_ranked(
    tmp_path: Path, releases: Path
) -> None:
    (tmp_path / "ranked-000001.jsonl").write_bytes(encode(ONE) + b"\n")

    with pytest.raises(UserError, match="1 of other releases; name one of them with --release"):
        replay(tmp_path, releases, None, silent)


def test_a_logit_that_is_no_number_is_infinitely_far() -> None:
    one, other = np.array([1, np.nan], np.float32), np.array([1, 2], np.float32)

    assert furthest_of(one, other) == np.inf
    assert furthest_of(other, other) == 0


def test_a_log_keeps_as_many_files_as_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.engine.ranking_log.FILE_BYTES", 1)
    log = RankLog(tmp_path)
    for _ in range(10):
        log.put(ONE)
    log.close()

    assert [int(file.stem[-6:]) for file in files_of(tmp_path)] == list(range(3, 11))


def test_files_of_others_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    for name in ("ranked-old.jsonl", "ranked-000002 (copy).jsonl", "ranked-000001.jsonl"):
        (tmp_path / name).write_bytes(b"")
    log = RankLog(tmp_path)

    log.put(ONE)
    log.close()

    assert log.dropped == 0
    assert (tmp_path / "ranked-old.jsonl").read_bytes() == b""
    assert len((tmp_path / "ranked-000001.jsonl").read_bytes().splitlines()) == 1


def test_a_disk_that_hangs_holds_up_neither_answers_nor_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on, began = Event(), monotonic()
    monkeypatch.setattr("pipelines.engine.ranking_log.CLOSING_SECONDS", 0.1)
    monkeypatch.setattr("pipelines.engine.ranking_log.QUEUED", 2)
    monkeypatch.setattr(
        "pipelines.engine.ranking_log.encode", lambda _: b"x" if on.wait(30) else b""
    )
    log = RankLog(tmp_path)

    for _ in range(10):
        log.put(ONE)
    log.close()
    dropped = log.dropped
    on.set()

    assert monotonic() - began < 10
    assert dropped >= 9


def test_a_log_goes_on_in_new_files_and_forgets_the_oldest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.engine.ranking_log.FILE_BYTES", 1)
    monkeypatch.setattr("pipelines.engine.ranking_log.MOST_FILES", 3)
    log = RankLog(tmp_path)
    for _ in range(7):
        log.put(ONE)
    log.close()

    assert [file.name for file in sorted(tmp_path.glob(PATTERN))] == [
        "ranked-000005.jsonl",
        "ranked-000006.jsonl",
        "ranked-000007.jsonl",
    ]
