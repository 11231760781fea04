from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from retrieval.encoders.networks.query_network import random_texts, write_query_network
from retrieval.encoders.query_texts import NETWORK, TOKEN_VECTORS, QueryTextEncoder
from retrieval.encoders.text import SentenceEncoder, open_text_encoder
from retrieval.encoders.weights import EncoderError

QUERIES = ("rye bread", "", "running shoes men 43", "🍞", "battery aa", "x " * 300)


@pytest.fixture(scope="module")
def plain() -> SentenceEncoder:
    return open_text_encoder("all-MiniLM-L6-v2", threads=1)


@pytest.fixture(scope="module")
def written(plain: SentenceEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("query") / "encoder"
    write_query_network(plain, folder)
    return folder


@pytest.fixture
def queries(written: Path, plain: SentenceEncoder) -> QueryTextEncoder:
    return QueryTextEncoder.open(written, lambda _: plain.fingerprint)


def test_in_8_bits_queries_are_nearly_where_torch_puts_them(
    queries: QueryTextEncoder, plain: SentenceEncoder
) -> None:
    cosines = np.sum(queries.encode(QUERIES) * plain.encode(QUERIES), axis=1)

    assert cosines.min() > 0.99
    assert queries.record.cosine_least > 0.99


def test_the_vector_of_a_query_does_not_depend_on_the_others(queries: QueryTextEncoder) -> None:
    together = queries.encode(QUERIES)

    alone = [queries.encode([query])[0] for query in QUERIES]

    np.testing.assert_array_equal(together, np.stack(alone))


def test_the_vectors_of_tokens_are_a_file_of_their_own_that_is_mapped(
    written: Path, queries: QueryTextEncoder, plain: SentenceEncoder, tmp_path: Path
) -> None:
    table = np.load(written / TOKEN_VECTORS, mmap_mode="r")
    other = tmp_path / "other"
    copytree(written, other)
    np.save(other / TOKEN_VECTORS, table + np.float32(1))

    assert table.shape == (30_522, 384)
    assert (written / NETWORK).stat().st_size < table.nbytes / 2
    with pytest.raises(EncoderError, match="is damaged: its checksum differs"):
        QueryTextEncoder.open(other, lambda _: plain.fingerprint)


def test_no_texts_have_no_vectors(queries: QueryTextEncoder) -> None:
    assert queries.encode([]).shape == (0, 384)


def test_what_it_is_calibrated_on_is_the_same_in_every_run(plain: SentenceEncoder) -> None:
    assert random_texts(plain.model, 5) == random_texts(plain.model, 5)
    assert len(set(random_texts(plain.model, 20))) > 10


def test_a_copy_is_the_same_encoder(queries: QueryTextEncoder, tmp_path: Path) -> None:
    queries.save(tmp_path / "copy")

    copy = QueryTextEncoder.open(tmp_path / "copy", lambda _: queries.record.model)

    assert copy.fingerprint == queries.fingerprint
    np.testing.assert_array_equal(copy.encode(QUERIES), queries.encode(QUERIES))


@pytest.mark.parametrize("damage", ["changed", "missing", "foreign"])
def test_a_damaged_or_foreign_network_is_refused(
    written: Path, plain: SentenceEncoder, tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "encoder"
    copytree(written, folder)
    if damage == "changed":
        (folder / NETWORK).write_bytes((folder / NETWORK).read_bytes()[:-1] + b"?")
    elif damage == "missing":
        (folder / NETWORK).unlink()
    model = "another" if damage == "foreign" else plain.fingerprint

    with pytest.raises(EncoderError, match=r"build again|cannot be read"):
        QueryTextEncoder.open(folder, lambda _: model)
