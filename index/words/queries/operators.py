"""Search operators: reads words to exclude (`-oat`) and quoted phrases out of a query."""

import re
from typing import NamedTuple

MOST_OPERATORS = 16  # of each kind; later ones are read as words

_QUOTES = str.maketrans(dict.fromkeys("“”„‟«»＂", '"'))  # noqa: RUF001
# A quote opens where a word may begin, so that the sign of inches in `tv 55"` opens nothing.
_QUOTED = re.compile(r'(?<!\S)([-−]?)"([^"]*+)"(?!\w)')  # noqa: RUF001
# A hyphen excludes where it begins a word; `-18` is a number, `a-b` one word.
_EXCLUDED = re.compile(r"(?<!\S)[-−](?=[^\W\d_])(\S++)")  # noqa: RUF001


class Operators(NamedTuple):
    """A query without its operators, and what they say."""

    text: str  # the words that are looked for, those of the phrases among them
    phrases: tuple[str, ...] = ()  # that must stand so
    excluded: tuple[str, ...] = ()  # words and phrases that must not stand

    @property
    def only_exclude(self) -> bool:
        """Whether nothing is looked for: `-oat` alone asks for all but oats."""
        return bool(self.excluded) and not any(map(str.isalnum, self.text))


def read_operators(text: str) -> Operators:
    """Return the operators of a query: `"rye bread"` must stand so, `-oat` must not stand.

    A lone hyphen, one inside a word or before a number, and a quote without its partner are no
    operators.
    """
    quoted = text.translate(_QUOTES)
    if '"' not in quoted and "-" not in quoted and "−" not in quoted:  # noqa: RUF001
        return Operators(text)
    phrases: list[str] = []
    excluded: list[str] = []

    def take_quoted(match: re.Match[str]) -> str:
        minus, phrase = match.groups()
        into = excluded if minus else phrases
        if not phrase.strip() or len(into) == MOST_OPERATORS:
            return f" {phrase} "
        into.append(phrase.strip())
        return " " if minus else f" {phrase} "

    def take_excluded(match: re.Match[str]) -> str:
        if len(excluded) == MOST_OPERATORS:
            return match[1]
        excluded.append(match[1])
        return " "

    wanted = _EXCLUDED.sub(take_excluded, _QUOTED.sub(take_quoted, quoted))
    if not phrases and not excluded:
        return Operators(text)
    return Operators(" ".join(wanted.split()), tuple(phrases), tuple(excluded))
