"""Query rewriting: a query is encoded as its words are read: corrected, and with synonyms."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from index import LexicalIndex, QueryRewrite, read_operators
from retrieval.encoders.query import QueryEncoder

MOST_SYNONYMS = 3  # of a query, that are encoded as well


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
    words = text.split()
    for rewrite in rewrites:
        if rewrite.why != "synonym" and rewrite.read_as:
            words = _replaced(words, rewrite.asked, rewrite.read_as[0])
    texts = [" ".join(words)]
    for rewrite in rewrites:
        if rewrite.why == "synonym":
            texts += [" ".join(_replaced(words, rewrite.asked, one)) for one in rewrite.read_as]
    return list(dict.fromkeys(texts))[: 1 + MOST_SYNONYMS]


def mean_direction(vectors: Float32[np.ndarray, "t d"]) -> Float32[np.ndarray, "d"]:
    """Return the unit vector between these unit vectors; the first counts half."""
    if len(vectors) == 1:
        return np.asarray(vectors[0])
    vector = vectors[0] + vectors[1:].mean(axis=0)
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), np.float32)


def _replaced(words: list[str], phrase: str, by: str) -> list[str]:
    """Return the words with a phrase replaced where it first stands; as they are if nowhere."""
    wanted = phrase.casefold().split()
    folded = [word.casefold() for word in words]
    for place in range(len(words) - len(wanted) + 1):
        if wanted and folded[place : place + len(wanted)] == wanted:
            return [*words[:place], by, *words[place + len(wanted) :]]
    return words
