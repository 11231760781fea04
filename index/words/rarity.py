"""How much a word that few rows have counts more than one that many have."""

import math


def rarity(rows: int, of: int) -> float:
    """Return `log(1 + (N - n + 0.5) / (n + 0.5))`, the idf of BM25 as tantivy has it."""
    return math.log1p((max(of - rows, 0) + 0.5) / (rows + 0.5))
