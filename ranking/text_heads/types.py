"""What every head promises, whatever it is made of."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from ranking.text_heads.lists import JudgedList, TextList


@runtime_checkable
class Head(Protocol):
    """Orders the candidates of one query."""

    def scores(self, asked: TextList) -> Float32[np.ndarray, "c"]:
        """Return one score a candidate, higher is better; comparable within one list only."""
        ...


@runtime_checkable
class Recipe(Protocol):
    """Makes a head out of judged lists; the same lists and seed make the same head."""

    def fit(self, lists: Sequence[JudgedList]) -> Head:
        """Return a head, stopped early on queries that are held out from the lists."""
        ...
