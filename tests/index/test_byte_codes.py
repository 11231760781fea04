from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import index.byte_codes
import index.planning
from index import DamagedIndex, ExactIndex, FaissIndex, Hits, Way, build_index, open_index
from index.byte_codes import ByteCodes
from index.filtered import Shape, choose, scans_bytes
from index.opening import save_index
from index.planning import FLAT_BELOW

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
@pytest.mark.parametrize("share", [0.5, 0.2])
def test_a_scan_of_bytes_finds_the_best_that_pass_wherever_they_lie(
    favour: str, share: float
) -> None:
    held = vectors()
    codes = ByteCodes.build(held, ROWS)

    for query in vectors(5, seed=2):
        allowed = kept(held @ query, favour, share)
        among = codes.best(held, query[None], 100, allowed)
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
    [query] = vectors(1, dim, seed + 1)
    codes = ByteCodes.build(held, np.arange(200))

    places, rough = codes._nearest(query, 200, everyone(200))

    scale = np.ptp(held, axis=0) / 254
    step = np.abs(query * scale).max() / 127
    most = np.abs(query * scale).sum() / 2 + 127 * dim * step / 2 + dim * step / 4
    assert sorted(places) == list(range(200))
    assert np.abs(rough - held[places] @ query).max() <= most + 1e-4 * np.abs(rough).max()


def everyone(count: int) -> faiss.IDSelector:
    return faiss.IDSelectorRange(0, count)


def test_a_second_look_goes_as_deep_as_the_first_one_reckons(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = vectors()
    query = vectors(1, seed=2)
    allowed = kept(held @ query[0], "against", 0.5)
    [true] = ExactIndex(held).search(query, 100, allowed)
    codes = ByteCodes.build(held, ROWS)
    monkeypatch.setattr(index.byte_codes, "AGAIN", 0)
    depths: list[int] = []
    nearest = codes._nearest

    def recording(q: np.ndarray, depth: int, selector: Any) -> Any:
        depths.append(depth)
        return nearest(q, depth, selector)

    monkeypatch.setattr(codes, "_nearest", recording)
    among = codes.best(held, query, 100, allowed)

    assert among is not None
    assert len(depths) == 2
    assert depths[0] == 100 < depths[1]
    assert share_found(among.hits, true) >= 0.98


def test_an_answer_that_misses_some_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    held = vectors()
    query = vectors(1, seed=2)
    allowed = kept(held @ query[0], "against", 0.5)
    [true] = ExactIndex(held).search(query, 100, allowed)
    monkeypatch.setattr(index.byte_codes, "AGAIN", 100)
    monkeypatch.setattr(index.byte_codes, "MISSED", 1.0)

    among = ByteCodes.build(held, ROWS).best(held, query, 100, allowed)

    assert among is not None
    found = share_found(among.hits, true)
    assert 0.5 < found < 0.95
    assert 0 < among.exactness < found + 0.05


def test_rows_that_are_all_alike_are_all_right() -> None:
    held = np.tile(vectors(1), (5_000, 1))

    among = ByteCodes.build(held, np.arange(5_000)).best(held, held[:1], 10, ROWS[:5_000] >= 9)

    assert among is not None
    assert len(set(among.hits.rows)) == 10
    assert among.hits.rows.min() >= 9
    np.testing.assert_allclose(among.hits.scores, held[0] @ held[0], rtol=1e-5)


def test_fewer_rows_than_asked_for_are_all_found() -> None:
    held = vectors(50)

    among = ByteCodes.build(held, np.arange(50)).best(held, held[:1], 100, np.arange(50) < 20)

    assert among is not None
    assert sorted(among.hits.rows) == list(range(20))
    assert among.exactness == 1.0


def test_a_product_without_a_vector_is_never_found_by_bytes() -> None:
    held = vectors()
    rows = ROWS[::2]
    codes = ByteCodes.build(held, rows)
    query = vectors(1, seed=2)

    among = codes.best(held, query, 100, np.ones(len(rows), bool))

    [true] = ExactIndex(held).search(query, 100, ROWS % 2 == 0)
    assert among is not None
    assert share_found(among.hits, true) == 1.0
    assert (among.hits.rows % 2 == 0).all()


def test_a_planned_index_keeps_its_bytes_when_it_is_saved(tmp_path: Path) -> None:
    held, query = vectors(FLAT_BELOW), vectors(1, seed=2)
    built = build_index(held, vectors(20, seed=3), factory="IVF16,Flat").built
    allowed = kept(held @ query[0], "against", 0.9)

    save_index(built, tmp_path / "some.faiss")
    opened = open_index(tmp_path / "some.faiss", held)

    assert opened.codes is not None
    assert opened.shape.has_bytes
    [before], [after] = (one.search(query, 100, allowed) for one in (built, opened))
    [true] = ExactIndex(held).search(query, 100, allowed)
    np.testing.assert_array_equal(before.rows, after.rows)
    assert after.plan is not None
    assert after.plan.way is Way.SCAN
    assert share_found(after, true) >= 0.98


def test_few_rows_or_little_memory_are_without_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    held, asked = vectors(3_000), vectors(20, seed=3)
    assert build_index(held, asked).built.codes is None

    monkeypatch.setattr(index.planning, "FLAT_BELOW", 1_000)
    of_index, of_bytes = 3_000 * 4 * 48, ByteCodes.num_bytes(3_000, 48)
    enough = build_index(held, asked, kind="flat", memory_bytes=of_index + of_bytes)
    little = build_index(held, asked, kind="flat", memory_bytes=of_index + of_bytes - 1)

    assert enough.built.codes is not None
    assert little.built.codes is None


def test_an_index_without_bytes_is_opened_as_before(tmp_path: Path) -> None:
    held = vectors(100)
    save_index(FaissIndex.build(held), tmp_path / "some.faiss")

    assert open_index(tmp_path / "some.faiss", held).codes is None


def test_bytes_of_another_index_are_refused(tmp_path: Path) -> None:
    held = vectors(100)
    FaissIndex.build(held).save(tmp_path / "some.faiss")
    ByteCodes.build(held, np.arange(99)).save(tmp_path / "some.faiss")

    with pytest.raises(DamagedIndex, match="holds 99 rows"):
        open_index(tmp_path / "some.faiss", held)

    (tmp_path / "some.bytes.faiss").write_bytes(b"no index")
    with pytest.raises(DamagedIndex, match="not a FAISS index"):
        open_index(tmp_path / "some.faiss", held)


def test_bytes_are_read_first_where_that_is_less_work() -> None:
    shape = Shape("closed", rows=100_000, effort=64, most=100_000, has_bytes=True)

    assert scans_bytes(shape, 50_000, k=100)
    assert not scans_bytes(shape, 2_000, k=100)
    assert not scans_bytes(shape._replace(has_bytes=False), 50_000, k=100)


def test_where_bytes_make_a_scan_cheap_more_is_scanned() -> None:
    cells = Shape("cells", rows=100_000, effort=128, most=1_024)

    assert choose(cells, 60_000, k=100).way is Way.SELECT
    assert choose(cells._replace(has_bytes=True), 60_000, k=100).way is Way.SCAN
