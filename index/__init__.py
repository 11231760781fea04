"""Search over vectors, words and columns; nothing here knows what a product is."""

from index.arrays import distinct, map_array, save_array
from index.columns.dictionaries import RowCodes
from index.columns.filter_language import (
    Expression,
    Field,
    compares_keys,
    field_named,
    parse,
    single_values,
    without,
    written,
)
from index.columns.table import Columns, RowLookup
from index.errors import (
    DamagedIndex,
    DimensionMismatch,
    FilterError,
    IndexFault,
    UnfitVectors,
    Unreachable,
)
from index.gpu_presence import may_have_gpu
from index.types import FilterPlan, FiltersItself, Hits, VectorIndex, Way
from index.vectors.approximate import ApproximateIndex
from index.vectors.files import open_index, open_on_gpu, save_index
from index.vectors.libraries.cagra import why_no_cagra
from index.vectors.libraries.faiss_index import FaissIndex, num_gpus, use_threads
from index.vectors.libraries.milvus_index import Address, Milvus, MilvusIndex
from index.vectors.libraries.shards import ShardedIndex, build_shards, open_sharded, plan_shards
from index.vectors.libraries.shards import tune as tune_sharded
from index.vectors.libraries.svs_index import SvsIndex, why_no_svs
from index.vectors.planning.designs import DESIGNS
from index.vectors.planning.planning import (
    SAMPLE,
    DesignTrial,
    IndexRequirements,
    PlannedIndex,
    PreviousIndex,
    build_index,
    plan,
    survey,
)
from index.vectors.planning.recall_curve import (
    Point,
    RecallCurve,
    measured_curve,
    recall_at_k,
    recall_of_each,
    true_hits,
)
from index.vectors.scans.exact import ExactIndex
from index.vectors.scans.gpu_scan import GpuScan
from index.vectors.validation import fit_vectors
from index.words.completions import Completions, Phrase
from index.words.delta_index import DeltaIndex
from index.words.lexical_files import QueryRelaxation, check_synonyms
from index.words.lexical_index import LexicalIndex
from index.words.queries.operators import read_operators
from index.words.queries.parsed_query import QueryRewrite
from index.words.queries.synonyms import SynonymError
from index.words.queries.word_matches import WordMatches
from index.words.terms.analysis import WordReader

__all__ = [
    "DESIGNS",
    "SAMPLE",
    "Address",
    "ApproximateIndex",
    "Columns",
    "Completions",
    "DamagedIndex",
    "DeltaIndex",
    "DesignTrial",
    "DimensionMismatch",
    "ExactIndex",
    "Expression",
    "FaissIndex",
    "Field",
    "FilterError",
    "FilterPlan",
    "FiltersItself",
    "GpuScan",
    "Hits",
    "IndexFault",
    "IndexRequirements",
    "LexicalIndex",
    "Milvus",
    "MilvusIndex",
    "Phrase",
    "PlannedIndex",
    "Point",
    "PreviousIndex",
    "QueryRelaxation",
    "QueryRewrite",
    "RecallCurve",
    "RowCodes",
    "RowLookup",
    "ShardedIndex",
    "SvsIndex",
    "SynonymError",
    "UnfitVectors",
    "Unreachable",
    "VectorIndex",
    "Way",
    "WordMatches",
    "WordReader",
    "build_index",
    "build_shards",
    "check_synonyms",
    "compares_keys",
    "distinct",
    "field_named",
    "fit_vectors",
    "map_array",
    "may_have_gpu",
    "measured_curve",
    "num_gpus",
    "open_index",
    "open_on_gpu",
    "open_sharded",
    "parse",
    "plan",
    "plan_shards",
    "read_operators",
    "recall_at_k",
    "recall_of_each",
    "save_array",
    "save_index",
    "single_values",
    "survey",
    "true_hits",
    "tune_sharded",
    "use_threads",
    "why_no_cagra",
    "why_no_svs",
    "without",
    "written",
]
