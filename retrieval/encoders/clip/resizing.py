"""Resizing: brings a picture to the size that a network reads, as open_clip does, without torch.

The steps and their rounding are those of `image_transform` in
https://github.com/mlfoundations/open_clip/blob/main/src/open_clip/transform.py, so that the pixels
are equal.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from jaxtyping import UInt8
from PIL import Image

INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "random": Image.Resampling.BICUBIC,  # open_clip draws one in training alone
}
Size = tuple[int, int]  # height and width, in pixels
Colour = tuple[int, int, int]  # red, green and blue, from 0 to 255
BLACK = (0, 0, 0)


class Resizing(msgspec.Struct, frozen=True):
    """How a network's pictures are resized and cropped: msgspec.ValidationError for another way."""

    size: int | Size
    interpolation: Literal["bilinear", "bicubic", "random"]
    resize_mode: Literal["longest", "shortest", "squash"]
    fill_color: int | Colour = 0  # a number: that of all three

    @classmethod
    def of(cls, size: int | Sequence[int], settings: Mapping[str, Any]) -> "Resizing":
        """Return the way that a model's settings ask for."""
        whole = size if isinstance(size, int) else list(size)
        names = ("interpolation", "resize_mode", "fill_color")
        return msgspec.convert({"size": whole} | {name: settings[name] for name in names}, cls)

    @property
    def target(self) -> Size:
        """The height and width of what the network sees."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    @property
    def _fill(self) -> Colour:
        fill = self.fill_color
        return (fill, fill, fill) if isinstance(fill, int) else fill

    def pixels(self, picture: Image.Image) -> UInt8[np.ndarray, "3 h w"]:
        """Return an RGB picture in the size that the network sees."""
        resized = self._resized(picture)
        return np.ascontiguousarray(np.asarray(resized, np.uint8).transpose(2, 0, 1))

    def _resized(self, picture: Image.Image) -> Image.Image:
        height, width = self.target
        method = INTERPOLATIONS[self.interpolation]
        if self.resize_mode == "squash":
            return picture.resize((width, height), method)
        if self.resize_mode == "longest":
            whole = _scaled(picture, max(picture.height / height, picture.width / width), method)
            return _centred(whole, self.target, self._fill)
        if height == width:
            return _centred(_with_shorter_side(picture, height, method), self.target, BLACK)
        least = min(picture.height / height, picture.width / width)
        return _centred(_scaled(picture, least, Image.Resampling.BICUBIC), self.target, BLACK)


def _scaled(picture: Image.Image, ratio: float, method: Image.Resampling) -> Image.Image:
    width, height = (max(round(side / ratio), 1) for side in picture.size)
    return picture.resize((width, height), method)


def _with_shorter_side(picture: Image.Image, side: int, method: Image.Resampling) -> Image.Image:
    short = min(picture.size)
    width, height = (side if one == short else int(side * one / short) for one in picture.size)
    return picture.resize((width, height), method)


def _centred(picture: Image.Image, target: Size, fill: Colour) -> Image.Image:
    """Return the middle of a picture, filled up where it is smaller."""
    height, width = target
    if picture.width < width or picture.height < height:
        size = max(picture.width, width), max(picture.height, height)
        filled = Image.new("RGB", size, fill)
        left, top = max(width - picture.width, 0) // 2, max(height - picture.height, 0) // 2
        filled.paste(picture, (left, top))
        picture = filled
    top, left = round((picture.height - height) / 2), round((picture.width - width) / 2)
    return picture.crop((left, top, left + width, top + height))
