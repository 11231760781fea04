"""The rooms in docs/architecture.md are those of the code: their sentences and their order."""

import ast
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/architecture.md"
BEGIN, END = "<!-- rooms -->\n", "<!-- end of rooms -->\n"
PACKAGES = ("pipelines", "ranking", "retrieval", "index")  # from the highest to the lowest


def test_the_page_has_every_room_with_its_sentence_and_every_order() -> None:
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    shown, _, after = rest.partition(END)

    expected = "\n".join(drawn()) + "\n"
    if os.environ.get("VETRINA_GOLDEN") == "rewrite":
        PAGE.write_text(f"{before}{BEGIN}{expected}{END}{after}")
        shown = expected

    assert shown == expected, "if this is meant: make golden, and review the difference"


def test_every_room_says_what_stands_in_it_in_one_sentence() -> None:
    sentences = {path: sentence_of(path) for name in PACKAGES for path in rooms(ROOT / name)}

    untold = [str(path) for path, text in sentences.items() if not text.endswith(".")]

    assert len(sentences) > len(PACKAGES)
    assert not untold


def test_every_folder_with_code_is_a_room() -> None:
    folders = {path.parent for name in PACKAGES for path in (ROOT / name).rglob("*.py")}

    without = [folder for folder in folders if not (folder / "__init__.py").exists()]

    assert not without


def drawn() -> Iterator[str]:
    """Yield the lines of the page: a table of rooms and a drawing of the order, by package."""
    for name in PACKAGES:
        yield f"\n### {name}\n"
        yield "| room | sentence |\n| --- | --- |"
        for folder in rooms(ROOT / name):
            yield f"| `{folder.relative_to(ROOT)}/` | {sentence_of(folder)} |"
        for container, order in orders(name).items():
            yield f"\nThe order inside `{container.replace('.', '/')}/`:\n\n```text"
            yield from order
            yield "```"
    yield ""


def rooms(package: Path) -> list[Path]:
    """Return a package and all its folders with code, each folder before those inside it."""
    return sorted(path.parent for path in package.rglob("__init__.py"))


def sentence_of(folder: Path) -> str:
    """Return the first paragraph of a folder's docstring as one line."""
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    return " ".join(docstring.partition("\n\n")[0].split())


def orders(package: str) -> dict[str, list[str]]:
    """Return the orders inside a package, the highest room first, from its import contracts."""
    tool: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    return {
        container: contract["layers"]
        for contract in tool["importlinter"]["contracts"]
        for container in contract.get("containers", ())
        if container.partition(".")[0] == package
    }
