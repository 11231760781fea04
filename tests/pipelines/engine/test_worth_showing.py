"""Answers worth showing: what fits before what sells, and sold-out products behind others."""

from collections.abc import Callable
from datetime import datetime

import pytest

from pipelines.building.build import build
from pipelines.config.loading import load
from pipelines.engine.engine import Engine
from pipelines.importers.mapping import load_mapping
from pipelines.importers.table import import_table
from pipelines.progress import silent
from retrieval import Availability, Query, Scene, Slate, Stage
from retrieval.types import Direction, Facet, Sort
from tests.assertions import every
from tests.pipelines.building.steps.test_words import CATALOGUES

Open = Callable[..., Engine]


@pytest.fixture(scope="module")
def shop_of(tmp_path_factory: pytest.TempPathFactory) -> Open:
    def opened(name: str, mapping: str = "plain", events: str = "", *settings: str) -> Engine:
        folder = tmp_path_factory.mktemp(name)
        further = {"events": CATALOGUES / events} if events else {}
        columns = load_mapping(CATALOGUES / f"{mapping}.yaml")
        import_table(CATALOGUES / f"{name}.csv", folder / "shop", columns, silent, **further)
        config = load(None, ["ranking.train=false", *settings])
        build(folder / "shop", folder / "releases", config, None, silent)
        return Engine.open(folder / "releases")

    return opened


def answer(engine: Engine, **asked: object) -> Slate:
    return engine.answer(Query(deadline_ms=60_000, **asked), Stage.RANKING)  # type: ignore[arg-type]


def ids(slate: Slate) -> list[str]:
    return [placed.product.id for placed in slate.products]


@pytest.fixture(scope="module")
def models(shop_of: Open) -> Engine:
    return shop_of("exact-model")


@pytest.mark.parametrize(
    ("text", "first"),
    [("c15-03", "4"), ("volta c15-03", "4"), ("c4-03 cable", "6"), ("65 inch tv", "8")],
)
def test_the_one_exact_hit_is_first(models: Engine, text: str, first: str) -> None:
    assert ids(answer(models, text=text))[0] == first


@pytest.mark.parametrize(("text", "first"), [("น้ำดื่ม", "7"), ("หูฟัง", "5")])
def test_texts_in_a_script_that_the_model_lacks_are_not_alike(
    shop_of: Open, text: str, first: str
) -> None:
    engine = shop_of("thai", "plain", "", "retrieval.language=none")

    slate = answer(engine, text=text, explain=True)

    assert ids(slate)[0] == first
    assert every("semantic" not in placed.channels for placed in slate.products)


def test_what_the_words_do_not_match_is_neither_sorted_nor_counted(shop_of: Open) -> None:
    engine = shop_of("search-lists")
    sort = (Sort(field="price", order=Direction.ASCENDING),)

    slate = answer(
        engine, text="selfie stick", cursor="*", sort=sort, facets=(Facet(field="price"),)
    )

    assert slate.matched is not None
    assert (slate.matched.total, slate.matched.exact) == (3, True)
    assert [placed.product.price for placed in slate.products] == [15, 19, 25]


@pytest.mark.parametrize("asked", [{}, {"user": "u0"}, {"user": "nobody"}])
def test_what_is_sold_out_stands_behind_what_can_be_bought(
    shop_of: Open, asked: dict[str, str]
) -> None:
    engine = shop_of("stock-recommend", "stock-recommend", "stock-recommend.events.csv")
    scene = Scene(at=datetime(2024, 4, 1, 10))

    products = [placed.product for placed in answer(engine, scene=scene, **asked).products]

    sold_out = [one.availability is Availability.OUT_OF_STOCK for one in products]
    assert not sold_out[0]
    assert sold_out == sorted(sold_out)


@pytest.mark.parametrize("fusion", ["relevance", "position", "minmax", "theoretical"])
def test_of_two_equal_answers_the_one_in_stock_is_first_and_others_follow(
    shop_of: Open, fusion: str
) -> None:
    engine = shop_of("english-shop", "english-shop", "", f"retrieval.fusion={fusion}")

    products = [placed.product for placed in answer(engine, text="garden hose").products]

    assert ["hose" in one.title.lower() for one in products[:3]] == [True, True, False]
    assert [one.availability is Availability.OUT_OF_STOCK for one in products[:2]] == [False, True]


def test_a_shop_may_mix_what_is_sold_out_with_what_is_not(shop_of: Open) -> None:
    engine = shop_of(
        "stock-recommend",
        "stock-recommend",
        "stock-recommend.events.csv",
        "retrieval.sold_out=mixed",
    )

    assert ids(answer(engine, scene=Scene(at=datetime(2024, 4, 1, 10))))[0] == "p0"


def test_a_shop_without_events_recommends_what_it_has(shop_of: Open) -> None:
    slate = answer(shop_of("two"), k=3)

    assert len(slate.products) == 3


def test_gibberish_is_answered_by_nothing_or_as_a_guess(models: Engine) -> None:
    slate = answer(models, text="xqzv wkjp")

    assert slate.guessed or not slate.products
    assert not answer(models, text="cable").guessed


def test_an_answer_without_products_is_no_guess(models: Engine) -> None:
    slate = answer(models, text="cable", filter='brand: ANY("Nobody")')

    assert not slate.products
    assert not slate.guessed
