"""Lists of all that a request matches, compared with plain Python over the products."""

import base64
from collections import Counter
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.columns.filter_masks import upwards
from pipelines.engine.deadline import Deadline
from pipelines.engine.engine import Engine
from pipelines.engine.lists.cursors import Cursor, decoded, encoded
from pipelines.errors import RequestError, StaleCursor
from pipelines.live.catch_up import follow
from pipelines.live.changes import Change, Delete, Edit, Upsert
from pipelines.live.overlay import Overlay
from retrieval import Product, Query, Scene, Slate, Stage
from retrieval.types import Collapse, Direction, Facet, FacetCounts, Sort
from tests.assertions import each, every
from tests.conftest import NUM_PRODUCTS, UNTIL

Passes = Callable[[Product], bool]
FILTERS: dict[str, Passes] = {
    "": lambda p: True,
    'brand: ANY("North", "East")': lambda p: p.brand in ("North", "East"),
    "price < 20": lambda p: p.price is not None and p.price < 20,
    "NOT price < 20": lambda p: p.price is None or p.price >= 20,
    'categories: ANY("Food > Green Tea")': lambda p: "Food > Green Tea" in p.categories,
    'brand: ANY("West") AND price > 1000': lambda p: False,
}
SEARCHES: list[dict[str, Any]] = [{"text": "tomato soup"}, {"user": "u3"}, {}]
COLLAPSED = Collapse(field="brand")
some = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def at_end(**asked: Any) -> Query:
    return Query(**({"scene": Scene(at=UNTIL), "deadline_ms": 60_000} | asked))


def ids(slate: Slate) -> list[str]:
    return [placed.product.id for placed in slate.products]


def shown(engine: Engine) -> list[Product]:
    """Every product that a window may show, as the engine has it now."""
    names = (*(f"p{i}" for i in range(NUM_PRODUCTS)), "new1")
    slate = engine.answer(at_end(candidates=names, k=1_000), Stage.RETRIEVAL)
    return [one.product for one in slate.products if "unlisted" not in one.product.tags]


def counts(slate: Slate, place: int = 0) -> dict[Any, int]:
    assert slate.matched is not None
    told = slate.matched.facets[place]
    return {one.interval or one.value: one.count for one in told.values}


def facet(slate: Slate) -> FacetCounts:
    assert slate.matched is not None
    return slate.matched.facets[0]


def pages(engine: Engine, query: Query, sizes: Iterator[int]) -> list[Slate]:
    """Walk a list to its end, each page of another size."""
    walked = [engine.answer(msgspec.structs.replace(query, cursor="*", k=next(sizes)))]
    while walked[-1].cursor:
        again = msgspec.structs.replace(query, cursor=walked[-1].cursor, k=next(sizes))
        walked.append(engine.answer(again))
        assert len(walked) < 200
    return walked


def forever(sizes: list[int]) -> Iterator[int]:
    while True:
        yield from sizes


@pytest.fixture
def live(real_engine: Engine, tmp_path: Path) -> Iterator[Engine]:
    engine = copy(real_engine)
    engine._overlay = Overlay(engine._overlay._base)
    engine._log = follow(tmp_path / "live", engine._overlay, engine._manifest)
    yield engine
    engine.close()


def make(engine: Engine, *changes: Change) -> None:
    assert every(isinstance(number, int) for number in engine.change(changes).result())


@pytest.mark.parametrize("where", FILTERS)
def test_counts_are_those_of_a_plain_list_of_what_passes_the_filter(
    real_engine: Engine, where: str
) -> None:
    facets = (Facet(field="brand"), Facet(field="categories", limit=300))
    expected = [p for p in shown(real_engine) if FILTERS[where](p)]

    slate = real_engine.answer(at_end(filter=where, facets=facets, k=1))

    assert counts(slate) == Counter(p.brand for p in expected)
    paths = Counter(path for p in expected for own in p.categories for path in upwards(own))
    assert counts(slate, 1) == paths
    assert slate.matched is not None
    assert (slate.matched.total, slate.matched.exact) == (len(expected), True)


