"""The hash over our code is over all of it."""

import shutil
import tomllib
from pathlib import Path

import pytest

from pipelines.building.digests import PACKAGES, ROOT, code


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our modules, and nothing else, in another folder."""
    root = tmp_path_factory.mktemp("code")
    for path in (path for name in PACKAGES for path in (ROOT / name).rglob("*.py")):
        target = root / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return root


def test_the_hash_is_over_every_package_of_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())

    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert sorted(PACKAGES) == sorted(wheel["packages"])


def test_the_hash_is_over_what_our_packages_hold_wherever_they_stand(copied: Path) -> None:
    assert {path.name for path in copied.iterdir()} == set(PACKAGES)
    assert code(copied) == code()


@pytest.mark.parametrize("package", PACKAGES)
def test_the_hash_changes_with_a_file_of_each_package(package: str, copied: Path) -> None:
    before = code(copied)
    deepest = max(
        (copied / package).rglob("*.py"), key=lambda path: (len(path.parts), path.as_posix())
    )

    deepest.write_text(f"{deepest.read_text()}# other\n")
    code.cache_clear()

    assert code(copied) != before
