"""What an engine opens lazily: once, when it is first used, and all of it for a server."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

import pytest

from pipelines.engine import storefront
from pipelines.engine.engine import Engine
from pipelines.lazy import Lazy
from pipelines.release.parts import Album, open_album
from retrieval import Query


def test_many_threads_open_a_lazy_value_once() -> None:
    openings: list[object] = []

    def slow() -> object:
        sleep(0.05)
        openings.append(object())
        return openings[-1]

    lazy = Lazy(slow)
    with ThreadPoolExecutor(8) as threads:
        values = list(threads.map(lambda _: lazy.get(), range(8)))

    assert len(openings) == 1
    assert values == openings * 8


def test_a_value_that_cannot_be_opened_is_tried_again() -> None:
    results = iter([OSError("the disk is away"), None])

    def opening() -> None:
        if (fault := next(results)) is not None:
            raise fault

    lazy = Lazy(opening)

    with pytest.raises(OSError, match="the disk is away"):
        lazy.get()
    assert lazy.get() is None


def test_the_album_is_opened_for_the_first_picture_or_before_a_server_is_ready(
    releases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []

    def spy(folder: Path) -> Album:
        opened.append(folder)
        return open_album(folder)

    monkeypatch.setattr(storefront, "open_album", spy)

    engine = Engine.open(releases)
    engine.answer(Query(text="oat milk", deadline_ms=60_000))
    assert opened == []
    assert engine.picture("p9") == engine.picture("p9") != (None, None)
    assert len(opened) == 1

    Engine.open(releases, warm=True)
    assert len(opened) == 2
