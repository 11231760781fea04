"""An engine that follows a log of changes: what it was told is in the next answer."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from index import Field
from pipelines.engine.engine import Engine
from pipelines.engine.stages.ranking import RankingStage
from pipelines.errors import UserError
from pipelines.live import overlay, overlay_columns, snapshot
from pipelines.live.catch_up import FOLDED, follow
from pipelines.live.change_log import LiveError, Outcome
from pipelines.live.changes import Change, Delete, Edit, RejectedChange, Upsert
from pipelines.live.overlay import Overlay
from retrieval import Availability, Product, Query, Scene, Slate, Stage
from retrieval.types import Facet, Sort
from tests.assertions import every
from tests.conftest import UNTIL

SOUP = Product(
    id="new1",
    title="Purple zucchini relish",
    brand="North",
    categories=("Food > Relish",),
    price=3.0,
    attributes={"colour": "purple"},
)


@pytest.fixture
def live(real_engine: Engine, tmp_path: Path) -> Iterator[Engine]:
    engine = following(real_engine, tmp_path / "live")
    yield engine
    engine.close()


def following(engine: Engine, folder: Path) -> Engine:
    """Return the engine as it is when it is opened with a log: opening the models takes seconds."""
    engine = copy(engine)
    engine._overlay = Overlay(engine._overlay._base)
    engine._log = follow(folder, engine._overlay, engine._manifest)
    return engine


def make(engine: Engine, *changes: Change) -> list[Outcome]:
    return engine.change(changes).result()


def at_end(**asked: object) -> Query:
    return Query(scene=Scene(at=UNTIL), deadline_ms=60_000, **asked)


def ids(slate: Slate) -> list[str]:
    return [placed.product.id for placed in slate.products]


def built(engine: Engine, name: str) -> Product:
    [placed] = engine.answer(at_end(candidates=(name,)), Stage.RETRIEVAL).products
    return placed.product


def changed(product: Product, **fields: object) -> Product:
    return Product(**{name: getattr(product, name) for name in product.__struct_fields__} | fields)


def test_a_new_product_is_found_by_its_words_and_its_meaning(live: Engine) -> None:
    make(live, Upsert(product=SOUP))

    slate = live.answer(at_end(text="zucchini", k=5, explain=True), Stage.RETRIEVAL)

    assert slate.products[0].product == SOUP
    assert slate.products[0].channels.keys() >= {"semantic", "lexical"}


def test_a_new_product_is_ranked_and_explained_like_the_others(live: Engine) -> None:
    make(live, Upsert(product=SOUP))

    slate = live.answer(at_end(user="u3", candidates=("new1", "p1"), explain=True))

    assert slate.stage is Stage.RANKING
    [new] = [placed for placed in slate.products if placed.product.id == "new1"]
    assert new.features["bought_before"] == 0
    assert new.features["buyers"] == 0
    assert new.features["price"] == 0  # nobody paid one yet


def test_a_deleted_product_is_nowhere(live: Engine) -> None:
    asked = at_end(text="tomato soup", user="u3", k=48)
    gone = ids(live.answer(asked))[0]
    picture = live.picture("p9")
    make(live, Delete(id=gone), Delete(id="p9"))

    assert gone not in ids(live.answer(asked))
    assert gone not in ids(live.answer(at_end(user="u3", k=48)))
    assert live.answer(at_end(candidates=(gone, "p1"))).missing == (gone,)
    assert picture is not None
    assert live.picture("p9") is None
    assert live.about()["products"] == 46


def test_a_product_that_comes_back_is_found_again(live: Engine) -> None:
    soup = built(live, "p2")
    make(live, Delete(id="p2"), Upsert(product=soup), Upsert(product=SOUP), Delete(id="new1"))
    make(live, Upsert(product=SOUP))

    assert "p2" in ids(live.answer(at_end(text=soup.title, k=3), Stage.RETRIEVAL))
    assert ids(live.answer(at_end(text="zucchini", k=1), Stage.RETRIEVAL)) == ["new1"]


def test_a_filter_sees_the_new_price_and_the_new_availability(live: Engine) -> None:
    make(live, Edit(id="p3", price=777.0), Edit(id="p4", availability=Availability.OUT_OF_STOCK))

    dear = live.answer(at_end(filter="price > 700", k=48))
    out = live.answer(at_end(filter='availability: ANY("OUT_OF_STOCK")', k=48, user="u1"))
    cheap = live.answer(at_end(filter="price < 5", k=48))

    assert ids(dear) == ["p3"]
    assert dear.products[0].product.price == 777.0
    assert ids(out) == ["p4"]
    assert "p3" not in ids(cheap)


def test_answers_beside_changes_keep_to_their_filter_and_show_no_product_twice(
    live: Engine,
) -> None:
    def prices(user: int) -> list[float | None]:
        slate = live.answer(at_end(filter="price < 5", user=f"u{user}", k=48), Stage.RETRIEVAL)
        assert len(set(ids(slate))) == len(slate.products) > 0
        return [placed.product.price for placed in slate.products]

    with ThreadPoolExecutor(3) as pool:
        asked = pool.map(prices, list(range(40)) * 5)
        for turn in range(60):
            for at in range(10):
                make(live, Edit(id=f"p{at}", price=1.0 if (turn + at) % 2 else 9.0))
        shown = [price for answer in asked for price in answer]

    assert every(price is not None and price < 5 for price in shown)


def test_numbers_of_an_attribute_that_is_new_are_sorted_and_counted_as_numbers(
    live: Engine,
) -> None:
    for name, weight in (("new1", "120 g"), ("new2", "90 g"), ("new3", "1000 g")):
        make(live, Upsert(product=changed(SOUP, id=name, attributes={"net weight": weight})))
    field = "attributes.net weight"

    slate = live.answer(
        at_end(
            text="purple zucchini relish",
            sort=(Sort(field=field),),
            facets=(Facet(field=field, intervals=((None, 100.0), (100.0, None))),),
            k=3,
        )
    )

    assert ids(slate) == ["new2", "new1", "new3"]
    assert slate.matched is not None
    assert [value.count for value in slate.matched.facets[0].values] == [1, 2]


def test_the_ranker_sees_what_was_paid_whatever_a_product_costs_now(live: Engine) -> None:
    asked = at_end(candidates=("p3", "p4"), user="u1", explain=True)
    before = {placed.product.id: placed.features["price"] for placed in live.answer(asked).products}
    make(live, Edit(id="p3", price=777.0), Edit(id="p4", price=None))

    after = live.answer(asked).products

    assert {placed.product.id: placed.features["price"] for placed in after} == before
    assert before["p3"] > 0
    assert {placed.product.id: placed.product.price for placed in after} == {
        "p3": 777.0,
        "p4": None,
    }


def test_an_edit_of_what_was_rewritten_keeps_its_new_words(live: Engine) -> None:
    renamed = changed(built(live, "p2"), title="Purple zucchini relish")
    make(live, Upsert(product=renamed))
    make(live, Edit(id="p2", price=1.25))

    [placed] = live.answer(at_end(text="zucchini", k=1), Stage.RETRIEVAL).products

    assert placed.product == changed(renamed, price=1.25)


def test_a_renamed_product_is_not_found_by_its_old_words_but_keeps_its_buyers(
    live: Engine,
) -> None:
    old = built(live, "p2")
    before = live.answer(at_end(candidates=("p2",), user="u3", explain=True)).products[0].features
    make(
        live, Upsert(product=changed(old, title="Purple zucchini relish", brand="", categories=()))
    )

    words = live.answer(at_end(text=old.title, k=48, explain=True), Stage.RETRIEVAL).products
    after = live.answer(at_end(candidates=("p2",), user="u3", explain=True)).products[0].features

    lexical = [p.product.id for p in words if p.channels.get("lexical", 0) > 0]
    assert "p2" not in lexical
    assert lexical
    assert after["buyers"] == before["buyers"] > 0


def test_the_same_words_again_answer_as_before(live: Engine) -> None:
    asked = at_end(text="tomato soup", user="u3", k=20, explain=True)
    before = live.answer(asked).products
    every = live.answer(at_end(text="a", k=48, filter="price > 0")).products

    make(live, *(Upsert(product=placed.product) for placed in every))

    assert live.answer(asked).products == before


def test_a_product_rewritten_with_its_own_words_scores_as_it_did(live: Engine) -> None:
    asked = at_end(text="tomato soup", k=10, explain=True)
    before = live.answer(asked, Stage.RETRIEVAL).products
    every = [placed.product for placed in live.answer(at_end(text="a", k=48)).products]
    make(live, *(Upsert(product=changed(p, title=f"{p.title} x")) for p in every))
    make(live, *(Upsert(product=p) for p in every))

    after = live.answer(asked, Stage.RETRIEVAL).products

    assert [p.product for p in after] == [p.product for p in before]
    for one, other in zip(before, after, strict=True):
        assert one.channels == pytest.approx(other.channels, abs=1e-4)


def test_what_a_request_likes_may_be_new(live: Engine) -> None:
    make(live, Upsert(product=changed(SOUP, title="Tomato Soup, very new")))

    slate = live.answer(at_end(liked={"new1": 1.0}, k=8))

    assert "new1" not in ids(slate)
    assert sum("Tomato Soup" in placed.product.title for placed in slate.products) >= 6


def test_a_hidden_tag_hides_at_once(live: Engine) -> None:
    make(live, Upsert(product=changed(SOUP, tags=("unlisted",))))

    assert "new1" not in ids(live.answer(at_end(text="zucchini", k=48)))


def test_a_change_of_an_unknown_product_is_refused_and_the_others_are_made(live: Engine) -> None:
    found = make(
        live,
        Edit(id="gone", price=1.0),
        Delete(id="new1"),
        Upsert(product=SOUP),
        Edit(id="new1", price=1.0),
        Delete(id="new1"),
        Edit(id="new1", price=2.0),
    )

    assert [one if isinstance(one, int) else one.status for one in found] == [
        404,
        404,
        1,
        2,
        3,
        404,
    ]
    assert isinstance(found[0], RejectedChange)
    assert "spelling" in found[0].message


def test_an_engine_that_is_opened_again_answers_the_same(releases: Path, tmp_path: Path) -> None:
    asked = at_end(text="zucchini soup", user="u3", k=30, explain=True)
    first = Engine.open(releases, live=tmp_path)
    renamed = changed(built(first, "p2"), title="Green zucchini")
    make(first, Upsert(product=SOUP), Edit(id="p3", price=9.5), Delete(id="p4"))
    make(first, Upsert(product=renamed), Edit(id="new1", price=2.0))
    before = first.answer(asked).products
    first.close()

    second = Engine.open(releases, live=tmp_path)
    after = second.answer(asked).products
    second.close()

    assert after == before


def test_vectors_of_another_encoder_are_made_again(real_engine: Engine, tmp_path: Path) -> None:
    first = following(real_engine, tmp_path)
    make(first, Upsert(product=SOUP))
    asked = at_end(text="zucchini", k=3, explain=True)
    before = first.answer(asked).products
    first.close()
    with sqlite3.connect(tmp_path / "changes.sqlite") as log:
        log.execute("UPDATE changes SET encoder = 'another', vector = x'00000000'")
    log.close()

    second = following(real_engine, tmp_path)
    after = second.answer(asked).products
    second.close()

    assert [p.product.id for p in after] == [p.product.id for p in before]
    assert after[0].channels == pytest.approx(before[0].channels, abs=1e-4)


def test_vectors_of_other_fields_are_made_again(real_engine: Engine, tmp_path: Path) -> None:
    first = following(real_engine, tmp_path)
    first._overlay = Overlay(replace(first._overlay._base, fields=("description",)))
    first._log.close()
    first._log = follow(tmp_path, first._overlay, first._manifest)
    make(first, Upsert(product=SOUP))
    first.close()

    again = following(real_engine, tmp_path)
    view = again._overlay.snapshot()
    row = view.rows_of(["new1"]).rows
    again.close()

    text = again._overlay._base.text(view.records(row)[0])
    expected = again.probe.encoder.joined(again.probe.encoder.titles([text])[0], None)
    assert view.vectors(row)[0] == pytest.approx(expected, abs=1e-5)


def test_a_log_that_is_shorter_than_what_the_release_holds_of_it_is_refused(
    real_engine: Engine, tmp_path: Path
) -> None:
    """It was brought back from a copy: new changes would be passed over at the next opening."""
    first = following(real_engine, tmp_path)
    make(first, Upsert(product=SOUP))
    first.close()
    folded = {FOLDED: {"log": first._log.id, "sequence": 2}}
    manifest = msgspec.structs.replace(first._manifest, shop=folded)

    with pytest.raises(LiveError, match="the log of changes ends at number 1"):
        follow(tmp_path, Overlay(first._overlay._base), manifest)
    following(real_engine, tmp_path).close()  # nobody holds it


def test_what_was_replaced_is_left_behind(live: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.live.overlay.SLACK", 0)
    for number in range(8):
        make(live, Upsert(product=changed(SOUP, title=f"Purple zucchini relish {number}")))
        make(live, Edit(id="p3", price=float(number)))

    assert len(live._overlay._store.records) <= 6
    assert live._overlay._store.count <= 4
    [placed] = live.answer(at_end(text="zucchini relish", k=1), Stage.RETRIEVAL).products
    assert placed.product.title.endswith("7")


def test_an_engine_without_a_log_takes_no_change(real_engine: Engine) -> None:
    with pytest.raises(UserError, match="without a log"):
        real_engine.change([Delete(id="p1")])


def test_the_ranker_sees_the_new_words_of_new_and_changed_products(
    live: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RankingStage, "ranks", lambda *_: True)
    make(live, Upsert(product=SOUP), Upsert(product=changed(built(live, "p1"), title="Zucchini")))
    asked = at_end(text="zucchini", candidates=("new1", "p1", "p2"), explain=True)

    features = {
        placed.product.id: placed.features["rare_text"] for placed in live.answer(asked).products
    }

    assert features == {"new1": 1, "p1": 1, "p2": 0}


def test_an_explained_filter_says_how_it_was_searched_beside_changes(live: Engine) -> None:
    make(live, Upsert(product=SOUP))

    slate = live.answer(at_end(text="zucchini", filter="price < 4", explain=True))

    assert slate.filtered is not None
    assert slate.filtered.of == 49
    assert "semantic" in slate.filtered.channels


def test_a_product_that_is_gone_is_not_one_that_was_left_out(live: Engine) -> None:
    asked = at_end(text="soup", explain=True)
    before = live.answer(asked).filtered  # a hidden tag leaves one out
    make(live, Delete(id="p4"))
    after = live.answer(asked).filtered

    assert before is not None
    assert after is not None
    assert (before.passed, before.of) == (47, 48)
    assert (after.passed, after.of) == (46, 47)


def test_facets_on_any_number_of_names_keep_a_bounded_memory(
    live: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 100_000
    monkeypatch.setattr(overlay_columns, "REMEMBERED_BYTES", most)
    make(live, *(Upsert(product=changed(SOUP, id=f"new{i}")) for i in range(300)))
    columns = live._overlay.snapshot().columns
    new = np.arange(live._overlay._base.size, live._overlay._base.size + 300)

    found = [columns.words(Field("attributes", f"name{i}"), new).pairs.at.size for i in range(100)]

    assert sum(found) == 0
    assert 0 < columns._coded.size <= most
    assert columns.words(Field("attributes", "colour"), new).pairs.at.size == 300


def test_masks_of_any_number_of_filters_keep_a_bounded_memory(
    live: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = live._overlay._base.size
    monkeypatch.setattr(snapshot, "MASK_BYTES", 10 * size)
    make(live, Edit(id=ids(live.answer(at_end(text="wine"), Stage.RETRIEVAL))[0], price=1.0))
    now = live._overlay.snapshot()

    masks = [now.allowed(f"price > {i}") for i in range(100)]

    assert masks[0].sum() > masks[99].sum()
    assert now._allowed.size == 10 * size


def test_where_there_is_no_room_for_new_words_prices_and_deletions_are_taken(
    live: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlay, "MOST_REWRITTEN", 1)
    make(live, Upsert(product=SOUP))

    [put] = make(live, Upsert(product=built(live, "p1")))
    taken = make(live, Edit(id="p1", price=1.0), Delete(id="p2"))

    assert isinstance(put, RejectedChange)
    assert put.status == 507
    assert taken == [2, 3]
