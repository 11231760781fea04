"""Index: vectors, terms, columns and rows. It has never heard of a product."""

from index.arrays import map_array, save_array
from index.card import CardScan, open_on_card
from index.coded import Pairs
from index.columns import Columns, Found
from index.completions import Completions, Phrase
from index.exact import ExactIndex
from index.faiss_index import FaissIndex, num_cards, use_threads
from index.few_documents import FewDocuments
from index.filter_language import Expression, Field, field_named, parse, without, written
from index.lexical import Lenience, LexicalIndex, WordReader, check_synonyms
from index.milvus_index import Address, Milvus, MilvusIndex
from index.planning import Planned, build_index, plan, recall_at_k
from index.reading import ReadAs
from index.synonyms import SynonymError
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
    "Completions",
    "DamagedIndex",
    "DimensionMismatch",
    "ExactIndex",
    "Expression",
    "FaissIndex",
    "FewDocuments",
    "Field",
    "FilterError",
    "FilterPlan",
    "FiltersItself",
    "Found",
    "Hits",
    "IndexFault",
    "Lenience",
    "LexicalIndex",
    "Milvus",
    "MilvusIndex",
    "Pairs",
    "Phrase",
    "Planned",
    "ReadAs",
    "SynonymError",
    "UnfitVectors",
    "Unreachable",
    "VectorIndex",
    "Way",
    "WordReader",
    "build_index",
    "check_synonyms",
    "field_named",
    "fit_vectors",
    "map_array",
    "num_cards",
    "open_on_card",
    "parse",
    "plan",
    "recall_at_k",
    "save_array",
    "use_threads",
    "without",
    "written",
]
