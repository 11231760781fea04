"""Query rewriting: a query is encoded as its words are read: corrected, and with synonyms."""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from index import LexicalIndex, QueryRewrite, read_operators
from retrieval.encoders.query import QueryEncoder

MOST_SYNONYMS = 3  # of a query, that are encoded as well
SIGNS, POSSESSIVE = r"[\W_]+", "(?:['\N{RIGHT SINGLE QUOTATION MARK}]s)?"


def query_vectors(
    encoder: QueryEncoder, words: LexicalIndex | None, queries: Sequence[str]
) -> Float32[np.ndarray, "q d"]:
    """Return the vector of each query: of what `words` read it as, without its operators.

    None instead of words: as it is written. Serving, training and replay all encode so.
    """
    if words is None:
        return np.asarray(encoder.texts(list(queries)), np.float32)
    texts = [
        encoded_texts(read_operators(query).text or query, words.read(query).rewrites)
        for query in queries
    ]
    vectors = np.asarray(encoder.texts([text for some in texts for text in some]), np.float32)
    ends = np.cumsum([len(some) for some in texts])
    return np.stack([mean_direction(part) for part in np.split(vectors, ends[:-1])])


def encoded_texts(text: str, rewrites: Sequence[QueryRewrite]) -> list[str]:
    """Return the texts to encode for a query, at most 1 + MOST_SYNONYMS.

    A misspelt word is replaced by what it was read as. A phrase with synonyms also stands there as
    each of the first ones: what shoppers call it is often not what the encoder has learnt.
    """
    plain = " ".join(text.split())
    for rewrite in rewrites:
        if rewrite.why != "synonym" and rewrite.read_as:
            plain = _replaced(plain, rewrite.asked, rewrite.read_as[0])
    texts = [plain]
    for rewrite in rewrites:
        if rewrite.why == "synonym":
            texts += [_replaced(plain, rewrite.asked, one) for one in rewrite.read_as]
    return list(dict.fromkeys(texts))[: 1 + MOST_SYNONYMS]


def mean_direction(vectors: Float32[np.ndarray, "t d"]) -> Float32[np.ndarray, "d"]:
    """Return the unit vector between these unit vectors; the first counts half."""
    if len(vectors) == 1:
        return np.asarray(vectors[0])
    vector = vectors[0] + vectors[1:].mean(axis=0)
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), np.float32)


def _replaced(text: str, phrase: str, by: str) -> str:
    """Return a text with a phrase replaced where it first stands; as it is if nowhere.

    Capitals, accents, signs between words and a possessive `'s` aside, as words are searched.
    """
    words = [re.escape(word) + POSSESSIVE for word in _bare(phrase).split()]
    found = re.search(rf"(?<!\w){SIGNS.join(words)}(?!\w)", _bare(text)) if words else None
    if found is None:
        return text
    text = text.casefold()
    return text[: found.start()] + by + text[found.end() :]


def _bare(text: str) -> str:
    """Return a text in small letters without accents, each in its place."""
    return "".join(map(_base, text.casefold()))


def _base(letter: str) -> str:
    """Return a letter without its accents."""
    parts = unicodedata.normalize("NFD", letter)
    return parts[0] if all(map(unicodedata.combining, parts[1:])) else letter
