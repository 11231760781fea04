"""The name of a file of a release is written in one place."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.building.digests import PACKAGES, ROOT
from pipelines.release import layout
from pipelines.release.store import open_release

LAYOUT = Path(layout.__file__).relative_to(ROOT)
OWNERS = {  # what names a file of its own folder, which a release holds a copy of
    "pipelines/encoding/release_encoders.py": ("image_encoder", "text_encoder"),
    "pipelines/shop/reader.py": ("pinned.jsonl",),  # what the owner of a shop pins in it
}
EVERYWHERE = 3  # letters beside the holes of an f-string, below which it says nothing


@pytest.fixture(scope="module")
def names(releases: Path) -> set[str]:
    """Every file and folder of a release, by its whole name."""
    files = [Path(name) for name in open_release(releases).manifest.files]
    return {path.as_posix() for file in files for path in (file, *file.parents)} - {"."}


def literals(tree: ast.AST) -> Iterator[tuple[int, re.Pattern[str]]]:
    """Yield what each text may be: itself, with anything in the holes of an f-string."""
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [p.value if isinstance(p, ast.Constant) else None for p in node.values]
            if sum(len(str(part)) for part in parts if part) - len(".npy") >= EVERYWHERE:
                text = "".join("[^/]+" if p is None else re.escape(str(p)) for p in parts)
                yield node.lineno, re.compile(text)
        elif isinstance(node, ast.Constant) and id(node) not in inside:
            yield node.lineno, re.compile(re.escape(str(node.value)))


def joined(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield each text that is put behind a folder: `folder / "ranker"`."""
    for node in ast.walk(tree):
        match node:
            case ast.BinOp(op=ast.Div(), right=ast.Constant(value=str(text))):
                yield node.lineno, text


def written_twice(source: Path, tree: ast.AST, names: set[str]) -> list[str]:
    """Return the places where a module writes the name of a file, or a folder, of a release.

    A lower floor may name files inside its own folder, not where that folder stands.
    """
    own = OWNERS.get(source.as_posix(), ())
    upper = source.parts[0] == "pipelines"
    files = {name for name in names if "." in name and (upper or "/" in name)}
    folders = {name for name in names if "." not in name and upper}
    found = [
        (line, name)
        for line, pattern in literals(tree)
        for name in sorted(files)
        if pattern.fullmatch(name)
    ]
    found += [(line, text) for line, text in joined(tree) if text in folders]
    return [f"{source}:{line}: {name}" for line, name in found if not name.startswith(own)]


def test_a_name_of_a_release_is_written_in_its_layout_alone(names: set[str]) -> None:
    modules = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]

    found = [
        place
        for path in modules
        if (source := path.relative_to(ROOT)) != LAYOUT
        for place in written_twice(source, ast.parse(path.read_text()), names)
    ]

    assert len(modules) > 100
    assert len(names) > 50
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        'Columns.open(folder / "products.arrow")',
        'map_array(folder / f"vectors/{space}.npy")',
        'name = "catalogue/prices.npy"',
        'Ranker.open(folder / "ranker")',
    ],
)
def test_such_a_name_is_seen(line: str, names: set[str]) -> None:
    assert written_twice(Path("pipelines/tuning/x.py"), ast.parse(line), names)
