"""What several workers of one run read is made by one of them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import made_once


def test_of_workers_that_need_a_folder_at_once_one_makes_it(tmp_path: Path) -> None:
    makers: list[Path] = []

    def make(folder: Path) -> None:
        folder.mkdir()
        makers.append(folder)

    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: made_once(tmp_path / "shared", make), range(16)))

    assert folders == {tmp_path / "shared"}
    assert makers == [tmp_path / "shared"]


def test_a_folder_whose_maker_failed_is_made_again_from_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").mkdir(parents=True)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        made_once(tmp_path / "shared", fail)
    folder = made_once(tmp_path / "shared", Path.mkdir)

    assert list(folder.iterdir()) == []
