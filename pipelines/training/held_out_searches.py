"""Parts made-up searches into those that are learnt from and those that judge what was learnt."""

from collections.abc import Sequence

import numpy as np
import xxhash
from jaxtyping import Bool

ONE_IN = 5  # products whose made-up searches judge


def judging_products(ids: Sequence[str]) -> Bool[np.ndarray, "n"]:
    """Tell of which products no made-up search is learnt from, by a hash of the id.

    The same products in every build and for every learner, so that none has seen them by way of
    another.
    """
    hashes = np.array([xxhash.xxh3_64_intdigest(f"search {name}".encode()) for name in ids])
    return np.asarray(hashes % np.uint64(ONE_IN) == 0, bool)


def never_learnt(texts: Sequence[str], learnt: Sequence[str] | set[str]) -> Bool[np.ndarray, "s"]:
    """Tell which searches have words that no search of `learnt` has in the same order."""
    known = {_plain(text) for text in learnt}
    return np.array([_plain(text) not in known for text in texts], bool)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
