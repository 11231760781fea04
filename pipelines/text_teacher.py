"""Scores titles for queries by meaning and by shared letters, for an encoder to learn from."""

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

GRAM = 3  # letters; whoever misspells a word still shares most of them
BETWEEN_WORDS = re.compile(r"[\W_]+")


def taught_scores(
    query_vectors: Float32[np.ndarray, "u d"],
    title_vectors: Float32[np.ndarray, "b d"],
    queries: Sequence[str],
    titles: Sequence[str],
    letters: float,
) -> Float32[np.ndarray, "u b"]:
    """Return the cosine of unit vectors plus `letters` times the share of letters.

    An encoder that learns these scores keeps what it knew, and minds sizes, model numbers, brands
    and misspelt words more. There is no noise in them, other than in what people judged, and every
    query can be scored with every title.
    """
    cosines: Float32[np.ndarray, "u b"] = query_vectors @ title_vectors.T
    return cosines + np.float32(letters) * shared_letters(queries, titles)


def shared_letters(queries: Sequence[str], titles: Sequence[str]) -> Float32[np.ndarray, "u b"]:
    """Return the share of each query's runs of three letters that is in each title, 0 to 1."""
    inside = [_grams(title) for title in titles]
    shares = np.zeros((len(queries), len(titles)), np.float32)
    for row, query in enumerate(queries):
        wanted = _grams(query)
        shares[row] = [len(wanted & found) for found in inside]
        shares[row] /= max(len(wanted), 1)
    return shares


def alike_together(
    vectors: Float32[np.ndarray, "n d"], size: int, draw: np.random.Generator
) -> list[list[int]]:
    """Return the rows in groups of `size`, one may be smaller, like vectors in one group.

    Rows are halved again and again, by which of two rows drawn at random they are nearer to. The
    groups come in random order.
    """
    todo, groups = [np.arange(len(vectors))], []
    while todo:
        rows = todo.pop()
        if len(rows) <= size:
            groups.append(rows.tolist())
            continue
        one, other = vectors[draw.choice(rows, 2, replace=False)]
        order = np.argsort(vectors[rows] @ (one - other), kind="stable")
        half = size * (-(-len(rows) // size) // 2)
        todo += [rows[order[:half]], rows[order[half:]]]
    draw.shuffle(groups)
    return groups


def _grams(text: str) -> set[str]:
    spaced = f" {BETWEEN_WORDS.sub(' ', text.casefold()).strip()} "
    return {spaced[start : start + GRAM] for start in range(len(spaced) - GRAM + 1)}