def test_values_stand_by_count_and_then_by_name_and_the_rest_is_told(real_engine: Engine) -> None:
    slate = real_engine.answer(at_end(facets=(Facet(field="brand", limit=2),), k=1))

    assert [(one.value, one.count) for one in facet(slate).values] == [("East", 12), ("North", 12)]
    assert (facet(slate).distinct, facet(slate).of) == (4, 47)


@some
@given(st.sampled_from(SEARCHES), st.sampled_from(list(FILTERS)), st.sampled_from(["", "brand"]))
def test_a_count_is_the_total_of_the_request_with_that_value_as_filter(
    real_engine: Engine, search: dict[str, Any], where: str, collapse: str
) -> None:
    """Also where variants are collapsed: what a shopper reads is what a click would bring."""
    asked = search | {"collapse": COLLAPSED if collapse else None}
    field = "availability" if collapse else "brand"
    slate = real_engine.answer(at_end(filter=where, facets=(Facet(field=field),), k=1, **asked))

    for value, count in counts(slate).items():
        narrower = f'{field}: ANY("{value}")' + (f" AND {where}" if where else "")
        clicked = real_engine.answer(at_end(filter=narrower, cursor="*", k=1, **asked))
        assert clicked.matched is not None
        if facet(slate).exact:
            assert clicked.matched.total == count


@pytest.mark.parametrize("search", SEARCHES)
def test_a_facet_without_its_own_condition_counts_as_the_filter_without_it_does(
    real_engine: Engine, search: dict[str, Any]
) -> None:
    own = Facet(field="brand", excluded_filter=True)
    where = 'brand: ANY("North") AND price < 20 AND NOT brand: ANY("West")'

    narrow = real_engine.answer(at_end(filter=where, facets=(own, Facet(field="brand")), **search))
    wide = real_engine.answer(at_end(filter="price < 20", facets=(own,), **search))

    assert facet(narrow) == facet(wide)
    assert len(counts(narrow)) > 1
    assert set(counts(narrow, 1)) == {"North"}


def test_a_condition_that_stands_with_others_cannot_be_left_out(real_engine: Engine) -> None:
    own = (Facet(field="brand", excluded_filter=True),)

    with pytest.raises(RequestError, match="join its conditions") as refused:
        real_engine.answer(at_end(filter='brand: ANY("A") OR price < 5', facets=own))

    assert refused.value.field == "facets[0].excluded_filter"


def test_prices_are_counted_in_given_intervals_without_their_upper_ends(
    real_engine: Engine,
) -> None:
    intervals = ((None, 10.0), (10.0, 20.0), (15.0, None), (None, None))
    prices = [p.price for p in shown(real_engine) if p.price is not None]

    slate = real_engine.answer(at_end(facets=(Facet(field="price", intervals=intervals),), k=1))

    assert counts(slate) == {
        (None, 10.0): sum(price < 10 for price in prices),
        (10.0, 20.0): sum(10 <= price < 20 for price in prices),
        (15.0, None): sum(price >= 15 for price in prices),
        (None, None): len(prices),
    }


def test_prices_without_intervals_are_counted_in_even_ones_of_readable_numbers(
    real_engine: Engine,
) -> None:
    slate = real_engine.answer(at_end(facets=(Facet(field="price", limit=4),), k=1))

    values = facet(slate).values
    assert [one.interval for one in values] == [(None, 10), (10, 25), (25, 35), (35, None)]
    assert sum(one.count for one in values) == 47


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("direction", Direction)
def test_products_are_sorted_and_those_without_a_price_are_last(
    live: Engine, search: dict[str, Any], direction: Direction
) -> None:
    make(live, *(Edit(id=f"p{i}", price=None) for i in (2, 8, 14)))
    sort = (Sort(field="price", order=direction),)

    slate = live.answer(at_end(sort=sort, k=48, **search))

    prices = [placed.product.price for placed in slate.products]
    known = [price for price in prices if price is not None]
    assert known == sorted(known, reverse=direction is Direction.DESCENDING)
    assert len(known) == len(prices) - 3 >= 5
    assert None not in prices[: len(known)]


