"""Draws a pack shot for a product that has no photograph: always the same one, 128 px."""

import colorsys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from io import BytesIO
from multiprocessing import get_context
from typing import Literal, NamedTuple

import xxhash
from PIL import Image, ImageDraw, ImageFont

from pipelines.importers.journey.packshots.shapes import (
    CONTAINERS,
    FLOOR,
    Area,
    Colour,
    Colours,
    Pen,
)

SIDE = 128  # pixels
MEDIA_TYPE = "image/jpeg"
MARK = b"drawn by Vetrina; not a photograph"  # the comment inside each file
HUES = 20
TONES = ((0.70, 0.78), (0.58, 0.54))  # saturation and value: a bright and a deep one
NUM_COLOURS = HUES * len(TONES)
SCALES = {"small": 0.8, "medium": 0.9, "large": 1.0}
FONT_PIXELS = (17, 15, 13, 12, 11, 10, 9)
GREENS = (0.2, 0.52)  # hues
OVERSAMPLING = 3
QUALITY = 72  # of the JPEG
DRAWN_AT_ONCE = 200  # by one of several processes
BACKGROUND: Colour = (255, 255, 255)
CONTENT: Colour = (226, 190, 132)  # what is inside, where nothing else is known


class Label(NamedTuple):
    """What a picture shows; equal labels make equal pictures."""

    container: str  # a key of packshot_shapes.CONTAINERS
    colour: int  # of colour_of
    words: str
    size: Literal["small", "medium", "large"] = "medium"
    content: Colour = CONTENT


def colour_of(maker: str) -> int:
    """Return the colour of a manufacturer's packs, as a number under NUM_COLOURS."""
    return xxhash.xxh3_64_intdigest(maker.encode()) % NUM_COLOURS


def draw(label: Label) -> bytes:
    """Return the picture as JPEG, SIDE pixels square."""
    image, area = _container(label.container, label.colour, label.size, label.content)
    picture = image.copy()
    _write(picture, area, label.words)
    out = BytesIO()
    picture.save(out, "JPEG", quality=QUALITY, comment=MARK)
    return out.getvalue()


def draw_all(labels: Sequence[Label], processes: int = 1) -> Iterator[bytes]:
    """Yield a picture a label, in order; labels in order of `pack_of` are drawn faster.

    Few labels are drawn in this process, however many processes there may be.
    """
    if processes == 1 or len(labels) <= DRAWN_AT_ONCE:
        yield from map(draw, labels)
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        yield from pool.map(draw, labels, chunksize=DRAWN_AT_ONCE)


def pack_of(label: Label) -> tuple[str, int, str, Colour]:
    """Return what a label's pack looks like without its words; few of these are remembered."""
    return label.container, label.colour, label.size, label.content


@lru_cache(maxsize=64)
def _container(
    name: str, colour: int, size: Literal["small", "medium", "large"], content: Colour
) -> tuple[Image.Image, Area]:
    """Return the empty container, and its label in pixels."""
    scale = SCALES[size]
    big = Image.new("RGB", (SIDE * OVERSAMPLING,) * 2, BACKGROUND)
    pen = Pen(big, scale)
    pen.oval((14, FLOOR - 3), (86, FLOOR + 4), (0, 0, 0, 34))
    area = CONTAINERS[name](pen, _colours(colour, content))
    left, top = (round(x / OVERSAMPLING) for x in pen.at(area.left, area.top))
    right, bottom = (round(x / OVERSAMPLING) for x in pen.at(area.right, area.bottom))
    return big.reduce(OVERSAMPLING), Area(left, top, right, bottom, area.ink)


@lru_cache(maxsize=4096)
def _colours(colour: int, content: Colour) -> Colours:
    hue = (colour % HUES) / HUES
    saturation, value = TONES[colour // HUES]
    if GREENS[0] < hue < GREENS[1]:  # a green as light as the other colours hurts the eye
        value *= 0.8
    return Colours(
        main=_rgb(hue, saturation, value),
        dark=_rgb(hue, 0.85, 0.34),
        light=_rgb(hue, 0.22, 0.95),
        accent=_rgb(hue + 0.42, 0.50, 0.90),
        content=content,
    )


def _rgb(hue: float, saturation: float, value: float) -> Colour:
    return tuple(round(255 * x) for x in colorsys.hsv_to_rgb(hue % 1, saturation, value))


def _write(picture: Image.Image, area: Area, words: str) -> None:
    left, top, right, bottom = (int(x) for x in area[:4])
    mask = _words(words, right - left, bottom - top)
    picture.paste(area.ink, (left, top), mask)


@lru_cache(maxsize=16384)
def _words(words: str, width: int, height: int) -> Image.Image:
    """Return the words, centred on so many pixels, in the largest letters that fit."""
    lines, pixels = _fit(words, width, height)
    font = _font(pixels)
    mask = Image.new("L", (width, height))
    draw_on = ImageDraw.Draw(mask)
    step = pixels + 1
    y = (height - step * len(lines)) / 2 + step / 2
    for line in lines:
        draw_on.text((width / 2, y), line, 255, font, anchor="mm", stroke_width=0.35)
        y += step
    return mask


def _fit(words: str, width: int, height: int) -> tuple[list[str], int]:
    for pixels in FONT_PIXELS:
        lines = _wrap(words, _font(pixels), width)
        whole = all(_font(pixels).getlength(line) <= width for line in lines)
        if whole and len(lines) * (pixels + 1) <= height:
            return lines, pixels
    pixels = FONT_PIXELS[-1]
    room = max(1, height // (pixels + 1))
    return [_cut(line, _font(pixels), width) for line in lines[:room]], pixels


def _wrap(words: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    lines: list[str] = []
    for word in words.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _cut(line: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    while line and font.getlength(line) > width:
        line = line[:-1]
    return line


@lru_cache(maxsize=32)
def _font(pixels: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(pixels)  # inside Pillow: the same letters on every machine
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise OSError("this Pillow has no FreeType; install Pillow from its wheel")
    return font
