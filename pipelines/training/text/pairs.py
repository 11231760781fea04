"""Reads judged pairs of a query and a title, and splits their queries for training and tests."""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
from jaxtyping import Float32

from pipelines.errors import UserError, first_line
from pipelines.metrics.ranked_lists import ndcg_of_list

COLUMNS = {  # what is read: what a file may call it
    "query": ("query", "search_term"),
    "title": ("title", "product_title"),
    "relevance": ("relevance", "median_relevance"),
}
K = 10

Lists = Mapping[str, Mapping[str, float]]  # query -> title -> relevance in [0, 1]
Encode = Callable[[list[str]], Float32[np.ndarray, "n d"]]


class JudgmentsError(UserError):
    """A file of judgments that cannot be used; names the file and the columns."""


class Judgments(NamedTuple):
    """One file: its name, its fingerprint and the judged titles of each query."""

    name: str
    fingerprint: str
    lists: Lists


class Splits(NamedTuple):
    """Judged lists whose queries are in one of the three only."""

    training: Lists
    validation: Lists
    test: Lists


def read_judgments(path: Path) -> Judgments:
    """Read a Parquet or CSV file; the lowest relevance in it becomes 0 and the highest 1.

    A pair that is judged twice gets the mean; a row without query, title or number is left out.
    """
    table = _read(path)
    names = {wanted: _column(path, table, wanted) for wanted in COLUMNS}
    try:
        relevance = pc.cast(table[names["relevance"]], pa.float64()).to_pylist()
    except pa.ArrowInvalid as e:
        raise JudgmentsError(
            f"{path}: column {names['relevance']!r} must hold numbers: {e}"
        ) from None
    texts = (
        pc.cast(table[names[wanted]], pa.string()).to_pylist()
        for wanted in COLUMNS
        if wanted != "relevance"
    )
    rows = [
        (query.strip(), title.strip(), grade)
        for query, title, grade in zip(*texts, relevance, strict=True)
        if _has_words(query) and _has_words(title) and grade is not None and math.isfinite(grade)
    ]
    lists = _lists(_scaled(path, rows))
    return Judgments(f"{path.parent.name}/{path.name}", _fingerprint(path), lists)


def split(lists: Lists, test: float, validation: float, seed: int) -> Splits:
    """Split by the seeded hash of a query, so that it is on one side in whatever file it is.

    `test` is a share of all queries, `validation` one of what is left.
    """
    parts: tuple[dict[str, Mapping[str, float]], ...] = ({}, {}, {})
    for query, titles in lists.items():
        if _draw(query, f"test {seed}") < test:
            parts[2][query] = titles
        elif _draw(query, f"validation {seed}") < validation:
            parts[1][query] = titles
        else:
            parts[0][query] = titles
    return Splits(*parts)


def ranked_ndcg(encode: Encode, lists: Lists, dims: Iterable[int]) -> dict[int, list[float]]:
    """Rank the judged titles of each query by cosine; return nDCG@10 a query, for each cut.

    Vectors are cut to their first `dim` numbers. A tie is broken by the title.
    """
    texts = sorted({*lists, *(title for titles in lists.values() for title in titles)})
    row = {text: number for number, text in enumerate(texts)}
    vectors = encode(texts)
    return {dim: _ndcg_at(vectors[:, :dim], lists, row) for dim in dims}


def _ndcg_at(
    vectors: Float32[np.ndarray, "n d"], lists: Lists, row: Mapping[str, int]
) -> list[float]:
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    values = []
    for query, titles in lists.items():
        near = unit[[row[title] for title in titles]] @ unit[row[query]]
        ranking = sorted(zip(-near.round(6), titles, strict=True))
        values.append(ndcg_of_list([title for _, title in ranking], titles, K))
    return values


def _read(path: Path) -> pa.Table:
    try:
        if path.suffix.lower() == ".csv":
            return pyarrow.csv.read_csv(path)
        return pyarrow.parquet.read_table(path)
    except FileNotFoundError:
        raise JudgmentsError(f"{path}: there is no such file; give a Parquet or CSV file") from None
    except (OSError, pa.ArrowException) as e:
        raise JudgmentsError(f"{path} is not readable as Parquet or CSV: {first_line(e)}") from None


def _column(path: Path, table: pa.Table, wanted: str) -> str:
    for name in COLUMNS[wanted]:
        if name in table.column_names:
            return name
    raise JudgmentsError(
        f"{path} has the columns {', '.join(table.column_names)}; it needs one called "
        f"{' or '.join(COLUMNS[wanted])}"
    )


def _scaled(path: Path, rows: list[tuple[str, str, float]]) -> list[tuple[str, str, float]]:
    grades = [grade for *_, grade in rows]
    low, high = min(grades, default=0.0), max(grades, default=0.0)
    if not low < high:
        raise JudgmentsError(
            f"{path} holds {len(rows):,} judged pairs, all of relevance {low:g}; there must be "
            "at least two grades to learn from"
        )
    return [(query, title, (grade - low) / (high - low)) for query, title, grade in rows]


def _lists(rows: list[tuple[str, str, float]]) -> Lists:
    found: dict[str, dict[str, list[float]]] = {}
    for query, title, grade in rows:
        found.setdefault(query, {}).setdefault(title, []).append(grade)
    return {
        query: {title: sum(grades) / len(grades) for title, grades in titles.items()}
        for query, titles in found.items()
    }


def _has_words(text: str | None) -> bool:
    return bool(text and text.strip())


def _fingerprint(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def _draw(query: str, salt: str) -> float:
    digest = hashlib.blake2b(f"{salt}\0{query.casefold()}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
