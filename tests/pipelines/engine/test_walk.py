"""The path of one request: each stage is entered once, by the engine, and none calls it back."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

import pipelines
from pipelines.engine import engine as engine_module
from pipelines.engine.engine import Engine
from pipelines.engine.ladder.answers import LadderAnswers
from pipelines.engine.lists.list_answers import ListAnswers
from pipelines.engine.stages.ranking import RankingStage
from retrieval import Query, Scene, Stage
from retrieval.types import Collapse, Facet
from tests.conftest import UNTIL

ROOT = Path(pipelines.__file__).parents[1]
OURS = tuple(str(ROOT / name) for name in ("index", "retrieval", "ranking", "pipelines"))
ENGINE = str(Path(engine_module.__file__))
SEARCH: dict[str, Any] = {"text": "oat milk", "user": "u3", "explain": True}
LIST: dict[str, Any] = {**SEARCH, "facets": (Facet(field="price"),), "cursor": "*"}
STAGES = [
    ("eligibility.py", "of"),
    ("request_encoding.py", "encode"),
    ("retrieval.py", "retrieve"),
    ("ranking.py", "rank"),
    ("composition.py", "compose"),
]
LADDER = (LadderAnswers._by_models, LadderAnswers._filtered, LadderAnswers._composed)
Walk = list[tuple[CodeType | None, CodeType]]  # who of us called whom of us, in order


def walk(act: Callable[[], object]) -> Walk:
    """Return every call of one function of ours by another, libraries between them left out."""
    steps: Walk = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(OURS):
            steps.append((_caller(frame.f_back), frame.f_code))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(before)
    return steps


def _caller(frame: FrameType | None) -> CodeType | None:
    while frame is not None and not frame.f_code.co_filename.startswith(OURS):
        frame = frame.f_back
    return None if frame is None else frame.f_code


def called_by(caller: CodeType, steps: Walk) -> list[tuple[str, str]]:
    """Return the file and name of each stage's function that a function called, in order."""
    files = {file for file, _ in STAGES}
    calls = [
        (Path(code.co_filename).name, code.co_name) for calling, code in steps if calling is caller
    ]
    return [call for call in calls if call[0] in files]


def called_by_any(methods: Iterable[Any], steps: Walk) -> list[tuple[str, str]]:
    """Return the same for functions of which one calls the other."""
    inside = {method.__code__ for method in methods}
    first = next(iter(inside))
    return called_by(first, [(first, code) for caller, code in steps if caller in inside])


def at_end(**asked: Any) -> Query:
    return Query(scene=Scene(at=UNTIL), deadline_ms=60_000, **asked)


@pytest.mark.parametrize("asked", [SEARCH, {"user": "u3", "explain": True}])
def test_an_answer_enters_filter_encode_retrieve_rank_and_compose_once_each_in_this_order(
    real_engine: Engine, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RankingStage, "ranks", lambda *_: True)  # whether or not that was better
    slates = []

    steps = walk(lambda: slates.append(real_engine.answer(at_end(**asked))))

    assert [slate.stage for slate in slates] == [Stage.RANKING]
    assert called_by_any(LADDER, steps) == STAGES


def test_a_list_enters_the_same_stages_in_the_same_order(real_engine: Engine) -> None:
    query = at_end(**LIST, collapse=Collapse(field="brand"), filter="price < 33")
    methods = (ListAnswers.answer, ListAnswers._list, ListAnswers._ranked)

    steps = walk(lambda: real_engine.answer(query))

    whole = [(file, "retrieve_all" if name == "retrieve" else name) for file, name in STAGES]
    assert called_by_any(methods, steps) == whole


@pytest.mark.parametrize("asked", [SEARCH, LIST, {"user": "u3"}, {"candidates": ("p1", "p2")}])
def test_no_stage_calls_the_engine_back(real_engine: Engine, asked: dict[str, Any]) -> None:
    steps = walk(lambda: real_engine.answer(at_end(**asked)))

    entered = [code.co_name for _, code in steps if code.co_filename == ENGINE]

    assert len(steps) > 50
    assert entered == ["answer"]
