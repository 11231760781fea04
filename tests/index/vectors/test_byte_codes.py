from pathlib import Path
from typing import Any

import faiss
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import index.vectors.approximate
import index.vectors.planning.planning
import index.vectors.scans.byte_codes
from index import (
    DamagedIndex,
    ExactIndex,
    FaissIndex,
    Hits,
    IndexRequirements,
    Way,
    build_index,
    open_index,
)
from index.vectors.files import save_index
from index.vectors.filtered_search import IndexShape, choose, scans_bytes
from index.vectors.planning.designs import design_named
from index.vectors.scans.byte_codes import LEAST_DIM, BestRows, ByteCodes
from tests.assertions import each

ROWS = np.arange(30_000)


def vectors(num_rows: int = len(ROWS), dim: int = 48, seed: int = 0) -> np.ndarray:
    """Return vectors with a centre, and numbers of uneven width: one is twenty times as wide."""
    random = np.random.default_rng(seed)
    width = np.where(np.arange(dim) == 7, 20, random.uniform(0.5, 1.5, dim))
    made = random.normal(size=(num_rows, dim)) * width + random.normal(size=dim) * 5
    return made.astype("float32") / 10


def share_found(found: Hits, true: Hits) -> float:
    return float(np.mean(found.scores >= true.scores[-1] - 1e-4))


def kept(scores: np.ndarray, favour: str, share: float) -> np.ndarray:
    random = np.random.default_rng(1).random(len(scores))
    keys = {"random": random, "towards": -scores, "against": scores}[favour]
    return np.argsort(np.argsort(keys)) < share * len(scores)


@pytest.mark.parametrize("favour", ["random", "towards", "against"])
@pytest.mark.parametrize("share", [0.7, 0.5])
def test_a_scan_of_bytes_finds_the_best_that_pass_wherever_they_lie(
    favour: str, share: float
) -> None:
    held = vectors()
    codes = coded(held)

    for query in each(vectors(5, seed=2)):
        allowed = kept(held @ query, favour, share)
        among = scanned(codes, held, query[None], 100, allowed)
        [true] = ExactIndex(held).search(query[None], 100, allowed)

        assert among is not None
        assert allowed[among.hits.rows].all()
        assert share_found(among.hits, true) >= 0.98
        assert 0.98 <= among.exactness <= 1.0
        np.testing.assert_allclose(among.hits.scores, held[among.hits.rows] @ query, rtol=1e-5)


@given(seed=st.integers(0, 1_000), dim=st.integers(1, 70))
def test_a_score_by_bytes_is_off_by_no_more_than_half_a_step_of_each_number(
    seed: int, dim: int
) -> None:
    held = vectors(200, dim, seed)
    [query] = vectors(1, dim, seed + 1).astype("float64")
    codes = coded(held)

    places, rough = codes._nearest(codes._quantised(query), 200, faiss.IDSelectorRange(0, 200))

    weights = np.abs(query * codes._scales.step)
    most = weights.sum() / 2 + 127 * dim * (weights.max() / 127) / 2 + dim * weights.max()
    off = np.abs(rough - held[places] @ query)
    assert sorted(places) == list(range(200))
    assert np.delete(off, np.flatnonzero(np.isin(places, codes._apart))).max() <= most


def test_what_bytes_are_off_by_is_known_before_any_row_is_seen() -> None:
    held, [query] = vectors(5_000), vectors(1, seed=2).astype("float64")
    codes = coded(held)

    asked = codes._quantised(query)
    places, rough = codes._nearest(asked, 5_000, faiss.IDSelectorRange(0, 5_000))

    off = rough - held[places] @ query
    assert np.sqrt(np.mean(off**2)) == pytest.approx(asked.error, rel=0.1)


