"""Splits folded text into pieces: words, measures, and characters of scripts without spaces."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import regex

from index.words.terms.measures import PATTERN, MeasureReader

Words = tuple[str, ...]

LONGEST_WORD = 64  # bytes in UTF-8, at most; what is longer is cut
MOST_JOINED = 4  # words with signs between that are also one word
LONGEST_JOINED = 32  # characters

# Script=Common holds the long vowel mark of kana, which belongs to its word.
_PAIRED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}ー"  # a word is about two characters
_CLUSTERED = r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"  # vowels and tones stand at a consonant
_SCANNER = regex.compile(
    rf"(?P<run>[{_PAIRED}]++)"
    rf"|(?P<clusters>[{_CLUSTERED}][{_CLUSTERED}\p{{M}}]*+)"
    rf"|(?P<measure>{PATTERN})"
    rf"|(?P<word>[[\p{{L}}\p{{M}}\p{{N}}]--[{_PAIRED}{_CLUSTERED}]]++(?:(?:\+{{1,2}}|\#)(?![\w+]))?+)",
    regex.V1,
)
_FRAGMENT = regex.compile(rf"[{_PAIRED}{_CLUSTERED}]")
_CLUSTER = regex.compile(r"\X")
_JOINING = frozenset("-'&.+_")  # between the parts of one word, as in wi-fi, m&m's, o'neill
_ENDS = ".,;:!?()"  # of a chunk, which say nothing
_BEFORE_UNITS = ("x", "fl", "fl.", "sq", "sq.")
_SIGNS = "+#"  # at the end of a word, as in c++


class Piece(NamedTuple):
    """A part of a text that is looked up as one thing."""

    terms: Words  # before they are stemmed; of a measure, the first says most
    extra: Words = ()  # terms by which it is found as well
    kind: str = "word"  # or "measure", "characters"
    start: int = 0
    text: str = ""  # as folded
    joined: bool = False  # to the piece before it, as `fi` in wi-fi


class PieceReader:
    """Splits the texts of one language."""

    def __init__(self, language: str) -> None:
        self._measures = MeasureReader(language)

    def read(self, text: str) -> Iterator[Piece]:
        """Yield the pieces of a folded text in order."""
        end = -1  # of the word before
        for match in _SCANNER.finditer(text):
            start, stop = match.span()
            if match.lastgroup == "word":
                joined = 0 <= end == start - 1 and text[end] in _JOINING
                yield _word(match[0], start, joined=joined)
                end = stop
            else:
                measure = match.lastgroup == "measure"
                terms, extra = self._measures.read(match) if measure else _characters(match)
                yield Piece(terms, extra, "measure" if measure else "characters", start, match[0])
                end = -1


def _word(word: str, start: int, *, joined: bool) -> Piece:
    plain = word.rstrip(_SIGNS) if word[-1] in _SIGNS else word
    extra = () if plain == word else (_cut(plain),)
    return Piece((_cut(word),), extra, "word", start, word, joined)


def _characters(match: "regex.Match[str]") -> tuple[Words, Words]:
    """Return a run as its pairs of neighbours, and its characters alone."""
    characters = match[0] if match.lastgroup == "run" else _CLUSTER.findall(match[0])
    one = tuple(map(_cut, characters))
    pairs = tuple(_cut(first + second) for first, second in pairwise(characters))
    return (pairs, one) if pairs else (one, ())


def document_pieces(reader: PieceReader, text: str) -> tuple[list[str], list[str]]:
    """Return the terms of a document in order, and those by which it is also found.

    `wi-fi` is also found as `wifi`, a size also by its number, and a run of characters by each.
    """
    terms: list[str] = []
    extra: list[str] = []
    for part in _parts(text):
        if isinstance(part, str):
            _add_pieces(reader.read(part), terms, extra)
        else:
            terms += part
    return terms, extra


def _parts(text: str) -> Iterator[list[str] | str]:
    """Yield runs of plain words, and between them texts that must be read sign by sign.

    Most words are plain, and `read` is slow. A number goes with what may be its unit.
    """
    plain: list[str] = []
    others: list[str] = []
    for chunk in text.split():
        word = chunk.strip(_ENDS)
        if word.isalpha() and word.isascii() and not (others and _goes_on(others[-1], chunk)):
            if others:
                yield " ".join(others)
                others = []
            plain.append(_cut(word))
        else:
            if plain:
                yield plain
                plain = []
            others.append(chunk)
    yield from filter(None, (plain, " ".join(others)))


def _goes_on(before: str, chunk: str) -> bool:
    return before in _BEFORE_UNITS or chunk == "x" or any(map(str.isdigit, before))


def _add_pieces(pieces: Iterator[Piece], terms: list[str], extra: list[str]) -> None:
    run: list[str] = []
    for piece in pieces:
        if not piece.joined:
            extra += _as_one(run)
            run = []
        if piece.kind == "measure":
            terms.append(piece.terms[0])
            extra += piece.terms[1:]
        else:
            terms += piece.terms
            run += piece.terms if piece.kind == "word" else ()
        extra += piece.extra
    extra += _as_one(run)


def is_fragment(term: str) -> bool:
    """Tell whether a term is no word, but a part of one in a script without spaces, or a sign."""
    return not term.isascii() and _FRAGMENT.match(term) is not None


def as_one(words: list[str]) -> str:
    """Return neighbouring words as one, "" where they are too many or all of digits."""
    whole = "".join(words)
    fits = 1 < len(words) <= MOST_JOINED and len(whole) <= LONGEST_JOINED
    return whole if fits and not whole.isdigit() else ""


def _as_one(run: list[str]) -> list[str]:
    whole = as_one(run)
    return [whole] if whole else []


def _cut(word: str) -> str:
    if len(word) * 4 <= LONGEST_WORD:
        return word
    return word.encode()[:LONGEST_WORD].decode(errors="ignore")
