"""Codes: finds ids, article numbers and barcodes exactly, by a part, or by their beginning.

A code is compared without its hyphens, spaces and case, a barcode also without leading zeros: a
UPC of 12 digits is the EAN of 13 with a 0 before it (GS1 General Specifications, section 3.3.2).
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

FIELD = "codes"  # the field of a document that holds codes, one a line
WHOLE, PART, BEGINNING = "##", "#", "*"  # a term of a whole code, of its end, and a prefix
LONGEST = 48  # characters of a code
MOST_PARTS = 8
MOST_CHUNKS = 12  # of a query that are looked at together
WIDEST = 4  # chunks that one code may be typed in
SHORTEST_PART, SHORTEST_NUMBER = 4, 5  # characters that may be a code beside other words
SHORTEST_BEGINNING, SHORTEST_NUMBER_BEGINNING = 4, 6
PART_FACTOR, BEGINNING_FACTOR = 0.8, 0.6
_PARTS = re.compile(r"[^\W_]++")


class CodeReading(NamedTuple):
    """Neighbouring chunks of a query that may be a code, and the terms to look it up by."""

    first: int
    last: int  # included
    terms: dict[str, float]  # by how much each counts


def document_codes(text: str) -> list[str]:
    """Return the terms of folded codes, one code a line."""
    terms: list[str] = []
    for line in text.splitlines():
        parts = _PARTS.findall(line)
        whole = "".join(parts)[:LONGEST]
        if whole:
            ends = ["".join(parts[at:])[:LONGEST] for at in range(min(len(parts), MOST_PARTS))]
            terms += [WHOLE + whole, *(PART + end for end in dict.fromkeys([*ends, _bare(whole)]))]
    return terms


def query_codes(chunks: list[str], is_indexed: Callable[[str], bool]) -> Iterator[CodeReading]:
    """Yield what of a folded query, split at spaces, may be a code; the longest ones first.

    Several chunks are one only where the index has it; a chunk beside others needs a digit.
    """
    some = chunks[:MOST_CHUNKS]
    for width in range(min(WIDEST, len(some)), 1, -1):
        for first in range(len(some) - width + 1):
            whole = "".join(_PARTS.findall(" ".join(some[first : first + width])))
            if _says_enough(whole, SHORTEST_PART) and len(whole) <= LONGEST:
                known = [term for term in (WHOLE + whole, PART + whole) if is_indexed(term)]
                if known:
                    yield CodeReading(first, first + width - 1, dict.fromkeys(known, 1.0))
    for place, chunk in enumerate(some):
        if terms := _terms(chunk, alone=len(chunks) == 1):
            yield CodeReading(place, place, terms)


def _terms(chunk: str, *, alone: bool) -> dict[str, float]:
    whole = "".join(_PARTS.findall(chunk))
    number = whole.isdigit()
    if not whole or len(whole) > LONGEST:
        return {}
    if not alone and not _says_enough(whole, SHORTEST_NUMBER if number else SHORTEST_PART):
        return {}
    terms = {WHOLE + whole: 1.0}
    if _says_enough(whole, SHORTEST_PART):
        terms |= dict.fromkeys((PART + whole, PART + _bare(whole)), PART_FACTOR)
        if len(whole) >= (SHORTEST_NUMBER_BEGINNING if number else SHORTEST_BEGINNING):
            terms[PART + whole + BEGINNING] = BEGINNING_FACTOR
    return terms


def beginning(term: str) -> str | None:
    """Return the prefix that a term stands for; None if it is a whole term."""
    return term[:-1] if term.startswith(PART) and term.endswith(BEGINNING) else None


def _says_enough(whole: str, shortest: int) -> bool:
    return len(whole) >= shortest and _has_digit(whole)


def _has_digit(whole: str) -> bool:
    return any(map(str.isdigit, whole))


def _bare(whole: str) -> str:
    """Return a code without its leading zeros."""
    return whole.lstrip("0") or whole
