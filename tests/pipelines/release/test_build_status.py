import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.release.build_status import BuildStatus, clear_drafts, read_status, write_status
from pipelines.release.store import draft


@pytest.fixture
def ended() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_is_written_is_read(tmp_path: Path) -> None:
    status = BuildStatus(releases=(), doing="index")

    write_status(tmp_path / "new", status)

    assert read_status(tmp_path / "new") == status
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["building.json"]


def test_the_next_build_removes_what_a_killed_writer_left(tmp_path: Path, ended: int) -> None:
    write_status(tmp_path, BuildStatus(releases=(), doing="index"))
    left, foreign = tmp_path / f".building.json-{ended}", tmp_path / ".building.json-x"
    for file in (left, foreign):
        file.write_bytes(b"{")

    with draft(tmp_path):
        pass

    assert not left.exists()
    assert not foreign.exists()
    assert read_status(tmp_path) is not None


def test_what_another_process_is_writing_stays(tmp_path: Path) -> None:
    writing = tmp_path / f".building.json-{os.getppid()}"
    writing.write_bytes(b"{")

    clear_drafts(tmp_path)

    assert writing.exists()
