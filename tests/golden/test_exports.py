"""The formats in docs/reference/exports.md are those of the code."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.importers.exports.formats import format_named
from pipelines.importers.exports.names import FOLDER

PAGE = Path(__file__).parents[2] / "docs/reference/exports.md"
TABLES = {"products": ("shops", "feeds"), "logs": ("logs", "orders")}


@pytest.mark.parametrize("name", TABLES)
def test_the_page_lists_every_format(name: str) -> None:
    text = PAGE.read_text()
    before, _, rest = text.partition(f"<!-- {name} -->\n")
    shown, _, after = rest.partition("<!-- end -->")

    expected = "".join(f"{row}\n" for row in rows(TABLES[name]))
    if os.environ.get("VETRINA_GOLDEN") == "rewrite":
        PAGE.write_text(f"{before}<!-- {name} -->\n{expected}<!-- end -->{after}")
        shown = expected

    assert shown == expected, "if this is meant: make golden, and review the difference"


def rows(folders: tuple[str, ...]) -> Iterator[str]:
    yield "| name | file | its columns are documented at |"
    yield "| --- | --- | --- |"
    for path in (path for folder in folders for path in sorted((FOLDER / folder).glob("*.yaml"))):
        form = format_named(path.stem)
        yield f"| `{path.stem}` | {form.title} | <{form.source.partition(' ')[0]}> |"
