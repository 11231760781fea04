"""Writes rows under headers as a table for a terminal."""

from collections.abc import Iterable, Sequence
from io import StringIO

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH = 110


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write rows under headers, as wide as they need; data is never read as markup."""
    drawn = Table(*headers, box=SIMPLE, pad_edge=False)
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    page = StringIO()
    Console(file=page, width=WIDTH).print(drawn)
    return page.getvalue()
