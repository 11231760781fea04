"""Bounds the work of decoding the picture of a query, which a shopper sends and nobody checked."""

import io

from PIL import Image

from pipelines.errors import RequestError
from retrieval.encoders.pictures import DAMAGED, FORMATS, MAX_PIXELS

MOST_PIXELS = 12_000_000  # of a picture that cannot be decoded at a fraction of its size
REDUCED = ("JPEG",)


def refuse_heavy(content: bytes) -> None:
    """Raise a RequestError for a picture that takes too much memory to decode.

    Only its head is read. A picture that is damaged, or beyond every bound, is left to the
    decoder, which names the reason.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            pixels, form = image.width * image.height, image.format
    except (*DAMAGED, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return
    if MOST_PIXELS < pixels <= MAX_PIXELS and form not in REDUCED:
        most = MOST_PIXELS // 1_000_000
        raise RequestError(
            "image",
            f"has {pixels / 1e6:.1f} megapixels; send at most {most} megapixels, or a JPEG",
        )
