import io
import json
import shutil
import sys
from functools import cache, reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from retrieval.encoders.clip.opening import new_clip_model
from retrieval.encoders.clip.registry import architecture_names
from retrieval.encoders.clip.resizing import Resizing
from retrieval.encoders.clip.saved import DESCRIPTION, WEIGHTS, SavedClip, read_saved
from retrieval.encoders.clip.text_reader import TextReader
from retrieval.encoders.clip.text_side import open_text_side, write_text_side
from retrieval.encoders.clip.tokenizer import Tokenizer, open_own_tokenizer, open_tokenizer
from retrieval.encoders.image import ClipEncoder, open_image_encoder
from retrieval.encoders.networks.onnx_network import OnnxNetwork
from retrieval.encoders.pictures import open_picture
from retrieval.encoders.query import ImageEncoder
from retrieval.encoders.saved_image import (
    PICTURE_FOLDER,
    SavedImageEncoder,
    save_text_side,
)
from retrieval.encoders.weights import EncoderError
from tests.assertions import each

TEXTS = ("rye bread", "", "🍞 pão d'água", "it's &amp; <start_of_text> 7", "x" * 4_000, "a b " * 99)
MODELS = ("vetrina-small", "vetrina-medium")


@pytest.fixture(scope="module", params=MODELS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("clip")
    ClipEncoder(new_clip_model(request.param)).save(folder)
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path) -> ClipEncoder:
    return open_image_encoder(str(folder))


@pytest.fixture
def saved(folder: Path, whole: ClipEncoder) -> SavedImageEncoder:
    return SavedImageEncoder(read_saved(folder), "any", lambda: whole, batch_size=2, threads=2)


def test_it_is_an_image_encoder(saved: SavedImageEncoder, whole: ClipEncoder) -> None:
    assert isinstance(saved, ImageEncoder)
    assert saved.dim == whole.dim


def test_a_saved_model_has_the_fingerprint_that_it_has_when_it_is_open(
    folder: Path, whole: ClipEncoder
) -> None:
    described = read_saved(folder)

    assert described.fingerprint == whole.clip.fingerprint()
    assert described.size == whole.clip.size


def test_the_text_side_alone_gives_the_vectors_of_the_whole_model(
    saved: SavedImageEncoder, whole: ClipEncoder
) -> None:
    for text in TEXTS:
        alone, expected = saved.encode_texts([text]), whole.encode_texts([text])
        np.testing.assert_allclose(alone, expected, atol=1e-6)
    np.testing.assert_allclose(saved.encode_texts(TEXTS), whole.encode_texts(TEXTS), atol=1e-6)


