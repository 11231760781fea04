"""Engines of one server, one after the other: none misses a change, and none is waited for."""

import gc
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.building.build import build
from pipelines.config.sections import Config
from pipelines.engine.engine import Engine
from pipelines.errors import ReleaseError
from pipelines.live.changes import Change, Delete, Upsert
from pipelines.progress import silent
from pipelines.release.store import CURRENT, current, point_current
from pipelines.serving import hot_swap
from pipelines.serving.hot_swap import RARE_SECONDS, SETTLE_SECONDS, SOON_SECONDS, EngineReloader
from retrieval import Product, Query, Stage
from tests.assertions import every
from tests.conftest import UNTIL

RELISH = Product(id="new1", title="Purple zucchini relish", price=3.0)


@pytest.fixture(scope="module")
def both(
    releases: Path, shop: Path, config: Config, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Two releases of one shop, of which the first is current."""
    folder = tmp_path_factory.mktemp("both") / "releases"
    shutil.copytree(releases, folder)
    first = current(folder)
    build(shop, folder, config, UNTIL, silent)
    (folder.parent / "second").write_text(current(folder))
    point_current(folder, first)
    return folder


@pytest.fixture
def server(both: Path, tmp_path: Path) -> Iterator[EngineReloader]:
    before = current(both)
    server = EngineReloader(both, live=tmp_path / "live")
    yield server
    server.close()
    point_current(both, before)


class Clock:
    """The clock of a reloader: it stands still between the looks."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def look(self, server: EngineReloader) -> None:
        """Look once more, when the next look is due."""
        self.seconds += server.next_look(2.0)
        assert server.open_next() is None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(hot_swap, "monotonic", clock)
    return clock


def switch(both: Path) -> str:
    second = (both.parent / "second").read_text()
    point_current(both, second)
    return second


def make(engine: Engine, *changes: Change) -> None:
    assert every(isinstance(outcome, int) for outcome in engine.change(changes).result())


def knows(engine: Engine, name: str = "new1") -> bool:
    query = Query(candidates=(name,), deadline_ms=60_000)
    return bool(engine.answer(query, Stage.RETRIEVAL).products)


def test_while_the_same_release_is_current_nothing_is_opened(server: EngineReloader) -> None:
    server.open_first()

    assert server.open_next() is None


def test_the_next_engine_knows_what_came_before_it_and_what_came_while_it_was_opened(
    server: EngineReloader, both: Path
) -> None:
    first = server.open_first()
    make(first, Upsert(product=RELISH))
    second = switch(both)

    engine = server.open_next()

    assert engine is not None
    assert engine.release == second != first.release
    assert knows(engine)
    make(first, Delete(id="new1"))  # a request that came to the engine before
    assert not knows(first)
    assert not knows(engine)


def test_once_it_answers_the_one_before_hears_of_no_more_changes(
    server: EngineReloader, both: Path
) -> None:
    first = server.open_first()
    switch(both)
    engine = server.open_next()
    assert engine is not None
    server.promote(engine)

    make(engine, Upsert(product=RELISH))

    assert knows(engine)
    assert not knows(first)
    assert server.open_next() is None


def test_collections_leave_out_what_a_server_brings(server: EngineReloader) -> None:
    server.open_first()

    assert gc.get_freeze_count() > 10 * len(gc.get_objects())


def test_the_release_before_is_let_go_at_the_next_look(server: EngineReloader, both: Path) -> None:
    products = weakref.ref(server.open_first()._base.parts.products)
    switch(both)
    engine = server.open_next()
    assert engine is not None
    server.promote(engine)
    gc.freeze()  # as if no collection came by itself

    assert server.open_next() is None

    assert products() is None


def test_a_release_that_still_answers_at_the_next_look_is_let_go_at_a_later_one(
    server: EngineReloader, both: Path
) -> None:
    answering = [server.open_first()]
    before = weakref.ref(answering[0])
    first = current(both)
    switch(both)
    engine = server.open_next()
    assert engine is not None
    server.promote(engine)
    assert not server.settle()
    point_current(both, first)

    assert server.open_next() is None  # it would be the third in memory
    answering.clear()
    third = server.open_next()

    assert before() is None
    assert third is not None
    assert third.release == first


def test_all_objects_are_collected_when_answers_have_ended_and_rarely_while_a_fault_holds_them(
    server: EngineReloader, both: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    collected = list[float]()
    answering = [server.open_first()]
    switch(both)
    engine = server.open_next()
    assert engine is not None
    server.promote(engine)
    monkeypatch.setattr(hot_swap, "collect_and_freeze", lambda: collected.append(clock()))

    while clock() < SETTLE_SECONDS + 2.5 * RARE_SECONDS:
        clock.look(server)
    answering.clear()
    clock.look(server)
    ended = clock()
    clock.look(server)

    rare = [SETTLE_SECONDS + number * RARE_SECONDS for number in range(3)]
    assert collected == pytest.approx([*rare, ended], abs=2.0)


def test_an_answer_that_an_error_holds_in_a_cycle_delays_no_switch(
    server: EngineReloader, both: Path, clock: Clock
) -> None:
    before = weakref.ref(answering := server.open_first())
    switch(both)
    engine = server.open_next()
    assert engine is not None
    error = [answering]
    error.append(error)  # type: ignore[arg-type]
    del answering, error
    server.promote(engine)

    clock.look(server)

    assert before() is None
    assert server.next_look(2.0) == 2.0


def test_looks_are_soon_until_the_release_before_has_left_memory(
    server: EngineReloader, both: Path, clock: Clock
) -> None:
    answering = [server.open_first()]
    assert server.next_look(2.0) == 2.0
    switch(both)
    engine = server.open_next()
    assert engine is not None
    server.promote(engine)

    clock.look(server)
    assert server.next_look(2.0) == SOON_SECONDS
    answering.clear()
    clock.look(server)

    assert server.next_look(2.0) == 2.0
    assert server.next_look(0.05) == 0.05


def test_a_release_that_a_fault_kept_for_long_is_let_go_when_the_fault_ends(
    server: EngineReloader, both: Path, clock: Clock
) -> None:
    kept = [server.open_first()]
    before = weakref.ref(kept[0]._base.parts.products)
    switch(both)
    engine = server.open_next()
    assert engine is not None
    server.promote(engine)
    clock.seconds = SETTLE_SECONDS
    assert server.settle()
    kept.clear()
    gc.freeze()  # as if no collection came by itself

    assert server.open_next() is None

    assert before() is None


def test_a_release_that_stays_in_memory_is_told_of_and_holds_up_no_other(
    server: EngineReloader, both: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    first = server.open_first()
    switch(both)
    engine = server.open_next()
    assert engine is not None
    server.promote(engine)
    point_current(both, first.release)
    clock.look(server)
    clock.seconds += SETTLE_SECONDS

    third = server.open_next()

    assert third is not None
    assert f"release {first.release} is still in memory" in caplog.text


def test_a_release_that_cannot_be_opened_is_told_of_once(
    server: EngineReloader, both: Path
) -> None:
    first = server.open_first()
    second = both / switch(both)
    part = next((second / "vectors").iterdir())
    part.rename(both / "hidden")
    try:
        with pytest.raises(ReleaseError, match=second.name):
            server.open_next()
        assert server.open_next() is None
    finally:
        (both / "hidden").rename(part)

    make(first, Upsert(product=RELISH))
    assert knows(first)
    assert server.open_next() is None
    point_current(both, second.name)
    mended = server.open_next()
    assert mended is not None
    assert mended.release == second.name


def test_what_fails_for_a_reason_of_the_machine_is_tried_again_after_a_pause(
    server: EngineReloader, both: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.open_first()
    second = switch(both)
    with monkeypatch.context() as full:
        full.setattr(Engine, "open", no_memory)
        with pytest.raises(MemoryError):
            server.open_next()

    assert server.open_next() is None
    monkeypatch.setattr(hot_swap, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(server, "_retry_at", 0.0)
    engine = server.open_next()

    assert engine is not None
    assert engine.release == second


def no_memory(*_: object, **__: object) -> Engine:
    raise MemoryError


def test_a_broken_current_is_told_of_once_and_followed_again_when_it_is_whole(
    server: EngineReloader, both: Path
) -> None:
    server.open_first()
    (both / CURRENT).write_text("nobody")

    with pytest.raises(ReleaseError, match="nobody"):
        server.open_next()
    assert server.open_next() is None
    second = switch(both)

    engine = server.open_next()
    assert engine is not None
    assert engine.release == second
