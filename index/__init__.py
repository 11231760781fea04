"""Index: vectors, terms, columns and rows. It has never heard of a product."""

from index.approximate import ApproximateIndex
from index.arrays import map_array, save_array
from index.cagra import why_no_cagra
from index.card import CardScan, open_on_card
from index.coded import Pairs
from index.columns import Columns, Found
from index.completions import Completions, Phrase
from index.curve import Curve, Point, measured_curve, recall_at_k, recall_of_each, true_hits
from index.designs import DESIGNS
from index.exact import ExactIndex
from index.faiss_index import FaissIndex, num_cards, use_threads
from index.few_documents import FewDocuments
from index.filter_language import Expression, Field, field_named, parse, without, written
from index.lexical import Lenience, LexicalIndex, WordReader, check_synonyms
from index.milvus_index import Address, Milvus, MilvusIndex
from index.opening import open_index, save_index
from index.planning import SAMPLE, Before, Choice, Planned, Wanted, build_index, plan, survey
from index.reading import ReadAs
from index.shards import ShardedIndex, build_shards, open_sharded, plan_shards
from index.shards import tune as tune_sharded
from index.svs_index import SvsIndex, why_no_svs
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
    "DESIGNS",
    "SAMPLE",
    "Address",
    "ApproximateIndex",
    "Before",
    "CardScan",
    "Choice",
    "Columns",
    "Completions",
    "Curve",
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
    "Point",
    "ReadAs",
    "ShardedIndex",
    "SvsIndex",
    "SynonymError",
    "UnfitVectors",
    "Unreachable",
    "VectorIndex",
    "Wanted",
    "Way",
    "WordReader",
    "build_index",
    "build_shards",
    "check_synonyms",
    "field_named",
    "fit_vectors",
    "map_array",
    "measured_curve",
    "num_cards",
    "open_index",
    "open_on_card",
    "open_sharded",
    "parse",
    "plan",
    "plan_shards",
    "recall_at_k",
    "recall_of_each",
    "save_array",
    "save_index",
    "survey",
    "true_hits",
    "tune_sharded",
    "use_threads",
    "why_no_cagra",
    "why_no_svs",
    "without",
    "written",
]
