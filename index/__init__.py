"""Index: vectors, terms, columns and rows. It has never heard of a product."""

from index.approximate import ApproximateIndex
from index.arrays import map_array, save_array
from index.card import CardScan, open_on_card
from index.columns import Columns, Found
from index.curve import Curve, Point, measured_curve, recall_at_k, true_hits
from index.designs import DESIGNS
from index.exact import ExactIndex
from index.faiss_index import FaissIndex, num_cards, use_threads
from index.few_documents import FewDocuments
from index.lexical import LexicalIndex, WordReader
from index.opening import open_index, save_index
from index.planning import SAMPLE, Choice, Planned, Wanted, build_index, plan, survey
from index.svs_index import SvsIndex, why_no_svs
from index.types import (
    DamagedIndex,
    DimensionMismatch,
    FilterError,
    FilterPlan,
    Hits,
    IndexFault,
    UnfitVectors,
    VectorIndex,
    Way,
)
from index.vectors import fit_vectors

__all__ = [
    "DESIGNS",
    "SAMPLE",
    "ApproximateIndex",
    "CardScan",
    "Choice",
    "Columns",
    "Curve",
    "DamagedIndex",
    "DimensionMismatch",
    "ExactIndex",
    "FaissIndex",
    "FewDocuments",
    "FilterError",
    "FilterPlan",
    "Found",
    "Hits",
    "IndexFault",
    "LexicalIndex",
    "Planned",
    "Point",
    "SvsIndex",
    "UnfitVectors",
    "VectorIndex",
    "Wanted",
    "Way",
    "WordReader",
    "build_index",
    "fit_vectors",
    "map_array",
    "measured_curve",
    "num_cards",
    "open_index",
    "open_on_card",
    "plan",
    "recall_at_k",
    "save_array",
    "save_index",
    "survey",
    "true_hits",
    "use_threads",
    "why_no_svs",
]
