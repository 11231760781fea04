import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from pipelines.encoding.embedding_cache import FILE_NAME, content_hash
from pipelines.encoding.pictures import (
    Pictures,
    encode_all_pictures,
    encode_pictures,
    encode_videos,
)
from pipelines.encoding.texts import encode_texts
from pipelines.errors import UserError
from pipelines.progress import silent
from pipelines.shop.product_text import text_of
from pipelines.shop.reader import Shop
from pipelines.shop.writer import ShopWriter

DIM = 4
TEXTS = ["rye bread", "tea", "a long title of a product", "tea", ""]

# What the killed build runs: a slow encoder that writes down each text that it has encoded.
SLOW_BUILD = """
import sys, time
from pathlib import Path
import numpy as np
import pipelines.encoding.texts as encode
from pipelines.progress import silent

encode.TEXTS_PER_CHUNK = 10
folder = Path(sys.argv[1])

class Slow:
    dim, fingerprint = 4, "slow"

    def encode(self, texts):
        with (folder / "encoded.txt").open("a") as log:
            for text in texts:
                time.sleep(float(sys.argv[2]))
                log.write(text + "\\n")
                log.flush()
        return np.asarray([[len(t), 1, 2, int(t)] for t in texts], np.float32)

texts = [str(number) for number in range(300)]
vectors = encode.encode_texts(texts, Slow(), folder / "embeddings", silent)
assert vectors[:, 3].tolist() == list(range(300))
print("done")
"""


class FakeText:
    """Vectors that can be told from the text, and a note of what was asked."""

    dim = DIM

    def __init__(self, fingerprint: str = "text-1") -> None:
        self.fingerprint = fingerprint
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        return np.stack([vector_of(text.encode()) for text in texts])

    def unknown_share(self, texts: Sequence[str]) -> float:
        return 0.0


class FakeImage:
    """Cannot read a picture that begins with `broken`."""

    dim = DIM

    def __init__(self, fingerprint: str = "image-1") -> None:
        self.fingerprint = fingerprint
        self.asked: list[bytes] = []

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([vector_of(text.encode()) for text in texts])

    def encode_images(self, pictures: Sequence[bytes]) -> tuple[np.ndarray, dict[int, str]]:
        self.asked += pictures
        failures = {i: "damaged" for i, p in enumerate(pictures) if p.startswith(b"broken")}
        vectors = np.stack([vector_of(picture) for picture in pictures])
        vectors[list(failures)] = 0
        return vectors, failures


def vector_of(content: bytes) -> np.ndarray:
    seed = int(content_hash(content)[:8], 16)
    return np.random.default_rng(seed).normal(size=DIM).astype(np.float32)


def a_shop(folder: Path, pictures: dict[str, bytes]) -> Shop:
    with ShopWriter(folder, name="shelf", source="table") as shop:
        shop.add_products(pa.table({"id": ["p1", "p2", "p3", "p4"], "title": ["a", "b", "c", "d"]}))
        shop.add_pictures(
            pa.table(
                {
                    "id": list(pictures),
                    "image": pa.array(list(pictures.values()), pa.binary()),
                    "media_type": ["image/png"] * len(pictures),
                }
            )
        )
    return Shop(folder)


def png(colour: str) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(content, "PNG")
    return content.getvalue()


RED, BLUE = png("red"), png("blue")


def see(shop: Shop, encoder: FakeImage, embeddings: Path, share: float = 0.5) -> Pictures:
    return encode_pictures(
        ["p1", "p2", "p3", "p4"], shop, encoder, embeddings, max_failed_share=share, track=silent
    )


def test_vectors_come_in_the_order_of_the_texts(tmp_path: Path) -> None:
    vectors = encode_texts(TEXTS, FakeText(), tmp_path, silent)

    np.testing.assert_array_equal(vectors, np.stack([vector_of(t.encode()) for t in TEXTS]))


def test_each_distinct_text_is_encoded_once_and_like_lengths_together(tmp_path: Path) -> None:
    encoder = FakeText()

    encode_texts(TEXTS, encoder, tmp_path, silent)

    assert encoder.asked == ["", "tea", "rye bread", "a long title of a product"]


def test_a_second_build_encodes_only_what_is_new(tmp_path: Path) -> None:
    encode_texts(TEXTS, FakeText(), tmp_path, silent)
    encoder = FakeText()

    encode_texts([*TEXTS, "oat milk"], encoder, tmp_path, silent)

    assert encoder.asked == ["oat milk"]


