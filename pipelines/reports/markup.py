"""Renders HTML from Jinja2 templates: every text is escaped unless it is Markup already."""

import re
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

# What no browser shows: control characters, halves of surrogate pairs, and noncharacters.
UNSHOWABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
MARKS = ("run", "against")  # classes of the two runs, which give them their colours
FILES = Path(__file__).parent / "pages"
STYLE = "report.css"


class Drawing(NamedTuple):
    """A drawing of our own, and its meaning in words."""

    svg: Markup
    alt: str


def showable(value: Any) -> Any:
    """Return a value for a page; what no browser can show of a text is replaced by U+FFFD."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return UNSHOWABLE.sub("\ufffd", value)
    return value


def environment() -> Environment:
    """Return how templates are read: escaped, strict, and without lines that only hold a tag."""
    return Environment(
        loader=PackageLoader("pipelines.reports.pages"),
        autoescape=True,
        finalize=showable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(template: str, /, **facts: Any) -> str:
    """Return a page with our style, from a template and what it says."""
    style = Markup(packaged(STYLE))
    return environment().get_template(template).render(style=style, **facts)


def packaged(name: str) -> str:
    """Return a file that lies beside the pages."""
    return (FILES / name).read_text("utf-8")


def counted(queries: int, kind: str = "") -> str:
    """Return `1 query`, `2 queries`."""
    return f"{queries:,} {kind}{'query' if queries == 1 else 'queries'}"
