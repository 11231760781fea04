"""The words of a search and of a term that a campaign targets, made comparable."""

import re
import unicodedata
from functools import lru_cache

WORD = re.compile(r"\w+")
REMEMBERED_TERMS = 65_536


def words_of(text: str) -> frozenset[str]:
    """Return the words of a text, compared without regard to case and form of letters."""
    return frozenset(WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


words_of_term = lru_cache(REMEMBERED_TERMS)(words_of)