def test_a_changed_encoder_invalidates_only_its_own(tmp_path: Path) -> None:
    shop = a_shop(tmp_path / "shop", {"p1": RED})
    encode_texts(TEXTS, FakeText("text-1"), tmp_path, silent)
    see(shop, FakeImage(), tmp_path)
    changed, same_text, same_image = FakeText("text-2"), FakeText("text-1"), FakeImage()

    encode_texts(TEXTS, changed, tmp_path, silent)
    encode_texts(TEXTS, same_text, tmp_path, silent)
    see(shop, same_image, tmp_path)

    assert len(changed.asked) == 4
    assert same_text.asked == []
    assert same_image.asked == []


def test_no_texts_are_no_vectors(tmp_path: Path) -> None:
    assert encode_texts([], FakeText(), tmp_path, silent).shape == (0, DIM)


def test_the_words_of_a_product_are_joined_field_by_field() -> None:
    record = {"title": " Rye bread ", "brand": "", "categories": ["Bakery > Bread"], "price": None}

    assert text_of(record, ("title", "brand", "categories", "price")) == "Rye bread. Bakery > Bread"


def test_identical_pictures_are_encoded_once(tmp_path: Path) -> None:
    shop = a_shop(tmp_path / "shop", {"p1": RED, "p3": RED, "p2": BLUE})
    encoder = FakeImage()

    pictures = see(shop, encoder, tmp_path)

    assert encoder.asked == [RED, BLUE]
    expected = [vector_of(RED), vector_of(BLUE), vector_of(RED), np.zeros(DIM)]
    np.testing.assert_array_equal(pictures.vectors, np.stack(expected).astype(np.float32))
    assert pictures.failures == {}
    assert pictures.seen == 3


def test_a_second_build_encodes_no_picture(tmp_path: Path) -> None:
    shop = a_shop(tmp_path / "shop", {"p1": RED, "p2": BLUE})
    first = see(shop, FakeImage(), tmp_path)
    encoder = FakeImage()

    second = see(shop, encoder, tmp_path)

    assert encoder.asked == []
    np.testing.assert_array_equal(first.vectors, second.vectors)


def test_a_broken_picture_is_named_and_the_others_are_encoded(tmp_path: Path) -> None:
    shop = a_shop(tmp_path / "shop", {"p1": RED, "p2": b"broken", "p3": b"broken", "p4": BLUE})

    pictures = see(shop, FakeImage(), tmp_path)

    assert pictures.failures == {"p2": "damaged", "p3": "damaged"}
    assert pictures.vectors.any(axis=1).tolist() == [True, False, False, True]
    assert pictures.seen == 4


def test_too_many_broken_pictures_stop_the_build(tmp_path: Path) -> None:
    shop = a_shop(tmp_path / "shop", {"p1": RED, "p2": b"broken"})

    with pytest.raises(UserError, match=r"1 of 2 pictures.*more than the 49%.*p2: damaged"):
        see(shop, FakeImage(), tmp_path, share=0.49)


def test_a_picture_of_a_product_that_is_not_asked_for_is_left_alone(tmp_path: Path) -> None:
    shop = a_shop(tmp_path / "shop", {"p1": RED, "p2": BLUE})
    encoder = FakeImage()

    pictures = encode_pictures(["p2"], shop, encoder, tmp_path, max_failed_share=0, track=silent)

    assert encoder.asked == [BLUE]
    np.testing.assert_array_equal(pictures.vectors, vector_of(BLUE)[None])


def test_a_shop_without_pictures_has_no_vectors(tmp_path: Path) -> None:
    pictures = see(a_shop(tmp_path / "shop", {}), FakeImage(), tmp_path)

    assert not pictures.vectors.any()
    assert pictures.seen == 0


def a_shop_of_many(folder: Path, pictures: list[tuple[str, bytes]], videos: list[bytes]) -> Shop:
    ids, contents = [name for name, _ in pictures], [content for _, content in pictures]
    with ShopWriter(folder, name="shelf", source="table") as shop:
        shop.add_products(pa.table({"id": ["p1", "p2", "p3"], "title": ["a", "b", "c"]}))
        shop.add_pictures(
            pa.table(
                {
                    "id": ids,
                    "image": pa.array(contents, pa.binary()),
                    "media_type": ["image/png"] * len(ids),
                }
            )
        )
        shop.add_videos(pa.table({"id": ["p3"] * len(videos), "video": pa.array(videos)}))
    return Shop(folder)


