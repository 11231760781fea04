import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest

from index import UnfitVectors
from retrieval.encoders.text import SentenceEncoder, TextEncoder, open_text_encoder
from retrieval.encoders.weights import EncoderError, files_fingerprint

MINILM = "all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return open_text_encoder(MINILM)


class Saying:
    """A model that gives the same numbers whatever it is asked."""

    def __init__(self, *numbers: float) -> None:
        self.numbers = numbers

    def encode(self, texts: list[str], **options: Any) -> np.ndarray:
        healthy = texts == ["vetrina"]
        return np.asarray([(1.0, 0.0) if healthy else self.numbers] * len(texts), np.float32)


def a_model(folder: Path, kind: str = "sentence_transformers.models.Transformer") -> Path:
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "path": "", "type": kind}]))
    (folder / "config.json").write_text("{}")
    return folder


def test_it_is_a_text_encoder(encoder: SentenceEncoder) -> None:
    assert isinstance(encoder, TextEncoder)
    assert encoder.dim == 384


def test_every_text_becomes_a_unit_vector(encoder: SentenceEncoder) -> None:
    texts = ["rye bread", "", "  ", "🍞", "a" * 5_000, "pane di segale\0\n"]

    vectors = encoder.encode(texts)

    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), np.ones(len(texts)), atol=1e-5)


def test_what_means_the_same_lies_near(encoder: SentenceEncoder) -> None:
    asked, near, far = encoder.encode(["running shoes", "trainers for jogging", "frying pan"])

    assert asked @ near > asked @ far + 0.2


def test_a_vector_does_not_depend_on_its_company(encoder: SentenceEncoder) -> None:
    texts = ["tea", "a very long title of a product " * 6, "rye bread", "oat milk"]

    together = encoder.encode(texts)
    alone = np.concatenate([encoder.encode([text]) for text in texts])

    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_several_shoppers_at_once_get_their_own_vectors(encoder: SentenceEncoder) -> None:
    texts = [f"product {i}" * (1 + i % 5) for i in range(24)]
    expected = encoder.encode(texts)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda text: encoder.encode([text])[0], texts))

    np.testing.assert_allclose(np.stack(found), expected, atol=1e-5)


def test_no_texts_are_no_vectors(encoder: SentenceEncoder) -> None:
    assert encoder.encode([]).shape == (0, 384)


def test_the_packaged_model_never_opens_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    assert open_text_encoder(MINILM).encode(["tea"]).shape == (1, 384)


def test_the_fingerprint_is_of_the_model_and_of_what_it_reads(encoder: SentenceEncoder) -> None:
    assert open_text_encoder(MINILM).fingerprint == encoder.fingerprint
    assert open_text_encoder(MINILM, max_tokens=16).fingerprint != encoder.fingerprint


def test_a_changed_file_is_another_fingerprint(tmp_path: Path) -> None:
    a_model(tmp_path)
    before = files_fingerprint(tmp_path, "max_tokens=128")

    (tmp_path / "config.json").write_text("[]")

    assert files_fingerprint(tmp_path, "max_tokens=128") != before


def test_a_text_is_cut_at_the_tokens_that_were_asked_for() -> None:
    short = open_text_encoder(MINILM, max_tokens=8)

    first, second = short.encode(["one two three four five six", "one two three four five six x y"])

    np.testing.assert_allclose(first, second, atol=1e-6)


@pytest.mark.parametrize("numbers", [(np.nan, 1.0), (np.inf, 0.0), (0.0, 0.0)])
def test_an_output_that_is_no_vector_is_refused(numbers: tuple[float, ...]) -> None:
    broken = SentenceEncoder(Saying(*numbers), "f", batch_size=8)

    with pytest.raises(UnfitVectors, match="text embeddings: vector 0 of 1"):
        broken.encode(["tea"])


def test_an_unknown_name_without_a_network_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    with pytest.raises(EncoderError, match=r"no-such-model.*not packaged.*hf download"):
        open_text_encoder("no-such-model")


def test_a_folder_that_is_not_there_is_not_looked_for_on_the_hub() -> None:
    with pytest.raises(EncoderError, match="there is no such folder"):
        open_text_encoder("./no/such/model")


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"no readable modules\.json"):
        open_text_encoder(str(tmp_path))


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    (a_model(tmp_path) / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")

    with pytest.raises(EncoderError, match=r"pytorch_model\.bin is a pickle"):
        open_text_encoder(str(tmp_path))


def test_a_model_with_code_of_its_own_is_refused(tmp_path: Path) -> None:
    a_model(tmp_path, kind="theirs.Module")
    (tmp_path / "theirs.py").write_text("raise SystemExit('it ran')")

    with pytest.raises(EncoderError, match=r"code of its own \(theirs\.Module\)"):
        open_text_encoder(str(tmp_path))


def test_damaged_weights_are_refused_by_name(tmp_path: Path) -> None:
    (a_model(tmp_path) / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      torn")

    with pytest.raises(EncoderError, match="cannot be opened as a text encoder"):
        open_text_encoder(str(tmp_path))


def test_a_text_is_read_as_its_word_pieces_and_as_a_whole(encoder: SentenceEncoder) -> None:
    texts = ["running shoes", "", "a frying pan with a lid, 28 cm"]

    read = encoder.read(texts)

    assert [len(one.pieces) for one in read] == [2, 0, 10]
    for one, vector in zip(read, encoder.encode(texts), strict=True):
        assert one.tokens.shape == (len(one.pieces), encoder.dim)
        np.testing.assert_allclose(np.linalg.norm(one.tokens, axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(one.whole, vector, atol=1e-5)


def test_a_word_piece_that_means_the_same_lies_near(encoder: SentenceEncoder) -> None:
    sofa, couch, bread = (one.tokens[-1] for one in encoder.read(["sofa", "couch", "bread"]))

    assert sofa @ couch > sofa @ bread + 0.2