def test_a_second_look_goes_as_deep_as_the_first_one_reckons(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held, query, allowed = against_half()
    [true] = ExactIndex(held).search(query, 100, allowed)
    codes = coded(held)
    depths: list[int] = []
    nearest = codes._nearest

    def recording(asked: Any, depth: int, selector: Any) -> Any:
        depths.append(depth)
        return nearest(asked, depth, selector)

    monkeypatch.setattr(codes, "_nearest", recording)

    among = codes.best(codes.estimate(held, query, 100, allowed)._replace(near=150))

    assert among is not None
    assert len(depths) == 2
    assert depths[0] == 250 < depths[1]
    assert share_found(among.hits, true) >= 0.98


def test_an_answer_that_may_miss_some_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    held, query, allowed = against_half()
    [true] = ExactIndex(held).search(query, 100, allowed)
    codes = coded(held)
    monkeypatch.setattr(index.vectors.scans.byte_codes, "MISSED", 1.0)

    among = codes.best(codes.estimate(held, query, 100, allowed)._replace(near=100))

    assert among is not None
    found = share_found(among.hits, true)
    assert 0.5 < found < 0.99
    assert 0 < among.exactness < found + 0.05


def against_half() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    held, query = vectors(), vectors(1, seed=2)
    return held, query, kept(held @ query[0], "against", 0.5)


def test_a_filter_against_the_query_is_known_by_a_few_rows_that_pass() -> None:
    held = vectors()
    codes = coded(held)

    for query in each(vectors(5, seed=2)):
        scores = held @ query
        crowded = {
            favour: codes.estimate(held, query[None], 100, kept(scores, favour, 0.5)).is_crowded
            for favour in ("random", "towards", "against")
        }
        assert crowded == {"random": False, "towards": False, "against": True}


def test_where_too_many_rows_are_nearly_as_good_all_are_compared() -> None:
    held = np.tile(vectors(1), (20_000, 1))

    assert scanned(coded(held), held, held[:1], 10, np.ones(len(held), bool)) is None


def test_rows_of_two_kinds_do_not_pass_for_sure() -> None:
    """Those scored again have no error of bytes, those that were left have much."""
    random, step = np.random.default_rng(0), 1 / 127
    others = np.column_stack(
        [np.full(20_000, 0.05), np.full(20_000, -0.2), random.uniform(-1, 1, (20_000, 9))]
    )
    few = np.zeros((600, 11))
    few[:, 0], few[:, 1] = 0.05, np.repeat(np.arange(-25, 125), 4) * step
    held = np.vstack([few, others, np.ones((1, 11)), -np.ones((1, 11))]).astype("float32")
    query = np.array([[1, step, *[1 / 256] * 9]], "float32")
    allowed = np.arange(len(held)) < len(held) - 2

    among = scanned(coded(held), held, query, 100, allowed)

    [true] = ExactIndex(held).search(query, 100, allowed)
    assert among is None or share_found(among.hits, true) >= 0.98


@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_a_row_far_from_all_others_stands_apart_and_makes_no_steps_coarse(scale: float) -> None:
    held, query = vectors() * np.float32(scale), vectors(1, seed=2)
    held[7] *= 400
    allowed = kept(held @ query[0], "against", 0.5)
    allowed[7] = True

    codes = coded(held)
    among = scanned(codes, held, query, 100, allowed)

    [true] = ExactIndex(held).search(query, 100, allowed)
    assert 7 in codes._apart
    assert len(codes._apart) < 10
    assert among is not None
    assert np.mean(np.isin(true.rows, among.hits.rows)) >= 0.98


def test_where_many_rows_lie_far_from_the_others_bytes_reach_them() -> None:
    held, query = vectors(), vectors(1, seed=2)
    held[::4] += 20
    everyone = np.ones(len(held), bool)

    codes = coded(held)
    among = scanned(codes, held, query, 100, everyone)

    [true] = ExactIndex(held).search(query, 100, everyone)
    assert len(codes._apart) == 0
    assert among is not None
    assert share_found(among.hits, true) >= 0.98


def test_where_no_bytes_fill_the_rows_up_there_are_none() -> None:
    held = np.abs(vectors(5_000, 600))
    held[::2] = 0.001

    assert ByteCodes.build(held, np.arange(5_000)) is None


def test_few_rows_are_compared_in_full() -> None:
    held = vectors(50)

    assert scanned(coded(held), held, held[:1], 100, np.arange(50) < 20) is None


def test_only_what_is_proven_is_called_exact() -> None:
    held = vectors()

    among = scanned(coded(held), held, held[:1], 10, ROWS % 2 == 0)

    assert among is not None
    assert among.exactness < 1
    assert msgspec.json.encode(among.exactness)  # a number of Python, not of numpy


def test_a_product_without_a_vector_is_never_found_by_bytes() -> None:
    held = vectors()
    rows = ROWS[::2]
    codes = ByteCodes.build(held, rows)
    query = vectors(1, seed=2)

    assert codes is not None
    among = scanned(codes, held, query, 100, np.ones(len(rows), bool))

    [true] = ExactIndex(held).search(query, 100, ROWS % 2 == 0)
    assert among is not None
    assert share_found(among.hits, true) == 1.0
    assert (among.hits.rows % 2 == 0).all()


def scanned(
    codes: ByteCodes, held: np.ndarray, query: np.ndarray, k: int, allowed: np.ndarray
) -> BestRows | None:
    return codes.best(codes.estimate(held, query, k, allowed))


def coded(held: np.ndarray) -> ByteCodes:
    codes = ByteCodes.build(held, np.arange(len(held)))
    assert codes is not None
    return codes


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index.vectors.planning.planning, "FLAT_BELOW", 1_000)
    monkeypatch.setattr(
        index.vectors.approximate, "scans_bytes", lambda shape, passed, k: shape.has_bytes
    )