def test_ties_keep_the_order_of_the_list_and_case_makes_no_difference(real_engine: Engine) -> None:
    sort = (Sort(field="brand", order=Direction.DESCENDING), Sort(field="availability"))

    plain = real_engine.answer(at_end(user="u3", cursor="*", k=48))
    by_brand = real_engine.answer(at_end(user="u3", sort=sort, k=48))

    order = sorted({p.product.brand for p in plain.products}, reverse=True)
    ranked = sorted(plain.products, key=lambda p: order.index(p.product.brand))
    assert ids(by_brand) == [p.product.id for p in ranked]


class Walk(NamedTuple):
    """One way to walk a list."""

    search: dict[str, Any]
    where: str
    sizes: list[int]
    forget: bool
    sort: tuple[Sort, ...]
    collapse: Collapse | None


WALKS = st.builds(
    Walk,
    st.sampled_from(SEARCHES),
    st.sampled_from(list(FILTERS)),
    st.lists(st.integers(1, 17), min_size=1, max_size=5),
    st.booleans(),
    st.sampled_from([(), (Sort(field="price"),), (Sort(field="title"), Sort(field="price"))]),
    st.sampled_from([None, Collapse(field="attributes.none"), COLLAPSED]),
)


@some
@given(WALKS)
def test_the_pages_together_are_the_whole_list(real_engine: Engine, walk: Walk) -> None:
    query = at_end(filter=walk.where, sort=walk.sort, collapse=walk.collapse, **walk.search)
    whole = real_engine.answer(msgspec.structs.replace(query, cursor="*", k=1_000))

    def forgetting() -> Iterator[int]:
        for size in forever(walk.sizes):
            if walk.forget:
                real_engine._overlay.snapshot().lists._values.clear()
            yield size

    walked = pages(real_engine, query, forgetting())

    assert [name for page in walked for name in ids(page)] == ids(whole)
    assert len(set(ids(whole))) == len(ids(whole))
    positions = [p.position for page in walked for p in page.products]
    assert positions == list(range(1, len(positions) + 1))
    assert every(page.matched == whole.matched and page.stage == whole.stage for page in walked)
    assert whole.matched is not None
    assert whole.matched.total == len(ids(whole))


def test_a_browse_reaches_every_product_that_may_be_shown(real_engine: Engine) -> None:
    walked = pages(real_engine, at_end(user="u3"), forever([7]))

    assert {name for page in walked for name in ids(page)} == {p.id for p in shown(real_engine)}
    scores = [p.score for page in walked for p in page.products]
    assert scores == sorted(scores, reverse=True)


def test_a_list_begins_as_the_plain_answer_does(real_engine: Engine) -> None:
    for search in SEARCHES:
        plain = real_engine.answer(at_end(k=10, **search))
        listed = real_engine.answer(at_end(k=10, cursor="*", **search))

        assert ids(listed) == [name for name in ids(plain) if name in ids(listed)]
        assert listed.products[0] == plain.products[0]
        assert plain.matched is None
        assert plain.cursor == ""


def test_a_candidate_says_why_it_is_there_and_the_rest_of_a_list_says_nothing(
    real_engine: Engine,
) -> None:
    for search in ({"text": "soup"}, {"user": "u1"}):
        for stage in Stage.RANKING, Stage.RETRIEVAL:
            page = real_engine.answer(at_end(k=20, **search), stage)
            assert every(placed.why for placed in page.products)

    whole = real_engine.answer(at_end(k=NUM_PRODUCTS, cursor="*"))
    reasons = [bool(placed.why) for placed in whole.products]
    assert reasons == sorted(reasons, reverse=True)
    assert 0 < sum(reasons) < len(reasons)


