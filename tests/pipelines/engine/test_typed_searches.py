"""What shoppers type and choose in one small shop, from a release to the answer."""

from pathlib import Path

import pytest

from index import FilterError
from pipelines.building.build import build
from pipelines.config.loading import load
from pipelines.engine.engine import Engine
from pipelines.errors import RequestError
from pipelines.importers.mapping import load_mapping
from pipelines.importers.table import import_table
from pipelines.progress import silent
from retrieval import Product, Query
from retrieval.types import Direction, Facet, Sort
from tests.assertions import each

CATALOGUES = Path(__file__).parents[1] / "building/steps/catalogues"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("typed")
    mapping = load_mapping(CATALOGUES / "english-shop.yaml")
    import_table(CATALOGUES / "english-shop.csv", folder / "shop", mapping, silent)
    build(folder / "shop", folder / "releases", load(None, ["ranking.train=false"]), None, silent)
    return Engine.open(folder / "releases")


def listed(engine: Engine, **asked: object) -> list[Product]:
    query = Query(cursor="*", k=200, deadline_ms=60_000, **asked)  # type: ignore[arg-type]
    return [placed.product for placed in engine.answer(query).products]


@pytest.mark.parametrize("order", list(Direction))
def test_an_attribute_of_numbers_is_sorted_as_numbers(engine: Engine, order: Direction) -> None:
    products = listed(engine, sort=(Sort(field="attributes.num", order=order),))

    numbers = [float(str(p.attributes["num"])) for p in products if "num" in p.attributes]
    assert numbers == sorted(numbers, reverse=order is Direction.DESCENDING)
    assert numbers != sorted(numbers, key=str)
    assert "num" not in products[-1].attributes


def test_an_attribute_of_numbers_is_filtered_by_a_range(engine: Engine) -> None:
    passed = {p.id for p in listed(engine, filter="attributes.num > 40 AND attributes.num <= 43")}

    assert passed == {"u11", *(f"g-{c}-{n}" for c in ("red", "blue", "green") for n in (41, 42))}


def test_an_attribute_of_numbers_is_counted_in_intervals(engine: Engine) -> None:
    facet = Facet(field="attributes.num", intervals=((None, 40), (40, None)))
    matched = engine.answer(Query(facets=(facet,), deadline_ms=60_000)).matched

    assert matched is not None
    assert [value.count for value in matched.facets[0].values] == [9, 15]


def test_words_are_not_counted_in_intervals(engine: Engine) -> None:
    facet = Facet(field="attributes.colour", intervals=((None, 40), (40, None)))

    with pytest.raises(RequestError, match=r"are of numbers, and 'attributes.colour' holds words"):
        engine.answer(Query(facets=(facet,), deadline_ms=60_000))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('attributes.color: ANY("red")', "no product has it; choose one of colour"),
        ("attributes.colour > 4", "holds words, not numbers"),
    ],
)
def test_what_no_product_has_is_refused_by_its_place(
    engine: Engine, text: str, message: str
) -> None:
    with pytest.raises((FilterError, RequestError), match=message):
        engine.answer(Query(filter=text, deadline_ms=60_000))


def test_a_search_that_only_excludes_is_answered_by_all_others(engine: Engine) -> None:
    every_id = {product.id for product in listed(engine)}
    excluded = {product.id for product in listed(engine, text="garden")}

    slate = engine.answer(Query(text="-garden", k=5, deadline_ms=60_000))

    assert 0 < len(excluded) < len(every_id)
    for text in each(["-garden", "-garden -", "-garden ,"]):
        assert {product.id for product in listed(engine, text=text)} == every_id - excluded
    assert len(slate.products) == 5
    assert not slate.guessed
    assert not {placed.product.id for placed in slate.products} & excluded


def test_what_an_exclusion_alone_leaves_is_sorted_and_filtered(engine: Engine) -> None:
    sort = (Sort(field="price", order=Direction.ASCENDING),)

    products = listed(engine, text="-garden", sort=sort, filter="price > 5")

    prices = [product.price or 0 for product in products]
    assert prices == sorted(prices)
    assert prices[0] > 5
    assert not [product for product in products if "garden" in product.title.lower()]


def test_values_that_no_product_has_are_listed_in_an_explained_answer(engine: Engine) -> None:
    text = 'attributes.colour: ANY("blue", "purpel") AND NOT brand: ANY("Vens")'

    slate = engine.answer(Query(filter=text, explain=True, deadline_ms=60_000))

    assert slate.filtered is not None
    assert slate.filtered.unknown == ('attributes."colour": ANY("purpel")', 'brand: ANY("Vens")')


@pytest.mark.parametrize(
    ("text", "offered", "not_offered"),
    [("cre", "crème", "creme"), ("jal", "jalapeño", "jalapeno"), ("straß", "straße", "strasse")],
)
def test_a_completion_comes_once_and_as_written(
    engine: Engine, text: str, offered: str, not_offered: str
) -> None:
    completions = engine.complete(text, 10)

    assert offered in completions
    assert not_offered not in completions
    assert len(set(completions)) == len(completions)


def test_no_completion_is_a_size_or_a_code(engine: Engine) -> None:
    offered = [
        one
        for letter in "abcdefghijklmnopqrstuvwxyz0123456789"
        for one in engine.complete(letter, 20)
    ]

    assert not [one for one in offered if "=" in one or "#" in one[:2]]