@pytest.mark.usefixtures("few_are_many")
def test_a_planned_index_keeps_its_bytes_when_it_is_saved(tmp_path: Path) -> None:
    held, query = vectors(3_000, LEAST_DIM), vectors(1, LEAST_DIM, seed=2)
    asked = vectors(20, LEAST_DIM, seed=3)
    built = build_index(held, asked, IndexRequirements(factory="IVF16,Flat", k=10)).built
    allowed = kept(held @ query[0], "against", 0.9)

    save_index(built, tmp_path / "some.faiss")
    opened = open_index(tmp_path / "some.faiss", held)

    assert opened.codes is not None
    assert opened.shape.has_bytes
    [before], [after] = (one.search(query, 10, allowed) for one in (built, opened))
    [true] = ExactIndex(held).search(query, 10, allowed)
    np.testing.assert_array_equal(before.rows, after.rows)
    assert after.plan is not None
    assert (after.plan.way, after.plan.exactness < 1) == (Way.SCAN, True)
    assert share_found(after, true) >= 0.98

    save_index(built, tmp_path / "other.faiss")
    built.codes = None
    save_index(built, tmp_path / "other.faiss")
    assert open_index(tmp_path / "other.faiss", held).codes is None


@pytest.mark.usefixtures("few_are_many")
def test_few_or_short_rows_and_little_memory_are_without_bytes() -> None:
    def built(rows: int, dim: int, **asked: Any) -> ByteCodes | None:
        held = vectors(rows, dim)
        return build_index(
            held, vectors(20, dim, seed=3), IndexRequirements(k=10, **asked)
        ).built.codes

    whole = built(1_500, LEAST_DIM, kind="ivf")
    assert whole is not None
    needed = design_named("ivf").num_bytes(1_500, LEAST_DIM) + whole.num_bytes

    assert built(900, LEAST_DIM, kind="ivf") is None
    assert built(1_500, LEAST_DIM - 1, kind="ivf") is None
    assert built(1_500, LEAST_DIM, kind="flat") is None  # it compares all as it is
    assert built(1_500, LEAST_DIM, kind="ivf", memory_bytes=needed) is not None
    assert built(1_500, LEAST_DIM, kind="ivf", memory_bytes=needed - 1) is None
    assert built(1_500, LEAST_DIM, factory="IVF4,Flat", memory_bytes=10**9) is None


def test_nobody_is_asked_for_and_nobody_is_found() -> None:
    held = vectors(1_000)
    some = FaissIndex.build(held)
    some.codes = coded(held)

    [hits] = some.search(held[:1], 0, np.arange(1_000) < 900)

    assert len(hits.rows) == 0


def test_an_index_without_bytes_is_opened_as_before(tmp_path: Path) -> None:
    held = vectors(100)
    save_index(FaissIndex.build(held), tmp_path / "some.faiss")

    assert open_index(tmp_path / "some.faiss", held).codes is None


def test_bytes_of_another_index_are_refused(tmp_path: Path) -> None:
    held = vectors(100)
    for name, codes in (("other", coded(held[:99])), ("cut", coded(held)), ("lone", coded(held))):
        FaissIndex.build(held).save(tmp_path / f"{name}.faiss")
        codes.save(tmp_path / f"{name}.faiss")
    (tmp_path / "cut.bytes.faiss").write_bytes(b"no index")
    (tmp_path / "lone.bytes.npy").unlink()

    with pytest.raises(DamagedIndex, match="holds 99 rows"):
        open_index(tmp_path / "other.faiss", held)
    with pytest.raises(DamagedIndex, match="cannot be read"):
        open_index(tmp_path / "cut.faiss", held)
    with pytest.raises(DamagedIndex, match="cannot be read"):
        open_index(tmp_path / "lone.faiss", held)


def test_bytes_are_read_first_where_that_is_less_work() -> None:
    shape = IndexShape("closed", rows=100_000, effort=64, most=100_000, has_bytes=True)

    assert scans_bytes(shape, 50_000, k=100)
    assert not scans_bytes(shape, 2_000, k=100)
    assert not scans_bytes(shape._replace(has_bytes=False), 50_000, k=100)


def test_where_bytes_make_a_scan_cheap_more_is_scanned() -> None:
    cells = IndexShape("cells", rows=100_000, effort=128, most=1_024)

    assert choose(cells, 60_000, k=100).way is Way.SELECT
    assert choose(cells._replace(has_bytes=True), 60_000, k=100).way is Way.SCAN
