"""A few hundred of the cases that `benchmarks/releases/damaged_releases.py` draws."""

from pathlib import Path

import pytest

from benchmarks.releases.damaged_releases import KINDS, met, small_release

CASES = 270


@pytest.fixture(scope="module")
def two_releases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return small_release(tmp_path_factory.mktemp("damaged"))


@pytest.mark.slow
def test_every_damaged_release_is_refused_by_the_name_of_what_was_damaged(
    two_releases: tuple[Path, Path],
) -> None:
    found = list(met(range(CASES), *two_releases))

    assert [one for one in found if one.how != "refused by name"] == []
    assert {one.kind for one in found} == set(KINDS)
    assert len(found) == CASES
