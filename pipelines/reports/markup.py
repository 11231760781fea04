"""Builds HTML that cannot be broken out of: every text is escaped unless it is Markup already."""

import html
import re

# What no browser shows: control characters, halves of surrogate pairs, and noncharacters.
UNSHOWABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
MARKS = ("run", "against")  # classes of the two runs, which give them their colours
VOID = frozenset({"meta", "br"})


class Markup(str):
    """A piece of HTML that was made here, and is put into a page as it is."""

    __slots__ = ()


Piece = str | None  # None is nothing, for a piece that is there only sometimes


def escape(text: str) -> Markup:
    """Return a text so that a browser shows it and does nothing else with it."""
    if isinstance(text, Markup):
        return text
    return Markup(html.escape(UNSHOWABLE.sub("\ufffd", text), quote=True))


def element(tag: str, /, *children: Piece, **attributes: str | int | bool | None) -> Markup:
    """Return one element; children and attribute values that are plain texts are escaped.

    `class_` is the attribute `class`, `aria_label` is `aria-label`; True stands for an attribute
    without a value, False and None for one that is not there.
    """
    told = "".join(_attribute(key, value) for key, value in attributes.items())
    if tag in VOID:
        return Markup(f"<{tag}{told}>")
    return Markup(f"<{tag}{told}>{join(*children)}</{tag}>")


def join(*pieces: Piece) -> Markup:
    """Return pieces one after the other."""
    return Markup("".join(escape(piece) for piece in pieces if piece is not None))


def foreign(text: str) -> Markup:
    """Return a text from outside in its own direction, so that it cannot turn what follows."""
    return element("bdi", text)


def section(title: str, *pieces: Piece) -> Markup:
    """Return a section under its heading."""
    return element("section", element("h2", title), *pieces)


def soft(text: str) -> Markup | None:
    """Return a quiet paragraph, or nothing where there is nothing to say."""
    return element("p", text, class_="soft") if text else None


def counted(queries: int, kind: str = "") -> str:
    """Return `1 query`, `2 queries`."""
    return f"{queries:,} {kind}{'query' if queries == 1 else 'queries'}"


def _attribute(key: str, value: str | int | bool | None) -> str:  # noqa: FBT001 - private
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
