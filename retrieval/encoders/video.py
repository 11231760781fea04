"""Samples frames of a video from an untrusted source, bounded at every step; knows PyAV."""

import io
from collections.abc import Iterator, Sequence
from itertools import islice
from time import monotonic
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32
from PIL import Image

from retrieval.encoders.pictures import DAMAGED

MAX_BYTES = 50_000_000
MAX_PIXELS = 9_000_000  # of a frame: a little more than 3840 x 2160
MAX_SECONDS = 600.0
MAX_DECODED = 3_000  # frames, to reach the wanted ones from the pictures that stand alone
MAX_WORK_SECONDS = 20.0  # of decoding one video
FRAMES = 8
FORMATS = "mov,matroska,avi,mpeg,ogg,gif"  # none that names other files, as a playlist does
MICROSECONDS = 1_000_000
QUALITY = 90  # of the JPEG that a frame is handed on as


class BrokenVideo(ValueError):
    """Bytes that are no video we open; the reason is short and tells nothing of ourselves."""


@runtime_checkable
class FrameEncoder(Protocol):
    """What sees a frame: the encoder of pictures."""

    dim: int

    def encode_images(
        self, pictures: Sequence[bytes]
    ) -> tuple[Float32[np.ndarray, "n p"], dict[int, str]]:
        """Return one unit vector a picture, and why some have a zero vector instead."""
        ...


def frames_of(content: bytes, count: int = FRAMES) -> list[Image.Image]:
    """Return up to `count` RGB frames from evenly spaced moments, in order, or BrokenVideo.

    Only these bytes are read: no address, no other file. A video shorter than `count` frames
    gives what it has. What is too large, too long or takes too long is refused by name.
    """
    if not content:
        raise BrokenVideo("the video is empty")
    if len(content) > MAX_BYTES:
        raise BrokenVideo(f"the video has more than {MAX_BYTES // 1_000_000} MB")
    import av

    safe = {"format_whitelist": FORMATS, "protocol_whitelist": ""}
    try:
        with av.open(io.BytesIO(content), container_options=safe) as container:
            found = list(_sampled(container, count))
    except BrokenVideo:
        raise
    except (av.FFmpegError, *DAMAGED):
        raise BrokenVideo("the video is damaged or of a kind that is not read") from None
    if not found:
        raise BrokenVideo("the video has no frame that can be read")
    return found


def encode_video(
    content: bytes, encoder: FrameEncoder, count: int = FRAMES
) -> Float32[np.ndarray, "n p"]:
    """Return one unit vector a sampled frame, in order of time, or BrokenVideo."""
    vectors, failures = encoder.encode_images([_jpeg(frame) for frame in frames_of(content, count)])
    return np.delete(vectors, list(failures), axis=0)


def _sampled(container: Any, count: int) -> Iterator[Image.Image]:
    stream = next(iter(container.streams.video), None)
    if stream is None:
        raise BrokenVideo("the file has no pictures that move")
    reader = stream.codec_context
    _check_size(reader.width, reader.height)
    reader.thread_count = 1
    reader.options = {"max_pixels": str(MAX_PIXELS)}  # whatever the file says of its size
    seconds = _seconds(container, stream)
    last = None
    for frame in islice(_at(container, stream, seconds, count), count):
        if frame.pts is not None and frame.pts == last:
            continue  # fewer frames than moments
        last = frame.pts
        _check_size(frame.width, frame.height)
        yield frame.to_image()


def _at(container: Any, stream: Any, seconds: float, count: int) -> Iterator[Any]:
    """Yield the frame that is shown in the middle of each part of the video, or its last."""
    import av

    left = _Left(MAX_DECODED, monotonic() + MAX_WORK_SECONDS)
    start = float((stream.start_time or 0) * stream.time_base)
    shown = 1 / float(stream.average_rate) if stream.average_rate else 0.0  # seconds a frame
    for part in range(count):
        moment = start + (part + 0.5) * (seconds / count if seconds else 1.0)
        found = None
        try:
            if seconds:
                container.seek(int(moment / stream.time_base), stream=stream)
            for frame in container.decode(stream):
                found = frame
                if left.used_up() or frame.time is None or frame.time + shown > moment:
                    break
        except av.FFmpegError:  # cut short: what was read before is a frame all the same
            pass
        if found is None:
            return
        yield found
        if left.used_up():
            return


class _Left:
    """How many frames, and until when, may still be decoded."""

    def __init__(self, frames: int, until: float) -> None:
        self._frames = frames
        self._until = until

    def used_up(self) -> bool:
        self._frames -= 1
        return self._frames < 0 or monotonic() > self._until


def _seconds(container: Any, stream: Any) -> float:
    """Return how long the video is, 0 where the file does not say."""
    if stream.duration:
        seconds = float(stream.duration * stream.time_base)
    else:
        seconds = float(container.duration or 0) / MICROSECONDS
    if seconds > MAX_SECONDS:
        raise BrokenVideo(f"the video is longer than {MAX_SECONDS:.0f} seconds")
    return max(seconds, 0.0)


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise BrokenVideo(f"the video has more than {MAX_PIXELS // 1_000_000} megapixels")


def _jpeg(frame: Image.Image) -> bytes:
    content = io.BytesIO()
    frame.save(content, "JPEG", quality=QUALITY)
    return content.getvalue()
