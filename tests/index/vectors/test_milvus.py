"""What is Milvus's own: filters as it reads them, live changes, aliases, and what fails."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index import Address, FilterError, IndexFault, Milvus, MilvusIndex, UnfitVectors, Unreachable
from index.columns.filter_language import (
    AnyOf,
    Between,
    Both,
    Bound,
    Compare,
    Either,
    Expression,
    Field,
    Negation,
    parse,
    written,
)
from index.columns.filter_masks import passing
from index.columns.milvus_filters import milvus_expression
from tests.assertions import each

pytest.importorskip("pymilvus", reason="needs the extra milvus")
pytest.importorskip("milvus_lite", reason="needs milvus-lite, which comes with the extra milvus")

WORDS = [
    "North",
    "Süd & Co",
    'a "b"',
    "c\\d",
    "",
    " ",
    "_x",
    "x" * 3000,
    "a\0b",
    "Food > Bread",
    "红",
]
PATHS = ["Food", "Food > Bread", "Food > Bread > Rye", "Foods", "Drinks > Tea"]
KEYS = ["colour", "size (EU)", "a: b", "颜色"]
NUMBERS = [0.0, -1.5, 3.0, 1e300, 5e-324, 42.0, float("inf"), float("nan")]
SIZE = 40


@pytest.fixture(scope="module")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Milvus]:
    milvus = Milvus(Address(str(tmp_path_factory.mktemp("milvus") / "index.db")))
    yield milvus
    milvus.close()


@pytest.fixture(scope="module")
def table() -> pa.Table:
    draw = np.random.default_rng(3)

    def some(values: list, most: int) -> list:
        return [values[i] for i in draw.integers(len(values), size=draw.integers(most + 1))]

    def one(values: list) -> object:
        return None if draw.random() < 0.2 else values[draw.integers(len(values))]

    pairs = pa.map_(pa.string(), pa.string())
    return pa.table(
        {
            "brand": pa.array([one(WORDS) for _ in range(SIZE)], pa.string()),
            "categories": pa.array([some(PATHS, 2) for _ in range(SIZE)], pa.list_(pa.string())),
            "tags": pa.array([one([some(WORDS, 3)]) for _ in range(SIZE)], pa.list_(pa.string())),
            "price": pa.array([one(NUMBERS) for _ in range(SIZE)], pa.float64()),
            "stock": pa.array([one([0, -3, 7, 2**62]) for _ in range(SIZE)], pa.int64()),
            "attributes": pa.array(
                [[(k, one(WORDS)) for k in some(KEYS, 2)] for _ in range(SIZE)], pairs
            ),
        }
    )


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    drawn = np.random.default_rng(0).normal(size=(SIZE, 8))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype("float32")


@pytest.fixture(scope="module")
def filtered(milvus: Milvus, table: pa.Table, vectors: np.ndarray) -> MilvusIndex:
    return MilvusIndex.build(milvus, "filtered", vectors, columns=table)


WordField = st.sampled_from(
    [Field("brand"), Field("tags"), *(Field("attributes", key) for key in KEYS)]
)
NumberField = st.sampled_from([Field("price"), Field("stock")])
Number = st.sampled_from([n for n in NUMBERS if n == n] + [-3.0, 7.0, 2.0**62])
Ends = st.builds(Bound, st.none() | Number, st.booleans())
Leaf = st.one_of(
    st.builds(AnyOf, WordField, st.lists(st.sampled_from(WORDS), min_size=1).map(tuple)),
    st.builds(
        AnyOf, st.just(Field("categories")), st.lists(st.sampled_from(PATHS), min_size=1).map(tuple)
    ),
    st.builds(Between, NumberField, Ends, Ends),
    st.builds(Compare, NumberField, st.sampled_from(["<", "<=", ">", ">=", "="]), Number),
)
Trees = st.recursive(
    Leaf,
    lambda inner: st.one_of(
        st.builds(Negation, inner),
        st.builds(Both, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Either, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@given(tree=Trees)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_milvus_passes_the_rows_that_arrow_passes(
    filtered: MilvusIndex, table: pa.Table, vectors: np.ndarray, tree: Expression
) -> None:
    [hits] = filtered.search_where(vectors[:1], SIZE, tree)

    assert set(hits.rows) == set(np.flatnonzero(passing(table, tree))), written(tree)


@pytest.mark.parametrize("text", ["colour < 5", 'price: ANY("a")', "attributes < 4", "brand > 1"])
def test_a_filter_that_does_not_fit_the_columns_is_refused_as_everywhere(
    table: pa.Table, text: str
) -> None:
    with pytest.raises(FilterError, match="at position 1"):
        milvus_expression(parse(text), table.schema)


def test_no_word_of_a_filter_can_leave_its_quotes(table: pa.Table) -> None:
    hostile = AnyOf(Field("brand"), ('x"]) or row >= 0 or array_contains_any(c_brand, ["', "\\"))

    text = milvus_expression(hostile, table.schema)

    assert text.count('"') == 4
    assert "row" not in text
    assert "\\" not in text


def test_what_was_put_in_is_found_in_the_next_search_and_what_was_taken_out_is_not(
    milvus: Milvus, vectors: np.ndarray
) -> None:
    index = MilvusIndex.build(milvus, "live", vectors[:20])

    index.upsert(np.array([30, 3]), np.stack([vectors[30], -vectors[3]]))
    index.delete(np.array([5, 6]))
    [hits] = index.search(vectors[30:31], 100)
    [moved] = index.search(-vectors[3:4], 1)

    assert set(hits.rows) == set(range(20)) - {5, 6} | {30}
    assert hits.rows[0] == 30
    assert list(moved.rows) == [3]
    assert index.size == 31


def test_an_upsert_changes_what_filters_see(
    milvus: Milvus, table: pa.Table, vectors: np.ndarray
) -> None:
    index = MilvusIndex.build(milvus, "edited", vectors, columns=table)
    cheap = table.slice(0, 1).set_column(
        table.column_names.index("price"), "price", pa.array([0.25])
    )

    index.upsert(np.array([11]), vectors[11:12], cheap)
    [hits] = index.search_where(vectors[:1], SIZE, parse("price = 0.25"))

    assert list(hits.rows) == [11]


@pytest.mark.parametrize("passed", [3, 30, 95, 100])
def test_rows_are_found_by_name_however_many_pass(
    milvus: Milvus, monkeypatch: pytest.MonkeyPatch, passed: int
) -> None:
    monkeypatch.setattr("index.vectors.libraries.milvus_index.MOST_NAMED", 10)
    monkeypatch.setattr("index.vectors.libraries.milvus_index.MOST_HITS", 40)
    drawn = np.random.default_rng(1).normal(size=(100, 4)).astype("float32")
    allowed = np.arange(100) < passed
    index = MilvusIndex.build(milvus, "named", drawn)

    [hits] = index.search(drawn[:1], 100, allowed)

    assert set(hits.rows) == set(range(passed))
    assert list(hits.scores) == sorted(hits.scores, reverse=True)
    assert hits.plan is not None
    assert (hits.plan.passed, hits.plan.of, hits.plan.exactness) == (passed, 100, 1.0)


def test_more_hits_than_milvus_gives_at_once_are_gathered(
    milvus: Milvus, monkeypatch: pytest.MonkeyPatch, vectors: np.ndarray
) -> None:
    monkeypatch.setattr("index.vectors.libraries.milvus_index.MOST_HITS", 7)
    index = MilvusIndex.build(milvus, "gathered", vectors)

    [hits] = index.search(vectors[:1], SIZE)

    assert set(hits.rows) == set(range(SIZE))


def test_an_alias_moves_from_one_collection_to_the_next(
    milvus: Milvus, vectors: np.ndarray
) -> None:
    for name in ("first", "second"):
        MilvusIndex.build(milvus, name, vectors)
        milvus.point("products", name)
        milvus.point("products", name)

    found = MilvusIndex(milvus, "products", SIZE)
    milvus.drop("first")
    [hits] = found.search(vectors[:1], 1)
    milvus.drop("second")

    assert list(hits.rows) == [0]
    assert milvus.names("first") == milvus.names("second") == []


def test_a_build_that_fails_leaves_no_collection(milvus: Milvus, vectors: np.ndarray) -> None:
    crowded = pa.table({"tags": [[str(i) for i in range(5000)]] * SIZE})

    with pytest.raises(IndexFault, match="'tags' has a row with 5,000 values"):
        MilvusIndex.build(milvus, "crowded", vectors, columns=crowded)

    assert milvus.names("crowded") == []


def test_an_upsert_of_what_is_not_a_number_is_refused(milvus: Milvus, vectors: np.ndarray) -> None:
    index = MilvusIndex.build(milvus, "unfit", vectors)

    with pytest.raises(UnfitVectors, match="vector 0 of 1 is not a number"):
        index.upsert(np.array([1]), np.full((1, 8), np.nan, "float32"))


def test_a_collection_that_is_gone_is_named(milvus: Milvus) -> None:
    with pytest.raises(Unreachable, match="could not find gone"):
        MilvusIndex(milvus, "gone", 5)


def test_a_server_that_is_not_there_is_named_and_its_token_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    address = Address("http://me:secret@127.0.0.1:1", token="root:hidden", seconds=1.5)

    with pytest.raises(Unreachable, match=r"Milvus at http://127\.0\.0\.1:1 could not") as refused:
        Milvus(address)

    said = str(refused.value) + caplog.text + repr(address)
    assert "secret" not in said
    assert "hidden" not in said
    assert "Traceback" not in said


def test_a_saved_collection_answers_as_it_did(tmp_path: Path, vectors: np.ndarray) -> None:
    address = Address(str(tmp_path / "kept.db"))
    first = Milvus(address)
    before = MilvusIndex.build(first, "kept", vectors).search(vectors, 5)
    first.close()

    again = Milvus(address)
    after = MilvusIndex(again, "kept", SIZE).search(vectors, 5)

    for one, other in each(zip(before, after, strict=True)):
        np.testing.assert_array_equal(one.rows, other.rows)
    again.close()
