"""Reads paths of categories: `Food > Bread`, `Default Category/Men/Shoes`, `A > B, C > D`."""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from pipelines.importers.values.lists import LISTS, parts_of, separator_of
from pipelines.importers.values.markup import plain_text

PATH = " > "
STRONG = re.compile(r"\s*(?:[-=]*>+|[›»→＞⟩]|::|\\(?![,;]))\s*")
SLASH = re.compile(r"\s*/\s*")
# The roots of Magento's, PrestaShop's and other trees, in small letters.
ROOTS = frozenset(
    {"default category", "root catalog", "root", "home", "shop", "start", "startseite", "accueil"}
    | {"inicio", "catalog", "all"}
)
MOST_PREFIXES = 100_000


class PathStyle(NamedTuple):
    """How the categories of a source are written, as far as is known."""

    separator: str = ""  # said: between the names of a path
    lists: str = LISTS  # between several paths
    slash: bool = False  # a slash parts names where nothing else does
    names: frozenset[str] = frozenset()  # with a slash, that are one name
    known: frozenset[str] = frozenset()  # paths and what they begin with


def paths_of(cell: str, style: PathStyle) -> list[str]:
    """Return the paths of a cell, each with ` > ` between its names."""
    lists = style.lists if style.lists != style.separator else ""
    pieces = [line for line in cell.splitlines() if line.strip()]
    pieces = [part for line in pieces for part in parts_of(line, lists if lists == LISTS else "")]
    pieces = [part for piece in pieces for part in _several(plain_text(piece), lists, style)]
    return [path for piece in pieces if (path := PATH.join(_names(piece, style)))]


def path_style(cells: Iterable[str], separator: str, lists: str | None) -> PathStyle:
    """Return the style of a column by its cells; the separators are those that a mapping says."""
    distinct = list(dict.fromkeys(plain_text(cell) for cell in cells))
    marks = separator_of(distinct) if lists is None else lists
    if lists is None and separator and separator == marks:
        marks = ""
    if lists is None and not marks and any("," in cell for cell in distinct):
        marks = ","  # only where each part is a path or begins one
    style = PathStyle(separator, marks)
    pieces = [
        piece for cell in distinct for line in cell.splitlines() for piece in parts_of(line, marks)
    ]
    if not separator:
        style = style._replace(
            slash=_parts_by_slash(pieces),
            names=frozenset(
                name
                for piece in pieces
                if STRONG.search(piece)
                for name in STRONG.split(piece)
                if "/" in name
            ),
        )
    known: set[str] = set()
    for piece in pieces:
        names = _names(piece, style)
        if len(known) < MOST_PREFIXES and "," not in piece:
            known |= {PATH.join(names[:depth]) for depth in range(1, len(names) + 1)}
    return style._replace(known=frozenset(known))


def _names(piece: str, style: PathStyle) -> list[str]:
    if style.separator:
        names = piece.split(style.separator.strip() or style.separator)
    elif STRONG.search(piece):
        names = STRONG.split(piece)
    elif "/" in piece and piece not in style.names and (style.slash or _is_rooted(piece)):
        names = SLASH.split(piece)
    else:
        names = [piece]
    return [name for each in names if (name := re.sub(r"\\([,;])", r"\1", each).strip())]


def _several(piece: str, lists: str, style: PathStyle) -> list[str]:
    """Part several paths; a comma parts only where each part is a path, or begins a known one."""
    parts = [part for part in parts_of(piece, lists) if part.strip()]
    if len(parts) < 2 or lists not in (",", ";"):
        return parts
    inner = [_names(part, style) for part in parts]
    if all(len(names) > 1 or PATH.join(names) in style.known for names in inner):
        return parts
    return [piece]


def _is_rooted(piece: str) -> bool:
    names = SLASH.split(piece.strip("/ "))
    return names[0].casefold() in ROOTS and len(names) > 1


def _parts_by_slash(pieces: list[str]) -> bool:
    """Tell whether the slashes of a column part names: no other sign does, and it makes a tree."""
    if any(STRONG.search(piece) for piece in pieces):
        return False
    with_slash = [piece for piece in pieces if "/" in piece.strip("/ ")]
    if not with_slash:
        return False
    whole, children = set(pieces), defaultdict(set)
    for piece in with_slash:
        first, second, *_ = SLASH.split(piece.strip("/ "))
        children[first].add(second)
    votes = 0
    for piece in with_slash:
        names = SLASH.split(piece.strip("/ "))
        tree = len(children[names[0]]) > 1 or names[0] in whole
        votes += len(names) > 2 or piece.startswith("/") or tree
    return votes * 2 >= len(with_slash) or (1 < len(with_slash) >= 0.6 * len(pieces))
