import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import retrieval.encoders.image_runtime as image_runtime
from retrieval.encoders.clip.opening import new_clip_model
from retrieval.encoders.image import ClipEncoder
from retrieval.encoders.image_runtime import (
    choose_image_runtime,
    open_chosen_image,
    still_true_image,
)
from retrieval.encoders.networks.openvino_network import NETWORK, WEIGHTS
from retrieval.encoders.networks.runtimes import RuntimeChoice, compiled_record
from retrieval.encoders.weights import EncoderError


def picture(number: int, kind: str = "JPEG", size: tuple[int, int] = (60, 80)) -> bytes:
    numbers = np.random.default_rng(number).integers(0, 255, (6, 8, 3)).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(numbers).resize(size, Image.Resampling.BICUBIC).save(content, kind)
    return content.getvalue()


PICTURES = [picture(number) for number in range(20)]


@pytest.fixture(scope="module")
def plain() -> ClipEncoder:
    torch.manual_seed(0)
    return ClipEncoder(new_clip_model("vetrina-small"), batch_size=8)


@pytest.fixture(scope="module")
def chosen(plain: ClipEncoder) -> RuntimeChoice[ClipEncoder]:
    return choose_image_runtime(plain, "openvino", PICTURES)


@pytest.fixture
def folder(chosen: RuntimeChoice[ClipEncoder], tmp_path: Path) -> Path:
    chosen.save(tmp_path / "seer")
    return tmp_path / "seer"


def cosines(one: ClipEncoder, other: ClipEncoder, pictures: Sequence[bytes]) -> np.ndarray:
    return np.sum(one.encode_images(pictures)[0] * other.encode_images(pictures)[0], axis=1)


def test_the_vectors_are_nearly_those_of_torch_and_unit(
    chosen: RuntimeChoice[ClipEncoder], plain: ClipEncoder
) -> None:
    vectors, failures = chosen.encoder.encode_images(PICTURES)

    assert failures == {}
    assert chosen.record.runtime.startswith("openvino")
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert cosines(chosen.encoder, plain, PICTURES).min() > 0.99


def test_a_broken_picture_is_named_and_the_others_keep_their_places(
    chosen: RuntimeChoice[ClipEncoder],
) -> None:
    vectors, failures = chosen.encoder.encode_images([*PICTURES[:9], b"hello", *PICTURES[9:]])

    assert list(failures) == [9]
    assert not vectors[9].any()
    whole, _ = chosen.encoder.encode_images(PICTURES)
    np.testing.assert_allclose(np.delete(vectors, 9, axis=0), whole, atol=1e-2)


def test_texts_are_read_as_before(chosen: RuntimeChoice[ClipEncoder], plain: ClipEncoder) -> None:
    np.testing.assert_array_equal(chosen.encoder.encode_texts(["tea"]), plain.encode_texts(["tea"]))


def test_another_runtime_is_another_fingerprint(
    chosen: RuntimeChoice[ClipEncoder], plain: ClipEncoder
) -> None:
    assert chosen.encoder.fingerprint == chosen.record.fingerprint != plain.fingerprint


def test_a_vector_made_of_a_smaller_decoding_has_another_fingerprint_than_the_weights(
    plain: ClipEncoder,
) -> None:
    assert plain.fingerprint != plain.clip.fingerprint()


def test_what_was_chosen_opens_again_as_the_same(
    chosen: RuntimeChoice[ClipEncoder], plain: ClipEncoder, folder: Path
) -> None:
    opened = open_chosen_image(plain, folder)

    assert opened.encoder.fingerprint == chosen.encoder.fingerprint
    assert cosines(opened.encoder, chosen.encoder, PICTURES).min() > 0.9999
    assert still_true_image(opened, plain, PICTURES)


def test_where_openvino_is_missing_torch_stands_in_and_says_so(
    chosen: RuntimeChoice[ClipEncoder],
    plain: ClipEncoder,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(image_runtime, "is_installed", lambda: False)

    opened = open_chosen_image(plain, folder)

    assert opened.network is None
    assert opened.encoder.fingerprint == chosen.encoder.fingerprint
    assert "torch stands in" in caplog.text
    assert plain.fingerprint != chosen.encoder.fingerprint


@pytest.mark.parametrize("name", [NETWORK, WEIGHTS])
def test_a_damaged_network_is_never_run(plain: ClipEncoder, folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1] + b"?")

    with pytest.raises(EncoderError, match="damaged"):
        open_chosen_image(plain, folder)


def test_a_runtime_whose_vectors_are_others_is_refused_with_its_cosine(
    plain: ClipEncoder, chosen: RuntimeChoice[ClipEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ClipEncoder(new_clip_model("vetrina-small"))
    monkeypatch.setattr(
        other, "encode_images", lambda p: (np.roll(plain.encode_images(p)[0], 1, 1), {})
    )
    network = chosen.network
    assert network is not None
    wrong = RuntimeChoice(other, compiled_record(plain.fingerprint, "f32", network), network)
    monkeypatch.setattr(image_runtime, "_candidates", lambda *_: {"openvino f32": lambda: wrong})

    found = choose_image_runtime(plain, "openvino", PICTURES)

    assert found.encoder is plain
    assert "is below 0.99" in found.record.refused["openvino f32"]


def test_without_a_readable_picture_nothing_is_measured(plain: ClipEncoder) -> None:
    found = choose_image_runtime(plain, "auto", [b"hello", b""])

    assert found.encoder is plain
    assert found.record.refused == {"openvino": "there is no picture to compare on"}


def test_a_large_photograph_is_seen_as_if_it_were_decoded_whole(plain: ClipEncoder) -> None:
    large = picture(1, size=(900, 1200))
    whole = io.BytesIO()
    Image.open(io.BytesIO(large)).save(whole, "PNG")  # which is never decoded at a fraction

    vectors, _ = plain.encode_images([large, whole.getvalue()])

    assert vectors[0] @ vectors[1] > 0.999
