"""Reads paths of categories: `Food > Bread`, `Default Category/Men/Shoes`, `A > B, C > D`."""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from pipelines.importers.values.lists import LISTS, MARKS, parts_of, separator_of
from pipelines.importers.values.markup import plain_text
from pipelines.importers.values.texts import MAX_VALUES

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
    parts: bool = True  # the mark between paths is said, or shows: it parts wherever it stands
    slash: bool = False  # a slash parts names where nothing else does
    names: frozenset[str] = frozenset()  # with a slash, that are one name
    known: frozenset[str] = frozenset()  # paths and what they begin with
    strict: bool = False  # names have commas: one parts paths only before a known beginning


def paths_of(cell: str, style: PathStyle) -> list[str]:
    """Return the paths of a cell, each with ` > ` between its names."""
    pieces = [piece for part in _cells(cell, style) for piece in _several(part, style)]
    return [path for piece in pieces if (path := PATH.join(_names(piece, style)))]


def path_style(cells: Iterable[str], separator: str, lists: str | None) -> PathStyle:
    """Return the style of a column by its cells; the separators are those that a mapping says."""
    distinct = list(dict.fromkeys(plain_text(line) for cell in cells for line in cell.splitlines()))
    marks = _list_mark(distinct, separator) if lists is None else lists
    flat = not any(STRONG.search(cell) or "/" in cell for cell in distinct if marks in cell)
    shows = marks not in MARKS or (flat and separator_of(distinct) == marks)
    style = PathStyle(separator, marks, parts=lists is not None or shows)
    parts = [part for cell in distinct for part in _cells(cell, style)]
    if not separator:
        pieces = [piece for part in parts for piece in _commas(part, marks)]
        style = style._replace(slash=_parts_by_slash(pieces), names=_names_with_slash(pieces))
    known: set[str] = set()
    for first in (_commas(part, marks)[:1] for part in parts):
        names = _names(first[0], style) if first and len(known) < MOST_PREFIXES else []
        known |= {PATH.join(names[:depth]) for depth in range(1, len(names) + 1)}
    alone = {part for part in parts if marks not in MARKS or marks not in part}
    firsts = {path for path in known if PATH in path or path in alone or path in _roots(known)}
    style = style._replace(known=frozenset(firsts))
    with_marks = [part for part in parts if len(_commas(part, marks)) > 1]
    return style._replace(strict=not all(_is_list(part, style) for part in with_marks))


def _cells(cell: str, style: PathStyle) -> list[str]:
    """Part a cell at line breaks, and at a mark that is no letter of names."""
    mark = "" if style.lists in (*MARKS, style.separator) else style.lists
    lines = [plain_text(line) for line in cell.splitlines()]
    return [part for line in lines for part in parts_of(line, mark) if part.strip()]


def _commas(part: str, mark: str) -> list[str]:
    pieces = parts_of(part, mark) if mark in MARKS else [part]
    return [piece for piece in pieces if piece.strip()]


def _list_mark(cells: list[str], separator: str) -> str:
    """Return the mark between several paths: one that parts, or one that may part paths."""
    mark = separator_of(cells)
    if mark and mark != separator:
        return mark
    return next((one for one in MARKS if any(one in cell for cell in cells)), LISTS)


def _roots(paths: set[str]) -> set[str]:
    return {path.partition(PATH)[0] for path in paths if PATH in path}


def _names_with_slash(pieces: list[str]) -> frozenset[str]:
    paths = [STRONG.split(piece) for piece in pieces if "/" in piece and STRONG.search(piece)]
    return frozenset(name for names in paths for name in names if "/" in name)


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


def _several(part: str, style: PathStyle) -> list[str]:
    pieces = _commas(part, style.lists)
    return pieces if style.parts or (len(pieces) > 1 and _is_list(part, style)) else [part]


def _is_list(part: str, style: PathStyle) -> bool:
    """Tell whether a comma parts paths: each part is a path, or a known one, or begins another."""
    pieces = _commas(part, style.lists)
    if len(pieces) > MAX_VALUES:  # each is compared with each
        return False
    paths = [_names(piece, style) for piece in pieces]
    joined = [PATH.join(names) for names in paths]
    for names, path in zip(paths, joined, strict=True):
        begins = any(other.startswith(path + PATH) for other in joined)
        if len(names) < 2 and path not in style.known and not begins:
            return False
        if style.strict and names and names[0] not in style.known:
            return False
    return True


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