def test_a_search_counts_what_holds_all_of_its_words(real_engine: Engine) -> None:
    broad = real_engine.answer(at_end(text="soup", facets=(Facet(field="brand"),))).matched
    narrow = real_engine.answer(at_end(text="soup", filter="price < 20", cursor="*")).matched

    assert broad is not None
    assert narrow is not None
    soups = [one for one in shown(real_engine) if "Soup" in one.title]
    cheap = [one for one in soups if FILTERS["price < 20"](one)]
    assert (broad.total, broad.exact, broad.facets[0].exact) == (len(soups), True, True)
    assert (narrow.total, narrow.exact) == (len(cheap), True)


def test_a_search_whose_words_no_product_holds_together_counts_what_fits_best(
    real_engine: Engine,
) -> None:
    slate = real_engine.answer(at_end(text="a green soup", facets=(Facet(field="brand"),)))

    assert slate.matched is not None
    assert not slate.matched.exact
    assert 0 < slate.matched.total < NUM_PRODUCTS


def test_each_group_is_shown_once_by_its_best_and_says_how_many_others_there_are(
    real_engine: Engine,
) -> None:
    plain = real_engine.answer(at_end(user="u3", cursor="*", k=48))
    best = {p.product.brand: p.product.id for p in reversed(plain.products)}
    sizes = Counter(p.product.brand for p in plain.products)

    walked = pages(real_engine, at_end(user="u3", collapse=COLLAPSED), forever([3]))

    placed = [p for page in walked for p in page.products]
    assert {p.product.brand: p.product.id for p in placed} == best
    assert {p.product.brand: 1 + p.variants for p in placed} == sizes
    assert len(placed) == len(best)
    assert [len(page.products) for page in walked] == [3, 1]


def test_products_without_a_group_stand_alone(real_engine: Engine) -> None:
    plain = real_engine.answer(at_end(cursor="*", k=48))
    collapsed = real_engine.answer(at_end(collapse=Collapse(), k=48))

    assert ids(collapsed) == ids(plain)
    assert not any(p.variants for p in collapsed.products)


def test_counts_are_of_groups_where_groups_are_shown_once(real_engine: Engine) -> None:
    facets = (Facet(field="categories", limit=300), Facet(field="price", intervals=((10, 13),)))

    slate = real_engine.answer(at_end(collapse=COLLAPSED, facets=facets))

    assert counts(slate)["Food"] == 4
    assert counts(slate)["Food > Green Tea"] == 2
    assert counts(slate, 1) == {(10, 13): 3}
    assert slate.matched is not None
    assert (slate.matched.total, slate.matched.of) == (4, 47)


def test_a_cursor_of_another_request_is_refused(real_engine: Engine) -> None:
    cursor = real_engine.answer(at_end(text="soup", cursor="*", k=3)).cursor

    for other in (
        at_end(text="tea", cursor=cursor),
        at_end(text="soup", filter="price < 9", cursor=cursor),
        at_end(text="soup", sort=(Sort(field="price"),), cursor=cursor),
    ):
        with pytest.raises(RequestError, match="another request"):
            real_engine.answer(other)
    with pytest.raises(RequestError, match="another request"):
        real_engine.answer(at_end(text="soup", cursor=cursor), Stage.RETRIEVAL)
    real_engine.answer(at_end(text="soup", cursor=cursor, k=9, facets=(Facet(field="brand"),)))


def test_a_cursor_of_another_release_is_refused_as_such(real_engine: Engine) -> None:
    cursor = decoded(real_engine.answer(at_end(text="soup", cursor="*", k=3)).cursor)
    foreign = msgspec.structs.replace(cursor, release="20200101-000000-older")

    with pytest.raises(StaleCursor, match="begin the list again"):
        real_engine.answer(at_end(text="soup", cursor=encoded(foreign)))


def forged(cursor: str) -> list[str]:
    whole = decoded(cursor)
    far = base64.urlsafe_b64encode(b"1234" + msgspec.msgpack.encode(whole)).decode()
    return [
        "x", "%", "**", "ü", "A" * 400, cursor[:-1], cursor + "A", cursor[:9] + "\n" + cursor[9:],
        cursor[:5] + ("A" if cursor[5] != "A" else "B") + cursor[6:], far,
    ]  # fmt: skip