@pytest.fixture(scope="module")
def reader(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> TextReader:
    out, described = tmp_path_factory.mktemp("side"), read_saved(folder)
    assert described.text is not None
    write_text_side(described, out)
    return TextReader.open(out, described.text.context_length)


def test_without_torch_the_text_side_gives_the_same_vectors(
    reader: TextReader, whole: ClipEncoder
) -> None:
    np.testing.assert_allclose(reader.encode(TEXTS), whole.encode_texts(TEXTS), atol=1e-6)


@pytest.mark.slow
@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_without_torch_a_text_is_read_as_the_same_tokens(reader: TextReader, text: str) -> None:
    own = open_own_tokenizer(reader.longest).tokens([text])[0].numpy()

    [read] = reader.tokens([text])

    assert read.tolist() == own[: len(read)].tolist()
    assert not own[len(read) :].any()


def test_a_saved_model_with_its_text_side_beside_it_needs_no_torch_for_texts(
    folder: Path, whole: ClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_text_side(folder)
    monkeypatch.setitem(sys.modules, "retrieval.encoders.clip.text_side", None)
    encoder = SavedImageEncoder(read_saved(folder), "any", lambda: whole, batch_size=2, threads=2)

    vectors = encoder.encode_texts(TEXTS)

    shutil.rmtree(folder / "text_side")
    np.testing.assert_allclose(vectors, whole.encode_texts(TEXTS), atol=1e-6)


def pictures() -> list[bytes]:
    """Pictures of several shapes, and bytes that are none."""
    random, found = np.random.default_rng(0), []
    for height, width in ((64, 64), (20, 90), (301, 200), (7, 7), (128, 127)):
        content = io.BytesIO()
        pixels = random.integers(0, 256, (height, width, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(content, "PNG")
        found.append(content.getvalue())
    return [*found[:2], b"no picture", *found[2:]]


def test_a_saved_model_with_its_picture_side_beside_it_needs_no_torch_for_pictures(
    folder: Path, whole: ClipEncoder
) -> None:
    whole.save_picture_side(folder / PICTURE_FOLDER)

    def open_whole() -> ClipEncoder:
        raise AssertionError("the whole model is opened")

    encoder = SavedImageEncoder(read_saved(folder), "any", open_whole, batch_size=2, threads=2)

    vectors, failures = encoder.encode_images(pictures())

    shutil.rmtree(folder / PICTURE_FOLDER)
    expected, broken = whole.encode_images(pictures())
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert failures == broken
    assert list(failures) == [2]


def test_a_picture_side_that_torch_would_not_agree_with_is_not_written(
    whole: ClipEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zeros = np.zeros((3, whole.dim), np.float32)
    monkeypatch.setattr(OnnxNetwork, "run", lambda *_: zeros)

    whole.save_picture_side(tmp_path / PICTURE_FOLDER)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", ["longest", "shortest", "squash"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "random"])
@pytest.mark.parametrize("size", [64, (64, 64), (48, 80)])
@pytest.mark.parametrize("fill", [200, [250, 128, 3]])
def test_a_picture_is_resized_to_the_pixels_of_open_clip(
    mode: str, interpolation: str, size: int | tuple[int, int], fill: int | list[int]
) -> None:
    settings: dict[str, Any]
    settings = {"resize_mode": mode, "interpolation": interpolation, "fill_color": fill}
    theirs = image_transform_v2(PreprocessCfg(size=size, **settings), is_train=False).transforms
    ours = Resizing.of(size, settings)

    for content in each(pictures()[:2] + pictures()[3:]):
        picture = open_picture(content)
        expected = reduce(lambda one, step: step(one), theirs[:-2], picture)
        np.testing.assert_array_equal(ours.pixels(picture), np.asarray(expected).transpose(2, 0, 1))


def test_a_picture_far_longer_than_wide_is_resized_to_a_line() -> None:
    settings = {"resize_mode": "longest", "interpolation": "bilinear", "fill_color": 255}

    pixels = Resizing.of(64, settings).pixels(Image.new("RGB", (1, 9_000)))

    assert (pixels[0] == 0).sum() == 64


@cache
def tokenizers() -> tuple[Tokenizer, Tokenizer]:
    """Ours, which is opened from one file of open_clip, and open_clip's."""
    assert "vetrina-small" in architecture_names()
    return open_own_tokenizer(24), open_tokenizer("vetrina-small")


@settings(deadline=None)
@given(text=st.text(max_size=80))
def test_any_text_becomes_the_tokens_of_the_whole_model(text: str) -> None:
    own, other = tokenizers()

    assert own.tokens([text]).tolist() == other.tokens([text]).tolist()


def test_no_texts_are_no_vectors(saved: SavedImageEncoder) -> None:
    assert saved.encode_texts([]).shape == (0, saved.dim)


def test_the_whole_model_is_opened_once_and_only_for_pictures(
    folder: Path, whole: ClipEncoder
) -> None:
    opened = []

    def open_whole() -> ClipEncoder:
        opened.append(folder)
        return whole

    encoder = SavedImageEncoder(read_saved(folder), "any", open_whole, batch_size=2, threads=2)

    encoder.encode_texts(["rye bread"])
    assert opened == []
    encoder.encode_images([])
    encoder.encode_images([])
    assert opened == [folder]


def described_as(folder: Path, tmp_path: Path, **text_cfg: Any) -> SavedClip:
    """The same model, with other settings of its text side."""
    described = json.loads((folder / DESCRIPTION).read_text())
    described["model_cfg"]["text_cfg"] |= text_cfg
    (tmp_path / DESCRIPTION).write_text(json.dumps(described))
    (tmp_path / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes())
    return read_saved(tmp_path)


@pytest.mark.parametrize("setting", [{"pool_type": "last"}, {"hf_model_name": "x"}])
def test_another_kind_of_text_side_is_left_to_open_clip(
    folder: Path, tmp_path: Path, setting: dict[str, Any]
) -> None:
    assert described_as(folder, tmp_path, **setting).text is None


def test_weights_of_another_shape_are_an_encoder_error(folder: Path, tmp_path: Path) -> None:
    saved = described_as(folder, tmp_path, layers=2)

    with pytest.raises(EncoderError, match="has no text side"):
        open_text_side(saved, threads=1)


@pytest.mark.parametrize(
    "torn", [b"", b"torn", b"\xff" * 8, (9).to_bytes(8, "little") + b'{"a":{}}']
)
def test_a_file_that_is_no_safetensors_is_an_encoder_error(
    folder: Path, tmp_path: Path, torn: bytes
) -> None:
    (tmp_path / DESCRIPTION).write_bytes((folder / DESCRIPTION).read_bytes())
    (tmp_path / WEIGHTS).write_bytes(torn)

    with pytest.raises(EncoderError, match="does not describe an image encoder"):
        read_saved(tmp_path)
