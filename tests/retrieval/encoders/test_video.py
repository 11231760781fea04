import io
from collections.abc import Sequence

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import retrieval.encoders.video as video
from retrieval.encoders.video import BrokenVideo, encode_video, frames_of
from tests.assertions import every


def filmed(frames: int = 24, kind: str = "mp4", codec: str = "mpeg4", size: int = 32) -> bytes:
    """A film that turns from black to white, ten frames a second."""
    content = io.BytesIO()
    with av.open(content, "w", format=kind) as film:
        stream = film.add_stream(codec, rate=10)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for i in range(frames):
            grey = np.full((size, size, 3), round(255 * i / max(frames - 1, 1)), np.uint8)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        film.mux(stream.encode())
    return content.getvalue()


FILM = filmed()


class Seer:
    """The first pixel of a frame and a one; says that a white one is broken."""

    dim = 2

    def encode_images(self, pictures: Sequence[bytes]) -> tuple[np.ndarray, dict[int, str]]:
        from PIL import Image

        grey = [Image.open(io.BytesIO(one)).convert("L").getpixel((5, 5)) for one in pictures]
        vectors = np.asarray([[one, 1] for one in grey], np.float32)
        return vectors, {i: "too bright" for i, one in enumerate(grey) if one > 225}


@pytest.mark.parametrize("kind", ["mp4", "matroska", "avi"])
def test_frames_come_from_the_whole_film_in_order(kind: str) -> None:
    greys = [frame.getpixel((5, 5))[0] for frame in frames_of(filmed(kind=kind), 4)]

    assert greys == sorted(greys)
    assert len(set(greys)) == 4
    assert greys[0] < 70
    assert greys[-1] > 190


def test_a_short_film_gives_each_frame_once() -> None:
    assert len(frames_of(filmed(frames=3), 8)) == 3
    assert len(frames_of(filmed(frames=1), 8)) == 1


def test_each_frame_becomes_a_vector_but_for_the_broken_ones() -> None:
    vectors = encode_video(FILM, Seer(), 8)

    assert vectors.shape == (7, 2)
    assert (np.diff(vectors[:, 0]) > 0).all()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello", "damaged or of a kind"),
        (FILM[:200], "damaged or of a kind"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hosts\n", "of a kind"),
        (b"ffconcat version 1.0\nfile /etc/hosts\n", "of a kind"),
    ],
)
def test_what_is_no_film_is_refused_by_name(content: bytes, reason: str) -> None:
    with pytest.raises(BrokenVideo, match=reason):
        frames_of(content)


@pytest.mark.parametrize(
    ("bound", "value", "reason"),
    [
        ("MAX_BYTES", 1_000, "more than 0 MB"),
        ("MAX_PIXELS", 1_000, "more than 0 megapixels"),
        ("MAX_SECONDS", 2.0, "longer than 2 seconds"),
    ],
)
def test_what_is_too_large_is_refused(
    bound: str, value: float, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, bound, value)

    with pytest.raises(BrokenVideo, match=reason):
        frames_of(FILM)


def test_no_more_frames_are_decoded_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "MAX_DECODED", 2)

    assert 1 <= len(frames_of(FILM)) <= 2


@given(place=st.floats(0, 1), noise=st.binary(min_size=1, max_size=40))
@settings(max_examples=40, deadline=None)
def test_overwritten_bytes_give_frames_or_a_reason(place: float, noise: bytes) -> None:
    start = int(place * len(FILM))

    try:
        found = frames_of(FILM[:start] + noise + FILM[start + len(noise) :])
    except BrokenVideo:
        return

    assert every(frame.mode == "RGB" for frame in found)
