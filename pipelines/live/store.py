"""Changed products in memory, in the order in which they came: records, vectors and words."""

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from index import DeltaIndex
from pipelines.live.base import Base
from pipelines.live.records import Record, batch_of
from pipelines.shop.schemas import PRODUCT_SCHEMA

MOST_CHUNKS = 32


class Store:
    """Records, vectors and words in the order in which they came; nothing in it is changed."""

    def __init__(self, base: Base) -> None:
        self.records: list[Record] = []
        self.vectors = np.empty((64, base.parts.joined_vectors.shape[1]), np.float32)
        self.words = DeltaIndex(base.parts.lexical)
        self.stand_ins: dict[int, int] = {}  # by place of a new product's vector
        self._chunks: list[pa.RecordBatch] = []
        self._in_chunks = 0

    @property
    def count(self) -> int:
        """How many vectors there are, and texts as many."""
        return self.words.size

    def add_record(self, record: Record) -> int:
        """Keep a record and return its place."""
        self.records.append(record)
        return len(self.records) - 1

    def add_content(self, words: dict[str, str], vector: Float32[np.ndarray, "d"]) -> int:
        """Keep what is searched and return its place."""
        if self.count == len(self.vectors):
            self.vectors = np.concatenate([self.vectors, np.empty_like(self.vectors)])
        self.vectors[self.count] = vector
        return self.words.add(words)

    def table(self) -> pa.Table:
        """Return all records as a table."""
        fresh = self.records[self._in_chunks :]
        if fresh:
            self._chunks.append(batch_of(fresh))
            self._in_chunks += len(fresh)
        if len(self._chunks) > MOST_CHUNKS:
            whole = pa.Table.from_batches(self._chunks, PRODUCT_SCHEMA)
            self._chunks = whole.combine_chunks().to_batches()
        return pa.Table.from_batches(self._chunks, PRODUCT_SCHEMA)