MANY = [("p2", RED), ("p1", BLUE), ("p2", b"broken"), ("p2", BLUE), ("p9", RED)]


def test_of_several_pictures_the_first_that_is_readable_stands_for_the_product(
    tmp_path: Path,
) -> None:
    shop = a_shop_of_many(tmp_path / "shop", [("p1", b"broken"), *MANY, ("p1", RED)], [])

    pictures = see(shop, FakeImage(), tmp_path)

    np.testing.assert_array_equal(pictures.vectors[0], vector_of(BLUE))
    np.testing.assert_array_equal(pictures.vectors[1], vector_of(RED))


def test_every_readable_picture_of_a_product_has_a_vector(tmp_path: Path) -> None:
    shop = a_shop_of_many(tmp_path / "shop", MANY, [])
    encoder = FakeImage()
    see(shop, encoder, tmp_path)
    encoder.asked.clear()

    found = encode_all_pictures(
        ["p1", "p2", "p3"], shop, encoder, tmp_path, max_failed_share=0.5, track=silent
    )

    assert encoder.asked == [b"broken"]  # the others are remembered
    assert found.offsets.tolist() == [0, 1, 3, 3]
    expected = [vector_of(BLUE), vector_of(RED), vector_of(BLUE)]
    np.testing.assert_array_equal(found.vectors, np.stack(expected))
    assert found.failures == {"p2": "damaged"}
    assert found.seen == 4


def test_the_frames_of_a_video_are_encoded_once(tmp_path: Path) -> None:
    shop = a_shop_of_many(tmp_path / "shop", MANY, [film(3), b"no film"])
    encoder = FakeImage()

    found, again = (
        encode_videos(
            ["p1", "p2", "p3"], shop, encoder, tmp_path, max_failed_share=0.5, track=silent
        )
        for _ in range(2)
    )

    assert found.offsets.tolist() == [0, 0, 0, 3]
    assert found.vectors.shape == (3, DIM)
    assert "damaged" in found.failures["p3"]
    assert len(encoder.asked) == 3
    np.testing.assert_array_equal(found.vectors, again.vectors)


def test_too_many_broken_videos_stop_the_build(tmp_path: Path) -> None:
    shop = a_shop_of_many(tmp_path / "shop", MANY, [b"no film"])

    with pytest.raises(UserError, match="1 of 1 videos cannot be read"):
        encode_videos(["p3"], shop, FakeImage(), tmp_path, max_failed_share=0.5, track=silent)


def test_a_shop_without_videos_has_no_frames(tmp_path: Path) -> None:
    shop = a_shop(tmp_path / "shop", {"p1": RED})

    found = encode_videos(["p1"], shop, FakeImage(), tmp_path, max_failed_share=0, track=silent)

    assert found.vectors.shape == (0, DIM)
    assert found.offsets.tolist() == [0, 0]


def film(frames: int) -> bytes:
    content = io.BytesIO()
    with av.open(content, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        for i in range(frames):
            image = Image.new("RGB", (16, 16), (80 * i, 0, 0))
            container.mux(stream.encode(av.VideoFrame.from_image(image)))
        container.mux(stream.encode())
    return content.getvalue()


@pytest.mark.slow
def test_a_build_that_was_killed_encodes_nothing_twice_but_what_it_was_at(tmp_path: Path) -> None:
    """The process is killed with SIGKILL in the middle of encoding, twice."""
    log = tmp_path / "encoded.txt"
    for _ in range(2):
        enough = len(lines_of(log)) + 45
        build = start_build(tmp_path, seconds_per_text=0.01)
        wait_until(partial(has_lines, log, enough))
        os.kill(build.pid, signal.SIGKILL)
        build.communicate(timeout=30)
        assert build.returncode == -signal.SIGKILL

    finished = start_build(tmp_path, seconds_per_text=0)
    said, complaint = finished.communicate(timeout=60)

    assert (finished.returncode, said) == (0, "done\n"), complaint
    encoded = lines_of(log)
    assert set(encoded) == {str(number) for number in range(300)}
    assert len(encoded) - 300 <= 2 * 10  # at most the chunk in hand at each kill
    assert (tmp_path / "embeddings" / "slow" / FILE_NAME).exists()


def start_build(folder: Path, seconds_per_text: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SLOW_BUILD, str(folder), str(seconds_per_text)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def has_lines(path: Path, count: int) -> bool:
    return len(lines_of(path)) >= count


def wait_until(happened: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "the build did not get anywhere"
        time.sleep(0.01)