def test_garbage_is_refused_as_a_cursor(real_engine: Engine) -> None:
    cursor = real_engine.answer(at_end(text="soup", cursor="*", k=3)).cursor

    for text in each(forged(cursor)):
        with pytest.raises(RequestError, match="cannot be read") as refused:
            real_engine.answer(at_end(text="soup", cursor=text))
        assert refused.value.field == "cursor"


def test_a_cursor_behind_the_end_brings_an_empty_page(real_engine: Engine) -> None:
    cursor = decoded(real_engine.answer(at_end(text="soup", cursor="*", k=3)).cursor)
    behind = Cursor(*(getattr(cursor, name) for name in cursor.__struct_fields__[:-1]), 2**61)

    slate = real_engine.answer(at_end(text="soup", cursor=encoded(behind)))

    assert (slate.products, slate.cursor) == ((), "")


def test_a_list_keeps_to_the_stage_that_answered_its_first_page(
    real_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late(Deadline):
        def left_ms(self) -> float:
            return -0.5

    query = at_end(user="u1", cursor="*", k=5)
    in_time = real_engine.answer(query)
    whole = real_engine.answer(msgspec.structs.replace(query, k=48))
    real_engine._overlay.snapshot().lists._values.clear()
    with monkeypatch.context() as patched:
        patched.setattr("pipelines.engine.engine.Deadline", Late)
        late = real_engine.answer(query)
        real_engine._overlay.snapshot().lists._values.clear()
        second = real_engine.answer(msgspec.structs.replace(query, cursor=in_time.cursor))
    real_engine._overlay.snapshot().lists._values.clear()

    after_late = real_engine.answer(msgspec.structs.replace(query, cursor=late.cursor))

    assert (in_time.stage, second.stage) == (Stage.RANKING, Stage.RANKING)
    assert ids(in_time) + ids(second) == ids(whole)[:10]
    assert (late.stage, after_late.stage) == (Stage.RETRIEVAL, Stage.RETRIEVAL)


def test_a_list_keeps_to_the_moment_of_its_first_page(real_engine: Engine) -> None:
    query = Query(user="u3", k=4, cursor="*", deadline_ms=60_000)
    first = real_engine.answer(query)
    real_engine._overlay.snapshot().lists._values.clear()

    second = real_engine.answer(msgspec.structs.replace(query, cursor=first.cursor))

    assert decoded(first.cursor).at_seconds == decoded(second.cursor).at_seconds


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"facets": (Facet(field="colour"),)}, "facets[0].field", "choose one of brand"),
    ({"facets": (Facet(field="brand"), Facet(field="title"))}, "facets[1].field", "'title' cannot"),
    ({"facets": (Facet(field="attributes"),)}, "facets[0].field", "attributes.NAME"),
    ({"facets": (Facet(field="attributes."),)}, "facets[0].field", "attributes.NAME"),
    ({"facets": (Facet(field="brand.x"),)}, "facets[0].field", "cannot be counted"),
    ({"sort": (Sort(field="categories"),)}, "sort[0].field", "cannot be sorted by"),
    ({"sort": (Sort(field="price"), Sort(field="x"))}, "sort[1].field", "cannot be sorted by"),
    ({"collapse": Collapse(field="price")}, "collapse.field", "cannot be collapsed"),
    (
        {"facets": (Facet(field="brand", intervals=((1, 2),)),)},
        "facets[0].intervals",
        "holds words",
    ),
    (
        {"facets": (Facet(field="price", intervals=((1, 2), (5, 3))),)},
        "facets[0].intervals[1]",
        "holds nothing",
    ),
    (
        {"facets": (Facet(field="price", intervals=((float("nan"), 2),)),)},
        "facets[0].intervals[0]",
        "not a number",
    ),
    (
        {"facets": (Facet(field="price", intervals=((0, float("inf")),)),)},
        "facets[0].intervals[0]",
        "not a number",
    ),
]


