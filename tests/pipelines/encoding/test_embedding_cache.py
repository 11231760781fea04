from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.encoding.embedding_cache import FILE_NAME, EmbeddingCache, content_hash

DIM = 4


class Counting:
    """An encoder whose vectors can be told from the text, and which remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: list[str]) -> np.ndarray:
        self.asked += texts
        return vectors_of(texts)


def vectors_of(texts: Sequence[str]) -> np.ndarray:
    seeds = [int(content_hash(text.encode())[:8], 16) for text in texts]
    rows = [np.random.default_rng(seed).normal(size=DIM) for seed in seeds]
    return np.asarray(rows, np.float32).reshape(-1, DIM)


def encode(cache: EmbeddingCache, texts: Sequence[str], encoder: Counting) -> np.ndarray:
    return cache.encode([content_hash(text.encode()) for text in texts], texts, encoder)


def a_cache(folder: Path, fingerprint: str = "encoder") -> EmbeddingCache:
    return EmbeddingCache(folder, fingerprint, DIM)


def filled(folder: Path, *blocks: Sequence[str]) -> Path:
    for block in blocks:
        encode(a_cache(folder), block, Counting())
    return folder / FILE_NAME


def test_nothing_is_encoded_twice(tmp_path: Path) -> None:
    encoder, cache = Counting(), a_cache(tmp_path)

    encode(cache, ["tea", "rye bread"], encoder)
    vectors = encode(cache, ["rye bread", "oat milk", "tea"], encoder)

    assert encoder.asked == ["tea", "rye bread", "oat milk"]
    np.testing.assert_array_equal(vectors, vectors_of(["rye bread", "oat milk", "tea"]))


def test_the_same_text_in_one_call_is_encoded_once(tmp_path: Path) -> None:
    encoder = Counting()

    vectors = encode(a_cache(tmp_path), ["tea", "tea", "tea"], encoder)

    assert encoder.asked == ["tea"]
    np.testing.assert_array_equal(vectors, vectors_of(["tea", "tea", "tea"]))


def test_another_run_remembers(tmp_path: Path) -> None:
    encoder = Counting()
    encode(a_cache(tmp_path), ["tea", "rye bread"], Counting())

    vectors = encode(a_cache(tmp_path), ["rye bread", "tea"], encoder)

    assert encoder.asked == []
    np.testing.assert_array_equal(vectors, vectors_of(["rye bread", "tea"]))


def test_two_runs_share_one_file(tmp_path: Path) -> None:
    first, second, encoder = a_cache(tmp_path), a_cache(tmp_path), Counting()

    encode(first, ["tea"], encoder)
    encode(second, ["rye bread"], encoder)
    encode(first, ["oat milk"], encoder)
    vectors = encode(a_cache(tmp_path), ["tea", "rye bread", "oat milk"], encoder)

    assert encoder.asked == ["tea", "rye bread", "oat milk"]
    np.testing.assert_array_equal(vectors, vectors_of(["tea", "rye bread", "oat milk"]))


def test_an_empty_call_asks_nobody(tmp_path: Path) -> None:
    encoder = Counting()

    assert encode(a_cache(tmp_path), [], encoder).shape == (0, DIM)
    assert encoder.asked == []


def test_the_vectors_of_another_encoder_are_not_believed(tmp_path: Path) -> None:
    encoder = Counting()
    encode(a_cache(tmp_path, "old encoder"), ["tea"], Counting())

    encode(a_cache(tmp_path, "new encoder"), ["tea"], encoder)

    assert encoder.asked == ["tea"]


def test_vectors_of_another_length_are_not_remembered(tmp_path: Path) -> None:
    cache = a_cache(tmp_path)

    with pytest.raises(ValueError, match=r"expected 1 vectors of 4 numbers, got \(1, 3\)"):
        cache.put([content_hash(b"tea")], np.ones((1, 3), np.float32))

    assert len(a_cache(tmp_path)) == 0


def test_a_file_torn_at_any_byte_keeps_what_was_whole(tmp_path: Path) -> None:
    path = filled(tmp_path, ["tea", "rye bread"], ["oat milk"])
    whole = path.read_bytes()

    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        cache, encoder = a_cache(tmp_path), Counting()
        kept = len(cache)
        vectors = encode(cache, ["tea", "rye bread", "oat milk"], encoder)

        assert kept in (0, 2)
        assert len(encoder.asked) == 3 - kept
        np.testing.assert_array_equal(vectors, vectors_of(["tea", "rye bread", "oat milk"]))
        assert len(a_cache(tmp_path)) == 3


@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
@settings(max_examples=80, deadline=None)
def test_a_changed_byte_is_never_answered_from(
    tmp_path_factory: pytest.TempPathFactory, place: float, change: int
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    path = filled(folder, ["tea", "rye bread"], ["oat milk"])
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= change
    path.write_bytes(content)

    vectors = encode(a_cache(folder), ["tea", "rye bread", "oat milk"], Counting())

    np.testing.assert_array_equal(vectors, vectors_of(["tea", "rye bread", "oat milk"]))


def test_a_file_that_is_no_cache_is_replaced(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"something else entirely")

    encode(a_cache(tmp_path), ["tea"], Counting())

    assert len(a_cache(tmp_path)) == 1


def test_a_file_that_somebody_empties_meanwhile_is_filled_again(tmp_path: Path) -> None:
    cache, encoder = a_cache(tmp_path), Counting()
    encode(cache, ["tea"], encoder)
    (tmp_path / FILE_NAME).write_bytes(b"")

    encode(cache, ["rye bread"], encoder)

    assert len(a_cache(tmp_path)) == 1


@pytest.mark.parametrize("written", [["oat milk"], ["oat milk", "salt", "rye bread", "honey"], []])
def test_a_file_that_another_run_cuts_and_continues_is_never_read_at_old_places(
    tmp_path: Path, written: list[str]
) -> None:
    path = filled(tmp_path, ["tea"], ["rye bread"], ["oat milk"])
    reader = a_cache(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1  # in the second block
    path.write_bytes(content)

    encode(a_cache(tmp_path), written, Counting())  # cuts after the first block, and goes on
    vectors = encode(reader, ["oat milk", "tea", "rye bread"], Counting())
    encode(reader, ["pepper"], Counting())

    np.testing.assert_array_equal(vectors, vectors_of(["oat milk", "tea", "rye bread"]))
    wanted = ["tea", "rye bread", "oat milk", "pepper", *written]
    again = Counting()
    np.testing.assert_array_equal(encode(a_cache(tmp_path), wanted, again), vectors_of(wanted))
    assert again.asked == []


def test_a_file_that_another_run_cut_is_continued_where_it_ends_now(tmp_path: Path) -> None:
    path = filled(tmp_path, ["tea"], ["rye bread"], ["oat milk"])
    writer = a_cache(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    encode(a_cache(tmp_path), ["salt", "honey", "pepper", "flour"], Counting())

    writer.put([content_hash(b"sugar")], vectors_of(["sugar"]))

    wanted, encoder = ["tea", "salt", "honey", "pepper", "flour", "sugar"], Counting()
    for cache in (writer, a_cache(tmp_path)):
        np.testing.assert_array_equal(encode(cache, wanted, encoder), vectors_of(wanted))
    assert encoder.asked == []
