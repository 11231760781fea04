"""The one module that knows Milvus: its client, its limits, its collections and aliases."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Int64

from index.columns.filter_language import Expression
from index.columns.milvus_filters import (
    LONGEST_WORD,
    MOST_WORDS,
    milvus_columns,
    milvus_expression,
    milvus_rows,
)
from index.errors import DamagedIndex, Unreachable
from index.top_k import best
from index.types import FilterPlan, Hits, Way
from index.vectors.validation import fit_vectors, same_dimension

ROW, VECTOR = "row", "vector"
MOST_HITS = 16_384  # of one search, as Milvus has it
MOST_NAMED = 5_000  # rows that one expression names
SPARE = 32  # hits more than asked for, so that ties are cut by row
AT_ONCE = 1_000  # rows of one insert
EXACT = "FLAT"  # the kind of index that compares all


class Address(NamedTuple):
    """Where Milvus is, by `http://host:19530` or by a file that ends in .db, and how to enter."""

    uri: str
    token: str = ""
    seconds: float = 10.0  # that it may take to answer

    def __repr__(self) -> str:
        """Name the place, and neither the token nor what stands before the @ of an address."""
        parts = urlsplit(self.uri)
        place = f"{parts.scheme}://{parts.hostname}:{parts.port}" if parts.hostname else self.uri
        return f"Milvus at {place}"


class Milvus:
    """A connection, whose failures are ours: `Unreachable`, without a word of the token."""

    def __init__(self, address: Address) -> None:
        self._address = address
        with self._asked("be reached"):
            self._client = _client_of(address)

    def names(self, prefix: str) -> list[str]:
        """Return the collections whose names begin so."""
        with self._asked("list collections") as given:
            return [n for n in self._client.list_collections(**given) if n.startswith(prefix)]

    def drop(self, collection: str) -> None:
        """Remove a collection, and nothing where there is none; its aliases go with it."""
        with self._asked(f"drop {collection}") as given:
            if self._client.has_collection(collection, **given):
                for alias in self._aliases(collection):
                    self._client.drop_alias(alias, **given)
                self._client.drop_collection(collection, **given)

    def point(self, alias: str, collection: str) -> None:
        """Let an alias name this collection, in one step where it named another before."""
        with self._asked(f"point {alias} at {collection}") as given:
            held = alias in self._aliases(collection)
            known = held or self._is_alias(alias)
            call = self._client.alter_alias if known else self._client.create_alias
            if not held:
                call(collection_name=collection, alias=alias, **given)

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def _aliases(self, collection: str) -> list[str]:
        found = self._client.list_aliases(collection_name=collection)
        return list(found["aliases"])

    def _is_alias(self, name: str) -> bool:
        from pymilvus import MilvusException

        try:
            self._client.describe_alias(alias=name)
        except MilvusException:
            return False
        return True

    def call(self, what: str, method: str, *given: Any, **named: Any) -> Any:
        """Call the client, within the time that is allowed; `what` says in a message what fails."""
        with self._asked(what) as limits:
            return getattr(self._client, method)(*given, **named, **limits)

    @contextmanager
    def _asked(self, what: str) -> Iterator[dict[str, float]]:
        from pymilvus import MilvusException

        seconds = self._address.seconds
        try:
            yield {"timeout": seconds}
        except (MilvusException, OSError) as e:
            raise Unreachable(
                f"{self._address!r} could not {what} within {seconds:g} s: {self._reason(e)}; "
                "see that it runs there, that its token is right, and try again"
            ) from None

    def _reason(self, error: Exception) -> str:
        text = " ".join(str(getattr(error, "message", "") or type(error).__name__).split())
        for secret in filter(None, (self._address.token, urlsplit(self._address.uri).password)):
            text = text.replace(secret, "***")
        return text[:200]


class MilvusIndex:
    """Search in a collection of Milvus, whose rows are those of the catalogue."""

    def __init__(
        self,
        milvus: Milvus,
        collection: str,
        size: int,
        columns: pa.Schema | None = None,
        *,
        measured: float = 0.0,
    ) -> None:
        self._columns = pa.schema([]) if columns is None else columns
        self._milvus = milvus
        self._collection = collection
        self._size = size
        about = milvus.call(f"find {collection}", "describe_collection", collection)
        self._dim = _dim_of(about, collection)
        kind = milvus.call("name its index", "describe_index", collection, VECTOR)
        self._exactness = 1.0 if kind["index_type"] == EXACT else measured

    @classmethod
    def build(
        cls,
        milvus: Milvus,
        collection: str,
        vectors: Float32[np.ndarray, "n d"],
        rows: Int64[np.ndarray, "m"] | None = None,
        *,
        columns: pa.Table | None = None,
        kind: str = EXACT,
    ) -> "MilvusIndex":
        """Make and fill a collection; an old one of this name goes, a failed one is not left.

        `columns` are those of the whole catalogue that filters may name.
        """
        rows = np.arange(len(vectors)) if rows is None else rows
        schema = None if columns is None else columns.schema
        fit_vectors(vectors[rows], "index")
        milvus.drop(collection)
        _create(milvus, collection, _schema(vectors.shape[1], schema), kind)
        try:
            index = cls(milvus, collection, len(vectors), schema)
            for start in range(0, len(rows), AT_ONCE):
                part = rows[start : start + AT_ONCE]
                index.upsert(part, vectors[part], _taken(columns, part))
        except BaseException:
            milvus.drop(collection)
            raise
        return index

    @property
    def dim(self) -> int:
        """How many numbers a vector has."""
        return self._dim

    @property
    def size(self) -> int:
        """How many rows the catalogue has, with a vector or without."""
        return self._size

    @property
    def collection(self) -> str:
        """How Milvus calls it."""
        return self._collection

    def search(
        self,
        queries: Float32[np.ndarray, "q d"],
        k: int,
        allowed: Bool[np.ndarray, "n"] | None = None,
    ) -> list[Hits]:
        """Return at most `k` hits a query; rows are named to Milvus, those that pass or the others.

        A filter that both Milvus and we can read is asked for with `search_where`, which names no
        rows and costs less where many pass.
        """
        queries = self._fit(queries)
        if allowed is None:
            return self._ranged(queries, k, "")
        passed = np.flatnonzero(allowed)
        if self._size - len(passed) <= MOST_NAMED and len(passed) > MOST_NAMED:
            barred = _named(np.flatnonzero(~allowed))
            found = self._ranged(queries, k, f"not ({barred})" if barred else "")
        else:
            parts = [passed[i : i + MOST_NAMED] for i in range(0, len(passed), MOST_NAMED)]
            found = _merged(queries, [self._asked(queries, k, _named(p)) for p in parts], k)
        return [Hits(h.rows, h.scores, self.plan(allowed, len(h.rows), k)) for h in found]

    def search_where(
        self, queries: Float32[np.ndarray, "q d"], k: int, where: Expression
    ) -> list[Hits]:
        """Return at most `k` hits a query among the rows for which a filter holds, by Milvus.

        FilterError for what the columns lack that the collection was filled with.
        """
        return self._ranged(self._fit(queries), k, milvus_expression(where, self._columns))

    def plan(self, allowed: Bool[np.ndarray, "n"], found: int, k: int) -> FilterPlan:
        """Say what an answer is worth: all of it, or what the build measured without a filter."""
        passed = int(np.count_nonzero(allowed))
        every = passed <= k and found == passed
        exactness = 1.0 if every else self._exactness
        return FilterPlan(
            way=Way.SELECT, passed=passed, of=self._size, effort=0, exactness=exactness
        )

    def upsert(
        self,
        rows: Int64[np.ndarray, "m"],
        vectors: Float32[np.ndarray, "m d"],
        columns: pa.Table | None = None,
    ) -> None:
        """Put these rows in, in place of what they were; they are found from the next search on."""
        vectors = fit_vectors(vectors, "index") if len(rows) else vectors
        same_dimension(vectors, self._dim)
        for start in range(0, len(rows), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            stored = iter(()) if columns is None else milvus_rows(columns[part])
            records = [
                {ROW: row, VECTOR: vector, **next(stored, {})}
                for row, vector in zip(rows[part].tolist(), vectors[part], strict=True)
            ]
            self._milvus.call("store vectors", "upsert", self._collection, records)
        self._size = max(self._size, int(rows.max(initial=-1)) + 1)

    def delete(self, rows: Int64[np.ndarray, "m"]) -> None:
        """Take these rows out; they are found no more from the next search on."""
        for start in range(0, len(rows), AT_ONCE):
            ids = rows[start : start + AT_ONCE].tolist()
            self._milvus.call("delete vectors", "delete", self._collection, ids=ids)

    def _fit(self, queries: Float32[np.ndarray, "q d"]) -> Float32[np.ndarray, "q d"]:
        queries = fit_vectors(queries, "query")
        same_dimension(queries, self._dim)
        return queries

    def _ranged(self, queries: Float32[np.ndarray, "q d"], k: int, where: str) -> list[Hits]:
        """Search at once, or range by range where more is asked than Milvus gives at once."""
        if min(k, self._size) + SPARE <= MOST_HITS:
            return self._asked(queries, k, where)
        more = f" and ({where})" if where else ""
        ranges = [
            f"{ROW} >= {start} and {ROW} < {start + MOST_HITS}{more}"
            for start in range(0, self._size, MOST_HITS)
        ]
        return _merged(queries, [self._asked(queries, k, one) for one in ranges], k)

    def _asked(self, queries: Float32[np.ndarray, "q d"], k: int, where: str) -> list[Hits]:
        if not min(k, self._size):
            return [_hits([], k) for _ in queries]
        answers = self._milvus.call(
            "search",
            "search",
            self._collection,
            data=queries,
            filter=where,
            limit=min(k + SPARE, max(self._size, 1), MOST_HITS),
            output_fields=[ROW],
            anns_field=VECTOR,
        )
        return [_hits(answer, k) for answer in answers]


def _client_of(address: Address) -> Any:
    """Return a client; what it would log, with tracebacks, is in our error."""
    from pymilvus import MilvusClient

    for name in ("pymilvus", "milvus_lite", "grpc"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return MilvusClient(address.uri, token=address.token, timeout=address.seconds)


def _schema(dim: int, columns: pa.Schema | None) -> Any:
    """Return the fields of a collection: row, vector, and what filters read."""
    from pymilvus import DataType, MilvusClient

    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field(ROW, DataType.INT64, is_primary=True)
    schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=dim)
    for column, holds in (milvus_columns(columns) if columns else {}).items():
        if holds == "number":
            schema.add_field(column, DataType.DOUBLE)
            schema.add_field(f"known_{column[2:]}", DataType.BOOL)
        else:
            schema.add_field(
                column,
                DataType.ARRAY,
                element_type=DataType.VARCHAR,
                max_capacity=MOST_WORDS,
                max_length=LONGEST_WORD,
            )
    return schema


def _create(milvus: Milvus, name: str, schema: Any, kind: str) -> None:
    from pymilvus import MilvusClient

    index = MilvusClient.prepare_index_params()
    index.add_index(VECTOR, index_type=kind, metric_type="IP")
    milvus.call(
        f"make {name}",
        "create_collection",
        name,
        schema=schema,
        index_params=index,
        consistency_level="Strong",  # a search sees every change before it
    )


def _dim_of(about: dict[str, Any], collection: str) -> int:
    for field in about["fields"]:
        if field["name"] == VECTOR:
            return int(field["params"]["dim"])
    raise DamagedIndex(f"collection {collection} has no field {VECTOR!r}: it is not one of ours")


def _taken(columns: pa.Table | None, rows: Int64[np.ndarray, "m"]) -> pa.Table | None:
    """Return these rows, which ascend; only what lies between the first and the last is read."""
    if columns is None:
        return None
    first, last = int(rows[0]), int(rows[-1])
    return columns.slice(first, last - first + 1).take(rows - first)


def _named(rows: Int64[np.ndarray, "m"]) -> str:
    return f"{ROW} in [{','.join(map(str, rows.tolist()))}]" if len(rows) else ""


def _hits(answer: Any, k: int) -> Hits:
    rows = np.array([hit[ROW] for hit in answer], np.int64)
    scores = np.array([hit["distance"] for hit in answer], np.float32)
    return best(rows, scores, k)


def _merged(queries: Float32[np.ndarray, "q d"], parts: list[list[Hits]], k: int) -> list[Hits]:
    """Return the best of several answers to the same queries."""
    if not parts:
        return [_hits([], k) for _ in queries]
    return [
        best(np.concatenate([h.rows for h in one]), np.concatenate([h.scores for h in one]), k)
        for one in zip(*parts, strict=True)
    ]
