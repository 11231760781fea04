"""Segments text into space-separated words.

Runs of Chinese and Japanese, written without spaces, become overlapping character pairs.
"""

import unicodedata
from itertools import pairwise

import regex

# Script=Common holds the long vowel mark of kana, which belongs to its word.
_RUN = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}ー]+")
_SIGNS = str.maketrans(dict.fromkeys("™℠®©", " "))  # NFKC makes "Lego™" into "LegoTM"
_FRACTION = regex.compile("[¼-¾⅐-⅞]")  # and "1½" into eleven halves


def document_words(text: str) -> str:
    """Return the text in NFKC, each run of CJK characters as its pairs and its characters.

    `茶色の靴` becomes `茶色 色の の靴 茶 色 の 靴`: overlapping bigrams as in Lucene's
    CJKBigramFilter with outputUnigrams, so that one character finds the words that it is in.
    """
    return _segmented(text, characters=True)


def query_words(text: str) -> str:
    """Return the same of a query: pairs, and a character only where it stands alone."""
    return _segmented(text, characters=False)


def _segmented(text: str, *, characters: bool) -> str:
    if text.isascii():
        return text
    whole = unicodedata.normalize("NFKC", _FRACTION.sub(r" \g<0>", text.translate(_SIGNS)))
    return str(_RUN.sub(lambda run: f" {' '.join(_grams(run[0], characters=characters))} ", whole))


def _grams(run: str, *, characters: bool) -> list[str]:
    pairs = [first + second for first, second in pairwise(run)]
    return [*pairs, *run] if characters or not pairs else pairs
