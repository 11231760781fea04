from pathlib import Path

import pytest

from pipelines.durable import replaced


def test_a_folder_is_replaced_by_what_was_written(tmp_path: Path) -> None:
    out = tmp_path / "model"
    out.mkdir()
    (out / "old").write_text("old")

    with replaced(out) as draft:
        (draft / "new").write_text("new")

    assert [path.name for path in tmp_path.rglob("*")] == ["model", "new"]


def test_a_failure_while_writing_leaves_the_old_folder_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "model"
    out.mkdir()
    (out / "old").write_text("old")

    with pytest.raises(OSError, match="the disk is full"):
        write_half(out)

    assert [path.name for path in out.iterdir()] == ["old"]


def write_half(out: Path) -> None:
    with replaced(out) as draft:
        (draft / "new").write_text("half")
        raise OSError("the disk is full")
