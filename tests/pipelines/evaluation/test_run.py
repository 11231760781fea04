"""A file of requests against an engine that is two dicts deep."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipelines.evaluation.requests
from pipelines.engine.engine import Engine
from pipelines.errors import RequestError
from pipelines.evaluation.requests import Request, RunError, to_query
from pipelines.evaluation.run import RunReport, falling, run
from pipelines.evaluation.trec_files import read_run
from pipelines.progress import silent
from retrieval import Placed, Product, Query, Slate, Stage

pytestmark = pytest.mark.foreign

PICTURE = b"\x89PNG and so on"


class Shelf:
    """Answers with what is on it, best first; remembers what it was asked."""

    def __init__(self, *ids: str, scores: tuple[float, ...] | None = None) -> None:
        self.ids = ids or ("a", "b", "c")
        self.scores = scores or tuple(1.0 - i / 10 for i in range(len(self.ids)))
        self.asked: list[Query] = []
        self.stages: list[Stage] = []

    def answer(self, query: Query, stage: Stage) -> Slate:
        self.asked.append(query)
        self.stages.append(stage)
        if query.filter == "broken":
            raise RequestError("filter", "cannot be read")
        chosen = [i for i in self.ids if query.candidates is None or i in query.candidates]
        return Slate(
            products=tuple(
                Placed(position=p, product=Product(id=i, title=i), score=s)
                for p, (i, s) in enumerate(
                    zip(chosen[: query.k], self.scores, strict=False), start=1
                )
            ),
            stage=stage,
            release="r",
            missing=tuple(c for c in query.candidates or () if c not in self.ids),
        )


def answered(folder: Path, *lines: Any, engine: Shelf | None = None) -> tuple[RunReport, list[str]]:
    """Run these lines, dicts as JSON and bytes as they are; return the report and the run."""
    requests = folder / "requests.jsonl"
    raw = [x if isinstance(x, bytes) else json.dumps(x).encode() for x in lines]
    requests.write_bytes(b"\n".join(raw) + b"\n")
    report = run(requests, engine or Shelf(), folder / "run.trec", Stage.RANKING, silent)
    return report, (folder / "run.trec").read_text().splitlines()


def test_each_request_becomes_its_lines_best_first(tmp_path: Path) -> None:
    report, lines = answered(tmp_path, {"id": "q1"}, {"id": 2, "text": "milk", "k": 1})

    assert lines == [
        "q1 Q0 a 1 1.0 vetrina",
        "q1 Q0 b 2 0.9 vetrina",
        "q1 Q0 c 3 0.8 vetrina",
        "2 Q0 a 1 1.0 vetrina",
    ]
    assert report == RunReport(2, [], [], {"ranking": 2})


def test_the_engine_is_asked_what_the_line_says(tmp_path: Path) -> None:
    (tmp_path / "look.png").write_bytes(PICTURE)
    shelf = Shelf()

    answered(
        tmp_path,
        {
            "id": "q",
            "text": "oat milk",
            "image": "look.png",
            "user": "1228",
            "at": "2017-11-20T08:30:00",
            "filter": "price < 3",
            "candidates": ["c", "a"],
            "k": 7,
        },
        engine=shelf,
    )

    [query] = shelf.asked
    assert (query.text, query.image, query.user) == ("oat milk", PICTURE, "1228")
    assert query.scene.at == datetime(2017, 11, 20, 8, 30)
    assert (query.filter, query.candidates, query.k) == ("price < 3", ("c", "a"), 7)
    assert query.deadline_ms == 60_000


def test_a_request_that_says_little_asks_for_a_hundred_products(tmp_path: Path) -> None:
    shelf = Shelf()

    answered(tmp_path, {"id": "q", "text": None, "user": None, "k": None}, engine=shelf)

    assert shelf.asked == [Query(k=100, deadline_ms=60_000)]


def test_the_stage_is_handed_on_and_counted(tmp_path: Path) -> None:
    requests = tmp_path / "requests.jsonl"
    requests.write_text('{"id": "q"}')
    shelf = Shelf()

    report = run(requests, shelf, tmp_path / "run", Stage.RETRIEVAL, silent)

    assert shelf.stages == [Stage.RETRIEVAL]
    assert report.stages == {"retrieval": 1}


BAD_LINES = {
    "words": (b"hello", "line: JSON is malformed"),
    "a list": ([], "Expected `object`, got `array`"),
    "cut short": (b'{"id": "x"', "truncated"),
    "not UTF-8": (b'{"id": "\xff"}', "line: is not UTF-8"),
    "no id": ({"text": "milk"}, "missing required field `id`"),
    "an unknown field": ({"id": "x", "query": "milk"}, "unknown field `query`; expected one"),
    "an empty id": ({"id": ""}, "length >= 1"),
    "an id with a space": ({"id": "a b"}, "id: 'a b' holds white space"),
    "an id with a wide space": ({"id": "a\u2003b"}, "white space"),
    "a number for a text": ({"id": "x", "text": 5}, "Expected `str"),
    "a number for a user": ({"id": "x", "user": 1228}, "`$.user`"),
    "k of none": ({"id": "x", "k": 0}, "k: Expected `int` >= 1"),
    "k of too many": ({"id": "x", "k": 1_001}, "k: Expected `int` <= 1000"),
    "a moment that is none": ({"id": "x", "at": "yesterday"}, "'yesterday' is not a moment"),
    "no candidates": ({"id": "x", "candidates": []}, "candidates: holds no product"),
    "a control character": ({"id": "x", "text": "a\u0000b"}, "text: holds the control character"),
    "a refused filter": ({"id": "x", "filter": "broken"}, "filter: cannot be read"),
    "an absent picture": ({"id": "x", "image": "absent.png"}, "No such file"),
    "a folder for a picture": ({"id": "x", "image": "."}, "no file of at most 10,000,000 bytes"),
    "no path": ({"id": "x", "image": ""}, "is not the path of a picture"),
    "a path with a NUL": ({"id": "x", "image": "a\u0000"}, "is not the path of a picture"),
}


@pytest.mark.parametrize(("line", "says"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_line_that_cannot_be_answered_is_named_and_the_others_are_answered(
    tmp_path: Path, line: Any, says: str
) -> None:
    report, lines = answered(tmp_path, {"id": "before", "k": 1}, line, {"id": "after", "k": 1})

    [(number, message)] = report.failures
    assert (number, report.answered) == (2, 2)
    assert says in message
    assert [x.split()[0] for x in lines] == ["before", "after"]


def test_a_picture_of_more_than_ten_megabytes_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(10_000_001)

    report, _ = answered(tmp_path, {"id": "x", "image": "big"})

    assert "at most 10,000,000 bytes, but 10,000,001" in report.failures[0][1]


def test_a_pipe_in_the_place_of_a_picture_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    report, _ = answered(tmp_path, {"id": "x", "image": "pipe"})

    assert "no file" in report.failures[0][1]


def test_blank_lines_are_passed_over_but_counted(tmp_path: Path) -> None:
    report, _ = answered(tmp_path, b"", {"id": "q"}, b"  ", b"nonsense")

    assert [number for number, _ in report.failures] == [4]
    assert report.answered == 1


def test_a_second_use_of_an_id_is_refused_and_names_the_first(tmp_path: Path) -> None:
    report, lines = answered(tmp_path, {"id": "1"}, {"id": 1}, {"id": "2"})

    assert report.failures == [(2, "id: '1' was answered on line 1; ids are unique")]
    assert {x.split()[0] for x in lines} == {"1", "2"}


def test_an_endless_line_is_refused_without_being_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelines.evaluation.requests, "LONGEST_LINE", 100)

    report, lines = answered(tmp_path, {"id": "a"}, b"[" * 1_000, {"id": "b"})

    assert report.failures == [(2, "line: is longer than 100 bytes")]
    assert len(lines) == 6


def test_a_byte_order_mark_does_not_cost_the_first_request(tmp_path: Path) -> None:
    report, _ = answered(tmp_path, b'\xef\xbb\xbf{"id": "q"}')

    assert report.answered == 1


def test_unknown_candidates_are_noted_and_the_rest_is_ranked(tmp_path: Path) -> None:
    report, lines = answered(tmp_path, {"id": "q", "candidates": ["c", "gone", "a"]})

    assert report.notes == [(1, "1 of 3 candidates are not in the release: gone")]
    assert [x.split()[2] for x in lines] == ["a", "c"]


def test_an_answer_without_products_has_no_line_and_is_noted(tmp_path: Path) -> None:
    report, lines = answered(tmp_path, {"id": "q", "candidates": ["gone"]})

    assert lines == []
    assert report.notes[-1] == (1, "no product fits, so the run has no line for it")


def test_a_product_id_with_white_space_is_refused_not_changed(tmp_path: Path) -> None:
    report, _ = answered(tmp_path, {"id": "q"}, engine=Shelf("oat milk"))

    assert "product id: 'oat milk' holds white space" in report.failures[0][1]


@pytest.mark.parametrize("score", [float("nan"), float("inf"), 1e39])
def test_a_score_that_is_not_a_number_fails_its_line(tmp_path: Path, score: float) -> None:
    report, _ = answered(tmp_path, {"id": "q"}, engine=Shelf(scores=(1.0, score, 0.5)))

    assert "the score at position 2" in report.failures[0][1]


@given(st.lists(st.floats(-1e30, 1e30), max_size=60))
def test_scores_fall_strictly_in_64_and_32_bits_and_keep_their_order(scores: list[float]) -> None:
    printed = [str(score) for score in falling(scores)]

    for kind in (np.float64, np.float32):
        assert (np.diff(np.array(printed, kind)) < 0).all()


def test_scores_that_fall_already_are_left_as_they_are() -> None:
    assert falling([3.5, 0.25, 0.0, -1e-3]) == [
        np.float32(score) for score in (3.5, 0.25, 0.0, -1e-3)
    ]


def test_equal_scores_keep_the_order_of_the_page_for_every_reader(tmp_path: Path) -> None:
    ids = [f"p{i}" for i in range(50)]

    answered(tmp_path, {"id": "q"}, engine=Shelf(*ids, scores=(0.0,) * 50))

    assert read_run(tmp_path / "run.trec") == {"q": ids}


class Interrupted(Shelf):
    """Stops on its second request, as a user who presses Ctrl-C."""

    def answer(self, query: Query, stage: Stage) -> Slate:
        if self.asked:
            raise KeyboardInterrupt
        return super().answer(query, stage)


def test_a_stopped_run_leaves_the_former_one_and_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "run.trec").write_text("former")

    with pytest.raises(KeyboardInterrupt):
        answered(tmp_path, {"id": "1"}, {"id": "2"}, engine=Interrupted())

    assert (tmp_path / "run.trec").read_text() == "former"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["requests.jsonl", "run.trec"]


def test_a_file_without_requests_makes_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no request"):
        answered(tmp_path, b" ")

    assert not (tmp_path / "run.trec").exists()


def test_places_that_cannot_be_written_are_named_before_any_work(tmp_path: Path) -> None:
    requests, shelf = tmp_path / "requests.jsonl", Shelf()
    requests.write_text('{"id": "q"}')
    (tmp_path / "file").touch()

    for out, says in (
        (tmp_path, "is not a file"),
        (Path(os.devnull), "is not a file"),
        (requests, "holds the requests"),
        (tmp_path / "file" / "run", "Not a directory; no run was written"),
        (tmp_path / "absent" / "run", "No such file or directory; no run was written"),
    ):
        with pytest.raises(RunError, match=says):
            run(requests, shelf, out, Stage.RANKING, silent)
    assert shelf.asked == []


def test_requests_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"absent\.jsonl: No such file"):
        run(tmp_path / "absent.jsonl", Shelf(), tmp_path / "run", Stage.RANKING, silent)

    assert list(tmp_path.iterdir()) == []


def asked_of_a_release(folder: Path, engine: Engine, stage: Stage, **asked: Any) -> list[list[str]]:
    (folder / "requests.jsonl").write_text(json.dumps({"id": "q", **asked}))
    report = run(folder / "requests.jsonl", engine, folder / "run.trec", stage, silent)
    assert report.failures == []
    return [line.split(" ") for line in (folder / "run.trec").read_text().splitlines()]


def test_a_release_ranks_all_given_candidates(tmp_path: Path, real_engine: Engine) -> None:
    candidates = [f"p{i}" for i in range(0, 40, 3)]

    lines = asked_of_a_release(
        tmp_path, real_engine, Stage.RANKING, user="u2", candidates=candidates
    )

    assert sorted(line[2] for line in lines) == sorted(candidates)
    assert [int(line[3]) for line in lines] == list(range(1, len(candidates) + 1))


def test_a_release_can_be_asked_for_retrieval_alone(tmp_path: Path, real_engine: Engine) -> None:
    asked = {"user": "u2", "at": "2024-03-01", "k": 30}

    ranked = asked_of_a_release(tmp_path, real_engine, Stage.RANKING, **asked)
    retrieved = asked_of_a_release(tmp_path, real_engine, Stage.RETRIEVAL, **asked)

    assert [line[4] for line in ranked] != [line[4] for line in retrieved]


def test_a_release_finds_a_picture_that_lies_beside_the_requests(
    tmp_path: Path, real_engine: Engine
) -> None:
    found = real_engine.picture("p9")
    assert found is not None
    (tmp_path / "p9.jpg").write_bytes(found[0])

    lines = asked_of_a_release(tmp_path, real_engine, Stage.RANKING, image="p9.jpg", k=48)

    assert "p9" in [line[2] for line in lines[:8]]


def test_a_moment_with_an_offset_keeps_it_for_the_engine_to_convert() -> None:
    request = Request(id="q", text="milk", at="2024-05-01T00:30:00-04:00")

    at = to_query(request, Path()).scene.at

    assert at is not None
    assert at == datetime(2024, 5, 1, 4, 30, tzinfo=UTC)