@pytest.mark.parametrize(("asked", "field", "says"), BAD, ids=[f"{f}: {s}" for _, f, s in BAD])
def test_what_cannot_be_listed_so_is_refused_by_name(
    real_engine: Engine, asked: dict[str, Any], field: str, says: str
) -> None:
    with pytest.raises(RequestError) as refused:
        real_engine.answer(at_end(text="tea", **asked))

    assert refused.value.field == field
    assert says in refused.value.message


NEW = Product(
    id="new1",
    title="Purple zucchini relish",
    brand="Zenith",
    categories=("Food > Relish", "Food > Green Tea"),
    price=3.5,
    attributes={"colour": ("purple", "white")},
    item_group_id="relish",
)


def test_counts_see_new_gone_and_changed_products(live: Engine) -> None:
    asked = at_end(
        facets=(
            Facet(field="brand"),
            Facet(field="price", intervals=((3, 4), (500, None))),
            Facet(field="categories", limit=300),
            Facet(field="attributes.colour"),
            Facet(field="availability"),
        )
    )
    before = live.answer(asked)
    make(live, Upsert(product=NEW), Delete(id="p1"), Edit(id="p2", price=600.0))
    north = next(p for p in shown(live) if p.id == "p4")
    make(live, Upsert(product=msgspec.structs.replace(north, brand="Zenith", price=None)))

    after = live.answer(asked)

    expected = shown(live)
    assert counts(after) == Counter(p.brand for p in expected) != counts(before)
    assert counts(after)["Zenith"] == 2
    assert counts(after, 1) == {(3, 4): 1, (500, None): 1}
    assert counts(after, 2) == Counter(
        path for p in expected for path in {q for own in p.categories for q in upwards(own)}
    )
    assert counts(after, 3) == {"purple": 1, "white": 1}
    white = live.answer(at_end(filter='attributes.colour: ANY("white")', cursor="*"))
    assert [placed.product for placed in white.products] == [NEW]
    assert counts(after, 4) == Counter(p.availability for p in expected)
    assert after.matched is not None
    assert (after.matched.total, after.matched.exact) == (47, True)


def test_a_sorted_list_sees_new_prices_and_collapses_new_products(live: Engine) -> None:
    twin = msgspec.structs.replace(NEW, id="new2", price=0.5)
    make(live, Upsert(product=NEW), Upsert(product=twin), Edit(id="p40", price=0.75))

    slate = live.answer(at_end(sort=(Sort(field="price"),), collapse=Collapse(), k=3))
    by_brand = live.answer(at_end(sort=(Sort(field="brand", order=Direction.DESCENDING),), k=2))

    assert ids(slate) == ["new2", "p40", "p0"]
    assert [p.variants for p in slate.products] == [1, 0, 0]
    assert sorted(ids(by_brand)) == ["new1", "new2"]


def test_a_list_that_goes_on_after_a_change_says_so(live: Engine) -> None:
    query = at_end(sort=(Sort(field="price"),), k=5, cursor="*")
    first = live.answer(query)
    second = live.answer(msgspec.structs.replace(query, cursor=first.cursor))
    make(live, Delete(id="p1"))

    after = live.answer(msgspec.structs.replace(query, cursor=first.cursor))
    third = live.answer(msgspec.structs.replace(query, cursor=after.cursor))
    anew = live.answer(query)

    told = [slate.matched.stale for slate in (first, second, after, third, anew) if slate.matched]
    assert told == [False, False, True, True, False]
    assert ids(after) == ids(second)[1:] + ids(third)[:0] + ids(after)[-1:]


def test_a_rememberer_of_lists_forgets_the_oldest(real_engine: Engine) -> None:
    for i in range(70):
        real_engine.answer(at_end(filter=f"price < {i}", cursor="*", k=1), Stage.RETRIEVAL)

    assert len(real_engine._overlay.snapshot().lists._values) <= 64
