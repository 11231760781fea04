from pathlib import Path

import pytest

from pipelines.durable import files
from pipelines.durable.files import draft_of, replaced_file, replaced_folder


def test_a_folder_is_replaced_by_what_was_written(tmp_path: Path) -> None:
    out = tmp_path / "model"
    out.mkdir()
    (out / "old").write_text("old")

    with replaced_folder(out) as draft:
        (draft / "new").write_text("new")

    assert [path.name for path in tmp_path.rglob("*")] == ["model", "new"]


def test_a_failure_while_writing_leaves_the_old_folder_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "model"
    out.mkdir()
    (out / "old").write_text("old")

    with pytest.raises(OSError, match="the disk is full"):
        write_half(out)

    assert [path.name for path in out.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [out]


def test_a_folder_that_a_kill_left_aside_is_back_before_the_next_one_is_written(
    tmp_path: Path,
) -> None:
    (tmp_path / ".model.old").mkdir()
    (tmp_path / ".model.old" / "old").write_text("old")
    draft_of(tmp_path / "model").mkdir()

    with pytest.raises(OSError, match="the disk is full"):
        write_half(tmp_path / "model")

    assert [path.name for path in tmp_path.rglob("*")] == ["model", "old"]


def test_a_file_is_replaced_by_what_was_written(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    out.write_text("old")

    with replaced_file(out) as draft:
        draft.write_text("new")
        during = out.read_text()

    assert (during, out.read_text()) == ("old", "new")
    assert list(tmp_path.iterdir()) == [out]


def test_a_failure_while_writing_leaves_the_old_file_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    out.write_text("old")

    with pytest.raises(OSError, match="the disk is full"):
        write_half_a_file(out)

    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_name_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "CURRENT"
    flushed: list[tuple[str, bool]] = []
    monkeypatch.setattr(files, "flush", lambda path: flushed.append((path.name, out.exists())))

    with replaced_file(out, draft=tmp_path / "draft") as draft:
        draft.write_text("new")

    assert flushed == [("draft", False), (tmp_path.name, True)]


def write_half(out: Path) -> None:
    with replaced_folder(out) as draft:
        (draft / "new").write_text("half")
        raise OSError("the disk is full")


def write_half_a_file(out: Path) -> None:
    with replaced_file(out) as draft:
        draft.write_text("half")
        raise OSError("the disk is full")
