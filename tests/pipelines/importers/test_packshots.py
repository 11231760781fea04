from io import BytesIO

import pytest
from PIL import Image

from pipelines.importers.journey.containers import label
from pipelines.importers.journey.packshots import drawing
from pipelines.importers.journey.packshots.drawing import (
    MARK,
    MEDIA_TYPE,
    NUM_COLOURS,
    SIDE,
    Label,
    colour_of,
    draw,
    draw_all,
)
from pipelines.importers.journey.packshots.shapes import CONTAINERS

YOGURT = ("GROCERY", "YOGURT", "YOGURT NOT MULTI-PACKS")


def opened(picture: bytes) -> Image.Image:
    return Image.open(BytesIO(picture))


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_is_drawn_at_most_128_pixels_wide_and_marked(container: str) -> None:
    picture = opened(draw(Label(container, 3, "Shredded Cheese")))

    assert picture.size == (SIDE, SIDE)
    assert max(picture.size) <= 128
    assert picture.get_format_mimetype() == MEDIA_TYPE
    assert picture.info["comment"] == MARK
    assert b"drawn" in MARK


def test_the_same_product_gets_the_same_picture() -> None:
    first = draw(label(*YOGURT, "69", "8 OZ"))

    assert draw(label(*YOGURT, "69", "8 OZ")) == first


def test_the_colour_tells_the_maker() -> None:
    makers = [str(number) for number in range(200)]

    colours = {colour_of(maker) for maker in makers}

    assert colours == set(range(NUM_COLOURS))
    assert draw(Label("tub", 1, "Yogurt")) != draw(Label("tub", 2, "Yogurt"))


def test_the_words_are_on_the_label() -> None:
    with_words = opened(draw(Label("box", 4, "Cold Cereal"))).convert("L")
    without = opened(draw(Label("box", 4, ""))).convert("L")

    darker = sum(a < b - 60 for a, b in zip(with_words.tobytes(), without.tobytes(), strict=True))

    assert darker > 100


@pytest.mark.parametrize(
    "words", ["", "A", "Pneumonoultramicroscopicsilicovolcanoconiosis " * 9, "日本"]
)
def test_words_of_any_length_are_drawn(words: str) -> None:
    assert opened(draw(Label("wine", 0, words, "small"))).size == (SIDE, SIDE)


def test_a_larger_pack_is_drawn_larger() -> None:
    small, large = label(*YOGURT, "69", "4 OZ"), label(*YOGURT, "69", "32 OZ")

    white = [opened(draw(one)).convert("L").tobytes().count(255) for one in (small, large)]

    assert (small.size, large.size) == ("small", "large")
    assert white[0] > white[1]


@pytest.mark.parametrize(
    ("about", "container"),
    [
        (YOGURT, "tub"),
        (("GROCERY", "BEERS/ALES", "BEERALEMALT LIQUORS"), "can"),
        (("GROCERY", "SOFT DRINKS", "SOFT DRINKS 12/18&15PK CAN CAR"), "pack"),
        (("GROCERY", "EGGS", "EGGS - LARGE"), "eggs"),
        (("GROCERY", "FROZEN PIZZA", "PIZZA/PREMIUM"), "pizza"),
        (("PRODUCE", "APPLES", "APPLES GALA (BULK&BAG)"), "produce"),
        (("MEAT", "BEEF", "CHOICE BEEF"), "tray"),
        (("DRUG GM", "HAIR CARE PRODUCTS", "SHAMPOO"), "bottle"),
        (("DRUG GM", "MAGAZINE", "FITNESS&HEALTH-MAGAZINE"), "book"),
        (("FLORAL", "ROSES", "ROSE BOUQUET"), "flowers"),
        (("MISCELLANEOUS", "", ""), "box"),
    ],
)
def test_the_container_tells_the_kind(about: tuple[str, str, str], container: str) -> None:
    assert label(*about, "69", "").container == container


def test_many_are_drawn_in_order() -> None:
    labels = [Label("can", colour, "Cola") for colour in range(3)]

    assert list(draw_all(labels)) == [draw(one) for one in labels]


def test_two_processes_draw_what_one_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "DRAWN_AT_ONCE", 2)
    labels = [Label("tub", colour, "Yogurt") for colour in range(5)]

    assert list(draw_all(labels, processes=2)) == [draw(one) for one in labels]
