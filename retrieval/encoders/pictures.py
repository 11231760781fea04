"""Decodes pictures from untrusted sources, within bounds that are checked before decoding."""

import io
import struct
import zlib

import numpy as np
import xxhash
from PIL import Image, ImageOps

MAX_BYTES = 10_000_000
MAX_PIXELS = 25_000_000
MAX_RATIO = 50  # of the sides: enlarged to 336 pixels across, a picture is 16,800 pixels long
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
DRAFT_PIXELS = 512  # a large JPEG is decoded at a fraction of its size, but not below this
DRAFT = 1.5  # the same for an encoder, times the side that its network sees
DAMAGED = (  # what Pillow is known to raise for bytes that only look like a picture
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    EOFError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
)


class BrokenPicture(ValueError):
    """Bytes that are no picture we open; the reason is short and tells nothing of ourselves."""


def least_side(size: int) -> int:
    """Return below which side a JPEG is not decoded for a network that sees `size` pixels."""
    return int(DRAFT * size)


def fingerprint_in_torch(model: str, size: int) -> str:
    """Return the fingerprint of an encoder from its model's, telling how pictures are decoded."""
    return xxhash.xxh3_128_hexdigest(f"{model}\0least={least_side(size)}".encode())


def open_picture(content: bytes, least: int = DRAFT_PIXELS) -> Image.Image:
    """Return an upright RGB picture, transparency over white, or BrokenPicture.

    Of an animation the first frame is taken. Size is checked before anything is decoded, and a
    JPEG is decoded at half, a quarter or an eighth of it where no side falls below `least`.
    """
    if not content:
        raise BrokenPicture("the picture is empty")
    if len(content) > MAX_BYTES:
        raise BrokenPicture(f"the picture has more than {MAX_BYTES // 1_000_000} MB")
    image = _header(content)
    if image.width * image.height > MAX_PIXELS:
        raise BrokenPicture(f"the picture has more than {MAX_PIXELS // 1_000_000} megapixels")
    if not image.width * image.height:
        raise BrokenPicture("the picture has no pixels")
    if max(image.size) > MAX_RATIO * min(image.size):
        raise BrokenPicture(f"one side of the picture is more than {MAX_RATIO} times the other")
    try:
        image.draft("RGB", (least, least))
        image.load()
        return _on_white(_upright(image))
    except DAMAGED:
        raise BrokenPicture("the picture is damaged or cut short") from None


def _header(content: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BrokenPicture(
            f"the picture has more than {MAX_PIXELS // 1_000_000} megapixels"
        ) from None
    except DAMAGED:
        raise BrokenPicture("not a JPEG, PNG, WebP, GIF or BMP picture") from None


def _upright(image: Image.Image) -> Image.Image:
    """Turn a photograph the way its camera was held; a broken note about that is ignored."""
    try:
        return ImageOps.exif_transpose(image)
    except DAMAGED:
        return image


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits a pixel, which convert() would clip to white
        image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode == "RGB":
        return image
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        white = Image.new("RGBA", clear.size, "white")
        return Image.alpha_composite(white, clear).convert("RGB")
    return image.convert("RGB")
