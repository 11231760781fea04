"""The containers that a pack shot can show, each drawn on a canvas of 100 by 100 units."""

from collections.abc import Callable
from typing import NamedTuple

from PIL import Image, ImageDraw

Colour = tuple[int, ...]
FLOOR = 93.0  # the height on the canvas where everything stands
WHITE: Colour = (255, 255, 255)
PAPER: Colour = (252, 250, 244)
GLASS: Colour = (226, 236, 240)
SILVER: Colour = (196, 202, 208)
GREY: Colour = (120, 126, 132)
LEAF: Colour = (72, 142, 74)
CRUST: Colour = (196, 136, 72)
MEAT: Colour = (196, 74, 72)


class Colours(NamedTuple):
    """A maker's colours: `main` for most of the pack, `accent` beside it, `dark` for words."""

    main: Colour
    dark: Colour
    light: Colour
    accent: Colour
    content: Colour


class Area(NamedTuple):
    """Where the words go, in units of the canvas, and their colour."""

    left: float
    top: float
    right: float
    bottom: float
    ink: Colour


class Pen:
    """Draws in units of the canvas, smaller about the middle of the floor if `scale` < 1."""

    def __init__(self, image: Image.Image, scale: float) -> None:
        self._draw = ImageDraw.Draw(image, "RGBA")
        self._unit = image.width / 100
        self._scale = scale

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the canvas lies, in pixels."""
        return (
            (50 + (x - 50) * self._scale) * self._unit,
            (FLOOR + (y - FLOOR) * self._scale) * self._unit,
        )

    def box(
        self,
        corner: tuple[float, float],
        other: tuple[float, float],
        fill: Colour,
        round_by: float = 0,
    ) -> None:
        """Fill a rectangle between two corners."""
        span = (*self.at(*corner), *self.at(*other))
        self._draw.rounded_rectangle(span, round_by * self._scale * self._unit, fill)

    def oval(self, corner: tuple[float, float], other: tuple[float, float], fill: Colour) -> None:
        """Fill the ellipse between two corners."""
        self._draw.ellipse((*self.at(*corner), *self.at(*other)), fill)

    def shape(self, fill: Colour, *points: tuple[float, float]) -> None:
        """Fill a polygon."""
        self._draw.polygon([self.at(*point) for point in points], fill)

    def line(self, fill: Colour, width: float, *points: tuple[float, float]) -> None:
        """Draw a line through points."""
        pixels = max(1, round(width * self._scale * self._unit))
        self._draw.line([self.at(*point) for point in points], fill, pixels, joint="curve")

    def shine(self, left: float, top: float, right: float, bottom: float) -> None:
        """Light the left of something round and shade its right."""
        width = right - left
        self.box((left + 0.10 * width, top), (left + 0.22 * width, bottom), (255, 255, 255, 70), 1)
        self.box((right - 0.16 * width, top), (right, bottom), (0, 0, 0, 26), 1)
        self.box((right - 0.07 * width, top), (right, bottom), (0, 0, 0, 30), 1)


def bottle(pen: Pen, c: Colours) -> Area:
    """A tall bottle with a screw cap."""
    pen.box((43, 6), (57, 15), c.accent, 2)
    pen.shape(c.main, (44, 15), (56, 15), (58, 24), (70, 38), (30, 38), (42, 24))
    pen.box((30, 34), (70, FLOOR), c.main, 5)
    pen.shine(30, 38, 70, 91)
    pen.box((30, 44), (70, 82), PAPER)
    pen.box((30, 44), (70, 47), c.accent)
    pen.box((30, 79), (70, 82), c.accent)
    return Area(31, 48, 69, 78, c.dark)


def wine(pen: Pen, c: Colours) -> Area:
    """A wine bottle with a paper label."""
    pen.box((44, 4), (56, 20), c.accent, 2)
    pen.shape(c.dark, (45, 20), (55, 20), (56, 32), (68, 44), (32, 44), (44, 32))
    pen.box((32, 41), (68, FLOOR), c.dark, 4)
    pen.shine(32, 44, 68, 91)
    pen.box((32, 52), (68, 84), PAPER)
    pen.line(c.accent, 1, (35, 54.5), (65, 54.5))
    pen.line(c.accent, 1, (35, 81.5), (65, 81.5))
    return Area(33, 55, 67, 81, c.dark)


def jug(pen: Pen, c: Colours) -> Area:
    """A jug with a handle, as for milk or detergent."""
    pen.box((38, 7), (52, 15), c.accent, 2)
    pen.shape(c.light, (39, 15), (51, 15), (78, 40), (78, 50), (22, 50), (22, 40))
    pen.box((22, 38), (78, FLOOR), c.light, 6)
    pen.shape(WHITE, (60, 30), (69, 39), (69, 44), (60, 44))
    pen.shine(22, 46, 78, 91)
    pen.box((22, 50), (78, 84), c.main)
    pen.box((25, 53), (75, 81), PAPER, 2)
    return Area(27, 54, 73, 80, c.dark)


def can(pen: Pen, c: Colours) -> Area:
    """A drink can."""
    pen.box((31, 14), (69, FLOOR), SILVER, 7)
    pen.oval((34, 12), (66, 19), GREY)
    pen.oval((36, 13), (64, 17.5), SILVER)
    pen.box((29, 21), (71, 87), c.main, 4)
    pen.shape(c.accent, (29, 74), (71, 62), (71, 68), (29, 80))
    pen.shine(29, 21, 71, 87)
    return Area(30, 24, 70, 62, WHITE)


def tin(pen: Pen, c: Colours) -> Area:
    """A tin of preserved food."""
    pen.box((22, 26), (78, FLOOR), SILVER, 4)
    pen.oval((22, 22), (78, 32), GREY)
    pen.oval((24, 23), (76, 30.5), SILVER)
    pen.box((22, 33), (78, 88), c.main)
    pen.box((22, 41), (78, 80), PAPER)
    pen.box((22, 37.5), (78, 39.5), c.accent)
    pen.box((22, 81.5), (78, 83.5), c.accent)
    pen.shine(22, 33, 78, 88)
    return Area(26, 42, 74, 79, c.dark)


def jar(pen: Pen, c: Colours) -> Area:
    """A glass jar with a lid."""
    pen.box((28, 14), (72, 26), c.accent, 3)
    for x in range(31, 72, 5):
        pen.line((0, 0, 0, 40), 0.8, (x, 16), (x, 24))
    pen.box((24, 26), (76, FLOOR), GLASS, 9)
    pen.box((26, 33), (74, 91), c.content, 7)
    pen.box((24, 44), (76, 82), PAPER)
    pen.box((24, 44), (76, 48), c.main)
    pen.box((24, 78), (76, 82), c.main)
    pen.shine(24, 30, 76, 90)
    return Area(27, 49, 73, 77, c.dark)


def box(pen: Pen, c: Colours) -> Area:
    """A cardboard box, seen a little from its right."""
    pen.shape(c.dark, (74, 14), (84, 20), (84, 88), (74, FLOOR))
    pen.shape(c.light, (20, 14), (30, 9), (84, 20), (74, 14))
    pen.box((20, 14), (74, FLOOR), c.main)
    pen.oval((26, 62), (68, 90), c.accent)
    pen.oval((34, 68), (60, 86), c.content)
    pen.box((24, 20), (70, 57), PAPER, 2)
    return Area(26, 21, 68, 56, c.dark)


def carton(pen: Pen, c: Colours) -> Area:
    """A carton with a gable top."""
    pen.box((30, 7), (70, 13), c.light)
    pen.shape(c.light, (30, 13), (70, 13), (76, 32), (24, 32))
    pen.shape((0, 0, 0, 26), (50, 13), (70, 13), (76, 32), (58, 32))
    pen.box((46, 17), (55, 26), c.accent, 4)
    pen.box((24, 32), (76, FLOOR), c.main)
    pen.box((24, 36), (76, 72), PAPER)
    pen.shape(c.accent, (24, 84), (76, 76), (76, FLOOR), (24, FLOOR))
    pen.box((70, 32), (76, FLOOR), (0, 0, 0, 30))
    return Area(27, 37, 69, 71, c.dark)


def bag(pen: Pen, c: Colours) -> Area:
    """A pillow bag, as for crisps and sweets."""
    pen.shape(
        c.main, (22, 12), (78, 12), (76, 20), (81, 50), (76, 85), (79, FLOOR), (21, FLOOR),
        (24, 85), (19, 50), (24, 20),
    )  # fmt: skip
    for y in (12, 88):
        pen.box((22, y), (78, y + 4), (255, 255, 255, 90))
    pen.oval((28, 60), (72, 86), c.accent)
    for x, y in ((34, 66), (46, 70), (56, 65), (41, 75), (53, 76)):
        pen.oval((x, y), (x + 11, y + 7), c.content)
    pen.box((25, 22), (75, 57), PAPER, 5)
    pen.shape((255, 255, 255, 46), (26, 20), (33, 20), (29, 85), (24, 60))
    return Area(27, 23, 73, 56, c.dark)


def sack(pen: Pen, c: Colours) -> Area:
    """A large paper sack with a folded top."""
    pen.shape(c.main, (22, 14), (78, 14), (82, 88), (78, FLOOR), (22, FLOOR), (18, 88))
    pen.shape(c.dark, (22, 8), (78, 8), (79, 18), (21, 18))
    pen.line((255, 255, 255, 150), 0.8, (23, 13), (77, 13))
    pen.box((26, 25), (74, 62), PAPER, 3)
    pen.oval((36, 66), (64, 88), c.accent)
    pen.oval((43, 70), (57, 84), c.content)
    pen.shape((0, 0, 0, 30), (74, 18), (79, 18), (82, 88), (78, FLOOR), (72, FLOOR))
    return Area(27, 26, 73, 61, c.dark)


def tub(pen: Pen, c: Colours) -> Area:
    """A tub with a lid, as for yogurt and ice cream."""
    pen.box((18, 24), (82, 34), c.accent, 3)
    pen.oval((19, 21), (81, 29), c.light)
    pen.shape(c.main, (21, 34), (79, 34), (73, FLOOR), (27, FLOOR))
    pen.shape(PAPER, (22, 41), (78, 41), (74.5, 78), (25.5, 78))
    pen.shape((255, 255, 255, 60), (26, 34), (33, 34), (36, FLOOR), (31, FLOOR))
    pen.shape((0, 0, 0, 30), (72, 34), (79, 34), (73, FLOOR), (67, FLOOR))
    return Area(28, 42, 72, 77, c.dark)


def tray(pen: Pen, c: Colours) -> Area:
    """Fresh meat or fish on a tray under film."""
    pen.box((10, 30), (90, 88), WHITE, 8)
    pen.box((12, 32), (88, 86), (60, 62, 66), 7)
    for left, top in ((16, 37), (44, 35), (22, 58), (52, 57)):
        pen.oval((left, top), (left + 33, top + 25), c.content)
        pen.oval((left + 5, top + 4), (left + 20, top + 12), (255, 255, 255, 60))
    pen.box((25, 44), (75, 78), PAPER, 2)
    pen.box((25, 44), (75, 48), c.main)
    pen.shape((255, 255, 255, 50), (14, 34), (40, 34), (18, 84), (14, 84))
    return Area(26, 49, 74, 77, c.dark)


def tube(pen: Pen, c: Colours) -> Area:
    """A tube that stands on its cap."""
    pen.box((30, 6), (70, 12), c.light)
    pen.shape(c.main, (30, 11), (70, 11), (66, 80), (34, 80))
    pen.box((37, 80), (63, FLOOR), WHITE, 2)
    pen.box((37, 80), (63, FLOOR), (0, 0, 0, 40), 2)
    pen.shape(PAPER, (32, 20), (68, 20), (66.5, 58), (33.5, 58))
    pen.shape(c.accent, (33, 66), (67, 60), (66.8, 66), (33.6, 72))
    pen.shape((255, 255, 255, 60), (34, 12), (39, 12), (41, 80), (38, 80))
    return Area(33.5, 21, 66.5, 57, c.dark)


def loaf(pen: Pen, c: Colours) -> Area:
    """Bread in a clear bag."""
    pen.shape(c.light, (78, 52), (94, 40), (96, 60), (80, 66))
    pen.box((6, 34), (84, FLOOR), CRUST, 14)
    for x in (12, 29, 46, 63):
        pen.oval((x, 28), (x + 20, 50), (214, 158, 92))
    pen.box((18, 50), (72, 86), c.main, 3)
    pen.box((20, 52), (70, 84), PAPER, 2)
    pen.line((255, 255, 255, 120), 1.5, (12, 42), (12, 84))
    pen.box((80, 50), (85, 62), c.accent, 1)
    return Area(21, 53, 69, 83, c.dark)


def produce(pen: Pen, c: Colours) -> Area:
    """Fruit or vegetables, loose, with a card."""
    for left, top in ((30, 16), (12, 34), (52, 34), (32, 36)):
        pen.oval((left, top), (left + 36, top + 36), c.content)
        pen.oval((left + 20, top + 8), (left + 36, top + 34), (0, 0, 0, 16))
        pen.oval((left + 8, top + 6), (left + 17, top + 14), (255, 255, 255, 90))
    pen.shape(LEAF, (48, 17), (56, 6), (66, 8), (58, 16))
    pen.line((104, 78, 50), 1.6, (48, 20), (49, 10))
    pen.box((16, 60), (84, FLOOR), c.main, 3)
    pen.box((18, 62), (82, 91), PAPER, 2)
    return Area(20, 63, 80, 90, c.dark)


def greens(pen: Pen, c: Colours) -> Area:
    """Leaves in a bunch or a bag, with a card."""
    for points in (
        ((50, 62), (18, 52), (12, 28), (34, 30)),
        ((50, 62), (82, 52), (88, 28), (66, 30)),
        ((50, 62), (30, 36), (36, 10), (52, 24)),
        ((50, 62), (70, 36), (64, 10), (48, 24)),
    ):
        pen.shape(c.content, *points)
        pen.line((255, 255, 255, 90), 1, points[0], points[2])
    pen.box((16, 60), (84, FLOOR), c.main, 3)
    pen.box((18, 62), (82, 91), PAPER, 2)
    return Area(20, 63, 80, 90, c.dark)


def eggs(pen: Pen, c: Colours) -> Area:
    """A carton of eggs."""
    for x in (14, 32, 50, 68):
        pen.oval((x, 24), (x + 18, 50), (240, 222, 196))
        pen.oval((x + 4, 28), (x + 9, 36), (255, 255, 255, 140))
    pen.shape((176, 172, 160), (8, 42), (92, 42), (86, FLOOR), (14, FLOOR))
    pen.box((18, 50), (82, 86), c.main, 3)
    pen.box((20, 52), (80, 84), PAPER, 2)
    return Area(22, 53, 78, 83, c.dark)


def flowers(pen: Pen, c: Colours) -> Area:
    """A bunch of flowers in paper."""
    pen.shape(LEAF, (30, 40), (70, 40), (56, FLOOR), (44, FLOOR))
    for x, y in ((22, 22), (38, 10), (56, 12), (68, 26), (44, 28), (30, 34), (58, 36)):
        for dx, dy in ((-4, 0), (4, 0), (0, -4), (0, 4)):
            pen.oval((x + dx, y + dy), (x + dx + 11, y + dy + 11), c.main)
        pen.oval((x + 3, y + 3), (x + 8, y + 8), (248, 210, 90))
    pen.shape(c.light, (20, 48), (80, 48), (58, FLOOR), (42, FLOOR))
    pen.box((24, 56), (76, 84), PAPER, 3)
    return Area(26, 57, 74, 83, c.dark)


def plant(pen: Pen, c: Colours) -> Area:
    """A plant in a pot."""
    for tip in ((16, 26), (30, 10), (50, 6), (70, 10), (84, 26)):
        pen.shape(LEAF, (46, 52), tip, (56, 52))
        pen.line((255, 255, 255, 80), 0.8, (51, 52), tip)
    pen.box((22, 48), (78, 57), c.dark, 2)
    pen.shape(c.main, (25, 57), (75, 57), (69, FLOOR), (31, FLOOR))
    pen.shape(PAPER, (27, 60), (73, 60), (69, 89), (31, 89))
    return Area(32, 61, 68, 88, c.dark)


def card(pen: Pen, c: Colours) -> Area:
    """A greeting card before its envelope."""
    pen.shape(c.light, (30, 20), (88, 28), (82, 90), (24, 82))
    pen.shape(c.dark, (30, 20), (88, 28), (56, 56))
    pen.box((16, 14), (66, FLOOR), PAPER, 1)
    pen.box((16, 14), (66, FLOOR), (*c.main, 60), 1)
    pen.oval((27, 20), (42, 36), c.main)
    pen.oval((40, 20), (55, 36), c.main)
    pen.shape(c.main, (27.5, 31), (54.5, 31), (41, 48))
    pen.box((19, 54), (63, 88), PAPER, 2)
    return Area(20, 55, 62, 87, c.dark)


def book(pen: Pen, c: Colours) -> Area:
    """A book or a magazine."""
    pen.shape(WHITE, (78, 12), (82, 15), (82, FLOOR), (78, FLOOR))
    pen.shape((0, 0, 0, 50), (78, 12), (82, 15), (82, FLOOR), (78, FLOOR))
    pen.box((20, 10), (78, FLOOR), c.main, 1)
    pen.box((20, 10), (25, FLOOR), c.dark)
    pen.oval((36, 56), (68, 88), c.accent)
    pen.oval((44, 62), (60, 78), c.light)
    pen.box((28, 14), (76, 50), PAPER, 1)
    return Area(29, 15, 75, 49, c.dark)


def rolls(pen: Pen, c: Colours) -> Area:
    """Paper rolls in a pack."""
    for x in (12, 38, 64):
        pen.box((x, 18), (x + 24, 56), WHITE, 6)
        pen.box((x, 18), (x + 24, 56), (0, 0, 0, 16), 6)
        pen.oval((x, 14), (x + 24, 26), (246, 246, 244))
        pen.oval((x + 8, 17.5), (x + 16, 22), (190, 170, 140))
    pen.box((10, 40), (90, FLOOR), c.main, 5)
    pen.box((16, 48), (84, 85), PAPER, 3)
    pen.shape((255, 255, 255, 60), (12, 40), (20, 40), (14, FLOOR), (11, FLOOR))
    return Area(18, 49, 82, 84, c.dark)


def blister(pen: Pen, c: Colours) -> Area:
    """A small thing on a card with a hole to hang it by."""
    pen.box((20, 6), (80, FLOOR), c.main, 3)
    pen.box((43, 9), (57, 13), WHITE, 2)
    pen.box((28, 56), (72, 89), (255, 255, 255, 150), 8)
    pen.oval((35, 60), (65, 86), c.accent)
    pen.oval((40, 64), (50, 72), (255, 255, 255, 120))
    pen.box((24, 17), (76, 52), PAPER, 2)
    return Area(25, 18, 75, 51, c.dark)


def cosmetic(pen: Pen, c: Colours) -> Area:
    """Make-up: a lipstick beside its card."""
    pen.box((38, 8), (88, FLOOR), c.light, 3)
    pen.box((41, 16), (85, 62), PAPER, 2)
    pen.box((12, 56), (32, FLOOR), (44, 42, 46), 2)
    pen.box((14, 44), (30, 57), (214, 186, 120), 1)
    pen.shape(c.main, (16, 44), (28, 44), (28, 24), (16, 32))
    pen.line((255, 255, 255, 110), 1.4, (16, 60), (16, 90))
    pen.box((41, 68), (85, 74), c.main, 2)
    return Area(42, 17, 84, 61, c.dark)


def pills(pen: Pen, c: Colours) -> Area:
    """A medicine bottle with a wide cap."""
    pen.box((30, 12), (70, 28), WHITE, 3)
    pen.box((30, 12), (70, 28), (0, 0, 0, 24), 3)
    for x in range(33, 70, 4):
        pen.line((0, 0, 0, 46), 0.8, (x, 14), (x, 26))
    pen.box((24, 28), (76, FLOOR), c.main, 8)
    pen.box((24, 40), (76, 84), PAPER)
    pen.box((24, 40), (76, 45), c.accent)
    pen.shine(24, 34, 76, 90)
    return Area(26, 46, 74, 83, c.dark)


def spray(pen: Pen, c: Colours) -> Area:
    """A bottle with a trigger, as for cleaners."""
    pen.shape(c.accent, (34, 8), (64, 8), (66, 18), (54, 18), (54, 28), (44, 28), (44, 18))
    pen.shape(c.accent, (33, 12), (40, 18), (36, 28), (32, 27))
    pen.shape(c.main, (44, 28), (56, 28), (72, 50), (72, 60), (28, 60), (28, 50))
    pen.box((28, 50), (72, FLOOR), c.main, 5)
    pen.shine(28, 54, 72, 91)
    pen.box((28, 52), (72, 86), PAPER, 2)
    return Area(29, 53, 71, 85, c.dark)


def disc(pen: Pen, c: Colours) -> Area:
    """A disc half out of its case."""
    pen.oval((40, 26), (96, 82), (206, 212, 220))
    pen.oval((50, 36), (86, 72), (*c.light, 150))
    pen.oval((63, 49), (73, 59), WHITE)
    pen.box((10, 14), (68, FLOOR), c.main, 2)
    pen.box((10, 14), (15, FLOOR), c.dark)
    pen.box((19, 20), (65, 56), PAPER, 1)
    pen.shape(c.accent, (19, 88), (42, 62), (65, 88))
    return Area(20, 21, 64, 55, c.dark)


def gift(pen: Pen, c: Colours) -> Area:
    """A wrapped present, for what a season brings."""
    pen.shape(c.accent, (50, 26), (30, 10), (26, 22))
    pen.shape(c.accent, (50, 26), (70, 10), (74, 22))
    pen.box((14, 24), (86, 38), c.dark, 2)
    pen.box((18, 38), (82, FLOOR), c.main)
    pen.box((46, 24), (54, FLOOR), c.accent)
    pen.box((22, 46), (78, 82), PAPER, 3)
    return Area(24, 47, 76, 81, c.dark)


def pack(pen: Pen, c: Colours) -> Area:
    """Cans or bottles in a carrier."""
    for x in (14, 32, 50, 68):
        pen.box((x, 20), (x + 18, 60), c.accent, 4)
        pen.oval((x, 17), (x + 18, 25), SILVER)
        pen.oval((x + 3, 18.5), (x + 15, 23.5), GREY)
    pen.box((10, 38), (90, FLOOR), c.main, 2)
    pen.box((16, 46), (84, 80), PAPER, 2)
    pen.shape((0, 0, 0, 30), (84, 38), (90, 38), (90, FLOOR), (84, FLOOR))
    pen.shape(c.accent, (10, 90), (90, 84), (90, 88), (10, FLOOR))
    return Area(18, 47, 82, 79, c.dark)


def bowl(pen: Pen, c: Colours) -> Area:
    """A prepared dish under a clear lid."""
    pen.oval((14, 18), (86, 66), (*GLASS, 255))
    for left, top, colour in ((24, 32, c.content), (44, 26, LEAF), (56, 36, c.accent)):
        pen.oval((left, top), (left + 24, top + 18), colour)
    pen.shape((52, 54, 58), (8, 46), (92, 46), (78, FLOOR), (22, FLOOR))
    pen.box((6, 43), (94, 49), (84, 88, 92), 2)
    pen.box((20, 53), (80, 86), PAPER, 3)
    pen.line((255, 255, 255, 160), 1.6, (24, 34), (34, 25), (46, 21))
    return Area(22, 54, 78, 85, c.dark)


def cake(pen: Pen, c: Colours) -> Area:
    """A cake on a board."""
    pen.box((8, 88), (92, FLOOR), (214, 196, 150), 2)
    pen.box((16, 40), (84, 88), c.content, 4)
    pen.box((16, 34), (84, 52), c.light, 6)
    for x in range(18, 80, 12):
        pen.oval((x, 44), (x + 10, 58), c.light)
    for x in (28, 46, 64):
        pen.oval((x, 26), (x + 9, 36), c.main)
    pen.box((20, 58), (80, 86), PAPER, 2)
    return Area(21, 59, 79, 85, c.dark)


def pizza(pen: Pen, c: Colours) -> Area:
    """A flat box with a pizza on it."""
    pen.box((8, 12), (92, FLOOR), c.main, 2)
    pen.oval((18, 46), (82, 110), CRUST)
    pen.oval((23, 51), (77, 105), (236, 190, 96))
    for x, y in ((34, 62), (54, 58), (44, 76), (62, 76), (28, 80)):
        pen.oval((x, y), (x + 9, y + 9), MEAT)
    pen.box((8, FLOOR), (92, 120), WHITE)
    pen.box((14, 17), (86, 46), PAPER, 2)
    return Area(16, 18, 84, 45, c.dark)


CONTAINERS: dict[str, Callable[[Pen, Colours], Area]] = {
    shape.__name__: shape
    for shape in (
        bag, blister, book, bottle, bowl, box, cake, can, card, carton, cosmetic, disc, eggs,
        flowers, gift, greens, jar, jug, loaf, pack, pills, pizza, plant, produce, rolls, sack,
        spray, tin, tray, tub, tube, wine,
    )
}  # fmt: skip
