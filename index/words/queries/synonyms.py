"""Synonyms: parses a file of rules, and finds which phrases of a query have synonyms."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from index.errors import IndexFault
from index.lines import without_mark
from index.words.terms.pieces import Words

MOST_BYTES = 1_000_000
MOST_RULES = 10_000
MOST_PHRASES = 16  # of one side of a rule
MOST_PHRASE_WORDS = 8
MOST_SYNONYMS = 32  # of one phrase, in all rules
ARROW, COMMA, COMMENT = "=>", ",", "#"
SHOWN = 40  # characters of a phrase that a message repeats


class SynonymError(IndexFault):
    """A file of synonyms has a line that cannot be used; the message names the line."""


class Rule(NamedTuple):
    """Each phrase of `left` also stands for each of `right`."""

    line: int
    left: tuple[str, ...]
    right: tuple[str, ...]


class Synonym(NamedTuple):
    """One synonym of a phrase: its terms in an index, and its text in the file."""

    words: Words
    text: str


class Synonyms:
    """A lookup of the synonyms of phrases, a phrase being whole words of an index."""

    def __init__(self, rules: tuple[Rule, ...], words_of: Callable[[str], Words]) -> None:
        """Read phrases by `words_of`, as the queries are; SynonymError where one has no word."""
        self._of: dict[Words, tuple[Synonym, ...]] = {}
        read = cache(words_of)  # most phrases stand in several rules, or for several others
        for rule in rules:
            for phrase in rule.left:
                for synonym in rule.right:
                    self._add(rule.line, phrase, synonym, read)
        self._longest = max(map(len, self._of), default=0)

    def at(self, words: Words, place: int) -> tuple[int, tuple[Synonym, ...]]:
        """Return the length of the longest phrase that begins here, and its synonyms; else 0."""
        for length in range(min(self._longest, len(words) - place), 0, -1):
            synonyms = self._of.get(words[place : place + length])
            if synonyms:
                return length, synonyms
        return 0, ()

    def _add(self, line: int, phrase: str, synonym: str, words_of: Callable[[str], Words]) -> None:
        key, words = (_read(line, text, words_of) for text in (phrase, synonym))
        synonyms = self._of.get(key, ())
        if words == key or any(other.words == words for other in synonyms):
            return
        if len(synonyms) == MOST_SYNONYMS:
            raise _error(
                line, f"{_brief(phrase)} has more than {MOST_SYNONYMS} synonyms; leave some out"
            )
        self._of[key] = (*synonyms, Synonym(words, synonym))


def read_rules(content: bytes) -> tuple[Rule, ...]:
    """Return the rules of a file, or SynonymError with the line.

    A line is `sofa, couch, settee`, each of which stands for the others, or `tv => television`,
    where the words on the left also stand for those on the right. `#` begins a comment.
    """
    if len(content) > MOST_BYTES:
        raise SynonymError(
            f"has {len(content):,} bytes; at most {MOST_BYTES:,} are read: leave some rules out"
        )
    rules = []
    for line, raw in enumerate(without_mark(content).splitlines(), start=1):
        try:
            text = raw.decode().partition(COMMENT)[0].strip()
        except UnicodeDecodeError:
            raise _error(line, "is not UTF-8; save the file as UTF-8") from None
        if text:
            rules.append(_rule(line, text))
        if len(rules) > MOST_RULES:
            raise _error(line, f"is rule {MOST_RULES + 1:,}; at most {MOST_RULES:,} are read")
    return tuple(rules)


def _rule(line: int, text: str) -> Rule:
    sides = [_phrases(line, side) for side in text.split(ARROW)]
    if len(sides) > 2:
        raise _error(line, f"has more than one `{ARROW}`; write `tv {ARROW} television`")
    if len(sides) == 2:
        return Rule(line, sides[0], sides[1])
    if len(sides[0]) < 2:
        phrase = _brief(sides[0][0])
        raise _error(
            line, f"has one phrase, {phrase}; write `sofa, couch` or `tv {ARROW} television`"
        )
    return Rule(line, sides[0], sides[0])


def _phrases(line: int, side: str) -> tuple[str, ...]:
    phrases = tuple(" ".join(phrase.split()) for phrase in side.split(COMMA))
    if not all(phrases):
        raise _error(line, "has an empty phrase; look for a comma too many, or one side missing")
    if len(phrases) > MOST_PHRASES:
        raise _error(line, f"has {len(phrases)} phrases on one side; at most {MOST_PHRASES} fit")
    return phrases


def _read(line: int, phrase: str, words_of: Callable[[str], Words]) -> Words:
    words = words_of(phrase)
    if not 1 <= len(words) <= MOST_PHRASE_WORDS:
        raise _error(
            line,
            f"{_brief(phrase)} is read as {len(words)} words; 1 to {MOST_PHRASE_WORDS} are allowed",
        )
    return words


def _brief(phrase: str) -> str:
    return repr(phrase if len(phrase) <= SHOWN else f"{phrase[:SHOWN]}…")


def _error(line: int, message: str) -> SynonymError:
    return SynonymError(f"line {line}: {message}")
