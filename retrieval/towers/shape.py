"""The shape of two towers, and how it is read; nothing here loads torch."""

from pathlib import Path

import msgspec

from retrieval.context_facts import FACT_BUCKETS

ABOUT = "towers.json"
CODE_BUCKETS = 1 << 13  # attributes are hashed into these; 0: none


class UnknownTowers(ValueError):
    """Towers that this version cannot build again; says what differs."""


class TowerShape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is needed to build both towers again before their weights are read."""

    widths: dict[str, int]  # numbers of a vector, by kind of dense token
    text_dim: int  # of a query's words, in the joined space
    picture_dim: int  # of a query's picture; 0: no pictures
    num_own: int
    num_popularity: int
    dim: int = 256  # of the vectors that are compared
    width: int = 128  # of the attention over the tokens
    heads: int = 4
    fusion: str = "attention"
    interests: int = 4
    recent: int = 24  # products that a query looks back on
    temperature: float = 0.05  # of the softmax that they are trained with
    code_buckets: int = CODE_BUCKETS
    fact_buckets: int = FACT_BUCKETS
    facts: tuple[int, ...] | None = None  # codes of those that they learnt; None: given as numbers


def read_shape(folder: Path) -> TowerShape:
    """Read the shape of saved towers; UnknownTowers where this version cannot run them."""
    try:
        shape = msgspec.json.decode((folder / ABOUT).read_bytes(), type=TowerShape)
    except msgspec.DecodeError as e:
        raise UnknownTowers(f"this version does not know such towers: {e}") from None
    if (shape.code_buckets, shape.fact_buckets) != (CODE_BUCKETS, FACT_BUCKETS):
        raise UnknownTowers(
            f"the towers number attributes and facts to {shape.code_buckets} and "
            f"{shape.fact_buckets}, this version to {CODE_BUCKETS} and {FACT_BUCKETS}; "
            "build again"
        )
    if shape.facts is None:
        raise UnknownTowers("the towers do not say which facts they learnt; build again")
    return shape
