import io
import json
import pickle
import struct
import zlib
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file

from index import UnfitVectors
from retrieval.encoders.clip.opening import new_clip_model
from retrieval.encoders.clip.saved import DESCRIPTION, WEIGHTS
from retrieval.encoders.image import ClipEncoder, open_image_encoder
from retrieval.encoders.pictures import BrokenPicture, open_picture
from retrieval.encoders.query import ImageEncoder
from retrieval.encoders.weights import EncoderError

SMALL = "vetrina-small"


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def photo(size: tuple[int, int] = (60, 80)) -> Image.Image:
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).ellipse((10, 10, size[0] - 10, size[1] // 2), "#c4573a")
    return image


def png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and holds nothing."""
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


PHOTO = encoded(photo())
DAMAGED, NO_PICTURE = "damaged or cut short", "not a JPEG, PNG, WebP, GIF or BMP"
HOSTILE = {
    "nothing": (b"", "empty"),
    "text": (b"hello", NO_PICTURE),
    "a page": (b"<html><script>alert(1)</script></html>", NO_PICTURE),
    "SVG": (
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///'/></svg>",
        NO_PICTURE,
    ),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", NO_PICTURE),
    "TIFF": (encoded(photo(), "TIFF"), NO_PICTURE),
    "a signature alone": (b"\x89PNG\r\n\x1a\n", NO_PICTURE),
    "a torn PNG": (PHOTO[: len(PHOTO) // 2], DAMAGED),
    "a torn JPEG": (encoded(photo((200, 200)), "JPEG")[:700], DAMAGED),
    "a torn WebP": (encoded(photo(), "WEBP", lossless=True)[:60], NO_PICTURE),
    "a torn GIF": (encoded(photo(), "GIF")[:120], DAMAGED),
    "a PNG without its pixels": (png_header(10, 10), DAMAGED),
    "a bomb": (png_header(20_000, 20_000), "more than 25 megapixels"),
    "a picture just too large": (png_header(5_001, 5_000), "more than 25 megapixels"),
    "a line of 1 x 20,000": (encoded(Image.new("RGB", (1, 20_000))), "50 times the other"),
    "a line of 51 x 1": (encoded(Image.new("RGB", (51, 1))), "50 times the other"),
    "no width": (png_header(0, 10), NO_PICTURE),
    "too many bytes": (PHOTO + bytes(10_000_000), "more than 10 MB"),
}


@pytest.fixture(scope="module")
def encoder() -> ClipEncoder:
    torch.manual_seed(0)
    return ClipEncoder(new_clip_model(SMALL), batch_size=4)


@pytest.fixture
def folder(encoder: ClipEncoder, tmp_path: Path) -> Path:
    encoder.save(tmp_path / "model")
    return tmp_path / "model"


def test_it_is_an_image_encoder(encoder: ClipEncoder) -> None:
    assert isinstance(encoder, ImageEncoder)
    assert encoder.dim == 128


def test_the_small_model_is_small() -> None:
    network = new_clip_model(SMALL).network

    assert sum(parameter.numel() for parameter in network.parameters()) < 5_000_000


def test_pictures_and_texts_become_unit_vectors(encoder: ClipEncoder) -> None:
    pictures, failures = encoder.encode_images([PHOTO, encoded(photo((300, 20)), "JPEG")] * 3)
    texts = encoder.encode_texts(["red circle", "", "🍞", "x" * 4_000])

    assert failures == {}
    assert pictures.dtype == texts.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(pictures, axis=1), np.ones(6), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), np.ones(4), atol=1e-5)


def test_a_picture_50_times_as_long_as_wide_opens() -> None:
    assert open_picture(encoded(Image.new("RGB", (2, 100)))).size == (2, 100)


def test_no_pictures_and_no_texts_are_no_vectors(encoder: ClipEncoder) -> None:
    vectors, failures = encoder.encode_images([])

    assert vectors.shape == encoder.encode_texts([]).shape == (0, 128)
    assert failures == {}


def test_a_vector_does_not_depend_on_its_company(encoder: ClipEncoder) -> None:
    pictures = [encoded(Image.new("RGB", (60, 80), colour)) for colour in ("red", "tan", "navy")]

    together, _ = encoder.encode_images([*pictures, *pictures])
    alone = np.concatenate([encoder.encode_images([picture])[0] for picture in pictures])

    np.testing.assert_allclose(together, np.concatenate([alone, alone]), atol=1e-5)


@pytest.mark.parametrize(("picture", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_a_broken_picture_is_named_and_the_others_are_encoded(
    encoder: ClipEncoder, picture: bytes, reason: str
) -> None:
    vectors, failures = encoder.encode_images([PHOTO, picture, PHOTO])

    assert list(failures) == [1]
    assert reason in failures[1]
    assert not vectors[1].any()
    assert vectors[0].any()
    np.testing.assert_array_equal(vectors[0], vectors[2])


@given(place=st.floats(0, 1), content=st.binary(min_size=1, max_size=40))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
@settings(max_examples=60, deadline=None)
def test_overwritten_bytes_give_a_picture_or_a_reason(
    kind: str, place: float, content: bytes
) -> None:
    whole = encoded(photo(), kind)
    start = int(place * len(whole))

    try:
        image = open_picture(whole[:start] + content + whole[start + len(content) :])
    except BrokenPicture:
        return

    assert image.mode == "RGB"


def test_a_picture_with_the_largest_size_is_opened() -> None:
    image = open_picture(encoded(Image.new("1", (5_000, 5_000))))

    assert image.size == (5_000, 5_000)


def test_what_is_clear_is_white() -> None:
    clear = encoded(Image.new("RGBA", (4, 4), (200, 0, 0, 0)))

    assert open_picture(clear).getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bits_are_not_white() -> None:
    grey = Image.fromarray(np.full((4, 4), 0x8000, np.uint16))

    assert open_picture(encoded(grey)).getpixel((0, 0)) == (128, 128, 128)


def test_a_photograph_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side

    assert open_picture(encoded(photo((60, 80)), "JPEG", exif=exif)).size == (80, 60)


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    moving = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])

    assert open_picture(moving).getpixel((0, 0)) == (255, 0, 0)


def test_a_saved_model_opens_as_the_same_one(encoder: ClipEncoder, folder: Path) -> None:
    opened = open_image_encoder(str(folder))

    assert opened.fingerprint == encoder.fingerprint
    np.testing.assert_allclose(
        opened.encode_images([PHOTO])[0], encoder.encode_images([PHOTO])[0], atol=1e-6
    )
    np.testing.assert_allclose(
        opened.encode_texts(["tea"]), encoder.encode_texts(["tea"]), atol=1e-6
    )


def test_other_weights_or_another_sight_are_another_fingerprint(
    encoder: ClipEncoder, folder: Path
) -> None:
    description = json.loads((folder / DESCRIPTION).read_text())
    description["preprocess_cfg"]["fill_color"] = 0
    (folder / DESCRIPTION).write_text(json.dumps(description))

    assert open_image_encoder(str(folder)).fingerprint != encoder.fingerprint
    assert ClipEncoder(new_clip_model(SMALL)).fingerprint != encoder.fingerprint


def test_an_architecture_opens_with_a_weights_file(encoder: ClipEncoder, folder: Path) -> None:
    opened = open_image_encoder(SMALL, str(folder / WEIGHTS))

    np.testing.assert_allclose(
        opened.encode_texts(["tea"]), encoder.encode_texts(["tea"]), atol=1e-6
    )


def test_a_word_is_read_up_to_its_64th_letter(encoder: ClipEncoder) -> None:
    vectors = encoder.encode_texts(["a" * 64 + " tea", "a" * 50_000 + " tea"])

    np.testing.assert_array_equal(vectors[0], vectors[1])


@pytest.mark.parametrize("number", [np.nan, np.inf, 0.0])
def test_an_output_that_is_no_vector_is_refused(folder: Path, number: float) -> None:
    weights = load_file(folder / WEIGHTS)
    for name in ("text_projection", "visual.head.proj.weight"):
        weights[name] = torch.full_like(weights[name], number)
    save_file(weights, folder / WEIGHTS)
    broken = open_image_encoder(str(folder))

    with pytest.raises(UnfitVectors, match="image embeddings"):
        broken.encode_images([PHOTO])
    with pytest.raises(UnfitVectors, match="text embeddings of the image model"):
        broken.encode_texts(["tea"])


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["open_clip_pytorch_model.bin", "model.pth", WEIGHTS])
def test_a_pickle_is_never_read(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / WEIGHTS).unlink()
    (folder / name).write_bytes(pickle.dumps(Bomb(tmp_path / "it ran")))

    with pytest.raises(EncoderError):
        open_image_encoder(str(folder))
    with pytest.raises(EncoderError):
        open_image_encoder(SMALL, str(folder / name))

    assert not (tmp_path / "it ran").exists()


def test_torn_weights_are_refused_by_name(folder: Path) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: len(whole) // 2])

    with pytest.raises(EncoderError, match="cannot be opened as an image encoder"):
        open_image_encoder(str(folder))


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"model_cfg": {}}'])
def test_a_description_that_describes_nothing_is_refused(folder: Path, text: str) -> None:
    (folder / DESCRIPTION).write_text(text)

    with pytest.raises(EncoderError):
        open_image_encoder(str(folder))


@pytest.mark.parametrize(
    ("model", "pretrained", "message"),
    [
        ("no-such-model", "", "neither a folder nor an architecture.*vetrina-small"),
        ("./no/such/folder", "", "there is no such folder"),
        (SMALL, "", "architecture without weights"),
        ("ViT-B-32", "", "architecture without weights.*laion2b_s34b_b79k"),
        ("ViT-B-32", "no_such_tag", "no pretrained tag 'no_such_tag'; choose .*openai"),
        ("ViT-B-32", "no/such.safetensors", "there is no file no/such.safetensors"),
    ],
)
def test_what_cannot_be_opened_says_what_to_do(model: str, pretrained: str, message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        open_image_encoder(model, pretrained)


def test_a_hub_id_opens_what_the_hub_gave(
    encoder: ClipEncoder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = {"someone/small": folder}
    monkeypatch.setattr("retrieval.encoders.clip.opening.hub_folder", hub.__getitem__)

    assert open_image_encoder("hf-hub:someone/small").fingerprint == encoder.fingerprint


def test_a_tag_that_is_published_only_as_a_pickle_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "open_clip_pytorch_model.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "it ran")))
    monkeypatch.setattr("retrieval.encoders.clip.opening.hub_folder", lambda repository: tmp_path)

    with pytest.raises(EncoderError, match=rf"laion/CLIP-ViT-B-32.* has no {WEIGHTS}"):
        open_image_encoder("ViT-B-32", "laion2b_s34b_b79k")

    assert not (tmp_path / "it ran").exists()


def test_an_unknown_hub_id_without_a_network_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    with pytest.raises(EncoderError, match=r"no/such-model.*could not be downloaded"):
        open_image_encoder("hf-hub:no/such-model")


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"no image encoder.*vetrina train clip"):
        open_image_encoder(str(tmp_path))
