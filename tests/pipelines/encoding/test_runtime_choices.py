import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from time import sleep
from typing import Any

import msgspec
import numpy as np
import pytest

import pipelines.encoding.runtime_choices as runtime_choices
from pipelines.encoding.runtime_choices import (
    PROBES,
    answers_as_chosen,
    checked_once,
    choose_once,
    locked_entry,
    machine,
    prune,
    save_probes,
)
from retrieval.encoders.networks.runtimes import RECORD, RuntimeChoice, in_torch, read_record

MODEL = "m" * 32


class Constant:
    """An encoder that gives every text one vector."""

    def __init__(self, *numbers: float) -> None:
        self.numbers = numbers

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return np.tile(np.float32(self.numbers), (len(texts), 1))


def in_torch_measured(encoder: Any = "encoder") -> RuntimeChoice[Any]:
    chosen = in_torch(encoder, MODEL)
    record = msgspec.structs.replace(chosen.record, per_second={"torch": 1.0})
    return replace(chosen, record=record)


def reopened(folder: Path) -> RuntimeChoice[Any]:
    return RuntimeChoice("encoder", read_record(folder, MODEL))


def chosen_in(folder: Path, calls: list[str], seconds: float = 0.0) -> RuntimeChoice[Any]:
    def choose(wanted: str) -> RuntimeChoice[Any]:
        calls.append(wanted)
        sleep(seconds)
        return in_torch_measured()

    return choose_once("auto", folder, choose=choose, reopen=reopened, is_true=lambda *_: True)


def test_a_runtime_is_chosen_once_for_a_machine(tmp_path: Path) -> None:
    calls: list[str] = []

    found = [chosen_in(tmp_path / "deep" / "text", calls) for _ in range(3)]

    assert calls == ["auto"]
    assert {one.record.runtime for one in found} == {"torch"}


def test_those_that_choose_at_the_same_time_wait_for_one_choice(tmp_path: Path) -> None:
    calls: list[str] = []

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: chosen_in(tmp_path / "text", calls, 0.1), range(6)))

    assert calls == ["auto"]
    assert len(found) == 6


@pytest.mark.parametrize("content", [b"", b"{", b'{"runtime": "torch", "model": "another"}'])
def test_a_choice_that_cannot_be_read_or_is_of_another_model_is_made_again(
    tmp_path: Path, content: bytes
) -> None:
    calls: list[str] = []
    chosen_in(tmp_path / "text", calls)
    (tmp_path / "text" / RECORD).write_bytes(content)

    chosen_in(tmp_path / "text", calls)

    assert calls == ["auto", "auto"]
    assert reopened(tmp_path / "text").record.model == MODEL


def test_where_nothing_can_be_written_a_runtime_is_chosen_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    calls: list[str] = []

    for _ in range(2):
        chosen_in(tmp_path / "file" / "text", calls)

    assert calls == ["auto", "auto"]
    assert "no runtime is remembered there" in caplog.text


def test_another_version_of_a_library_or_another_processor_is_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = machine()
    assert machine() == here
    with monkeypatch.context() as patch:
        patch.setattr(runtime_choices, "version", lambda _: "0.0")
        assert machine() != here
    (tmp_path / "cpuinfo").write_text("model name : Another\nflags : avx2\n")
    monkeypatch.setattr(runtime_choices, "CPU_INFO", tmp_path / "cpuinfo")
    assert machine() != here


def test_a_runtime_that_gives_other_vectors_than_when_it_was_chosen_is_found_out(
    tmp_path: Path,
) -> None:
    assert not answers_as_chosen(Constant(1, 0), tmp_path)
    save_probes(Constant(1, 0), tmp_path)

    assert answers_as_chosen(Constant(1, 0), tmp_path)
    assert not answers_as_chosen(Constant(0, 1), tmp_path)
    assert not answers_as_chosen(Constant(1, 0, 0), tmp_path)
    (tmp_path / PROBES).write_bytes(b"torn")
    assert not answers_as_chosen(Constant(1, 0), tmp_path)


def test_texts_that_passed_a_check_are_not_checked_again(tmp_path: Path) -> None:
    answers = iter([False, True, True])

    found = [checked_once(tmp_path, ["tea"], lambda: next(answers)) for _ in range(4)]
    other = checked_once(tmp_path, ["milk"], lambda: next(answers))

    assert found == [False, True, True, True]
    assert other
    assert next(answers, None) is None


def remembered(folder: Path) -> set[str]:
    return {record.parent.name for record in folder.glob(f"*/*/{RECORD}")}


def test_the_choices_that_were_not_used_for_longest_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VETRINA_RUNTIMES", str(tmp_path))
    monkeypatch.setattr(runtime_choices, "MOST_CHOICES", 3)
    entries = [tmp_path / ("old" if i < 2 else "new") / f"text-{i}-auto" for i in range(6)]
    for age, entry in enumerate(reversed(entries)):
        chosen_in(entry, [])
        os.utime(entry, (1_000 - age, 1_000 - age))
    (tmp_path / "new" / "no choice").mkdir()
    chosen_in(entries[0], [])  # used now

    with locked_entry(entries[1]):
        prune()

    assert remembered(tmp_path) == {f"text-{i}-auto" for i in (0, 1, 4, 5)}
    prune()
    assert remembered(tmp_path) == {f"text-{i}-auto" for i in (0, 4, 5)}
    assert (tmp_path / "new" / "no choice").is_dir()


def test_the_engine_is_imported_without_torch_and_without_the_library_of_the_model() -> None:
    code = (
        "import sys, pipelines.engine.engine; "
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
