"""Index: vectors, terms, columns and rows. It has never heard of a product."""

from index.arrays import map_array, save_array
from index.card import CardScan, open_on_card
from index.columns import Columns, Found
from index.exact import ExactIndex
from index.faiss_index import FaissIndex, num_cards, use_threads
from index.filter_language import Expression, parse
from index.lexical import LexicalIndex, WordReader
from index.milvus_index import Address, Milvus, MilvusIndex
from index.planning import Planned, build_index, plan, recall_at_k
from index.types import (
    DamagedIndex,
    DimensionMismatch,
    FilterError,
    FilterPlan,
    FiltersItself,
    Hits,
    IndexFault,
    UnfitVectors,
    Unreachable,
    VectorIndex,
    Way,
)
from index.vectors import fit_vectors

__all__ = [
    "Address",
    "CardScan",
    "Columns",
    "DamagedIndex",
    "DimensionMismatch",
    "ExactIndex",
    "Expression",
    "FaissIndex",
    "FilterError",
    "FilterPlan",
    "FiltersItself",
    "Found",
    "Hits",
    "IndexFault",
    "LexicalIndex",
    "Milvus",
    "MilvusIndex",
    "Planned",
    "UnfitVectors",
    "Unreachable",
    "VectorIndex",
    "Way",
    "WordReader",
    "build_index",
    "fit_vectors",
    "map_array",
    "num_cards",
    "open_on_card",
    "parse",
    "plan",
    "recall_at_k",
    "save_array",
    "use_threads",
]
