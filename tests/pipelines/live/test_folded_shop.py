"""A build with a log of changes: what was live is in the release, and not live any more."""

import shutil
from pathlib import Path

import pytest

from pipelines.building.build import build
from pipelines.config.loading import load
from pipelines.engine.engine import Engine
from pipelines.live.change_log import LiveError, open_change_log
from pipelines.live.changes import Change, Delete, Edit, Upsert
from pipelines.live.folded_shop import FoldedShop
from pipelines.progress import silent
from pipelines.release.store import current, open_release
from pipelines.shop.reader import Shop
from retrieval import Availability, Product, Query, Stage
from tests.conftest import NUM_PRODUCTS, write_shop

NEW = Product(
    id="new1",
    title="Purple zucchini relish",
    attributes={"colour": ("purple", "white")},
    tags=("x",),
)


def write(folder: Path, *changes: Change) -> None:
    log = open_change_log(folder)
    log.append(changes)
    log.close()


def records(shop: Shop) -> dict[str, dict[str, object]]:
    return {one["id"]: one for batch in shop.product_batches() for one in batch.to_pylist()}


def test_a_folded_shop_is_the_shop_after_the_changes(shop: Path, tmp_path: Path) -> None:
    write(
        tmp_path,
        Upsert(product=NEW),
        Edit(id="p3", price=9.5),
        Edit(id="p3", availability=Availability.OUT_OF_STOCK),
        Edit(id="new1", price=2.0),
        Upsert(product=Product(id="p7", title="Renamed")),
        Delete(id="p4"),
        Edit(id="p4", price=1.0),
        Delete(id="p5"),
        Upsert(product=Product(id="p5", title="Again")),
        Upsert(product=Product(id="brief", title="Brief")),
        Delete(id="brief"),
    )
    before = records(Shop(shop))

    folded = FoldedShop(shop, tmp_path)
    after = records(folded)

    assert after["p3"] == before["p3"] | {"price": 9.5, "availability": "OUT_OF_STOCK"}
    assert after["new1"]["price"] == 2.0
    assert after["new1"]["attributes"] == [("colour", "purple"), ("colour", "white")]
    assert (after["p7"]["title"], after["p5"]["title"]) == ("Renamed", "Again")
    assert before.keys() - after.keys() == {"p4"}
    assert after.keys() - before.keys() == {"new1"}
    same = before.keys() - {"p3", "p4", "p5", "p7"}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert list(after)[-1] == "new1"
    assert folded.num_products == len(after) == NUM_PRODUCTS
    assert folded.fingerprint() != Shop(shop).fingerprint()


def test_changes_after_a_build_began_are_left_to_the_next(shop: Path, tmp_path: Path) -> None:
    write(tmp_path, Delete(id="p4"))
    folded = FoldedShop(shop, tmp_path)
    write(tmp_path, Delete(id="p5"))

    assert records(folded).keys() >= {"p5"}
    assert folded.folded()["folded"]["sequence"] == 1


def test_a_folder_without_changes_is_refused(shop: Path, tmp_path: Path) -> None:
    with pytest.raises(LiveError, match="holds no log of changes"):
        FoldedShop(shop, tmp_path)


def test_a_release_holds_what_was_folded_and_follows_the_rest(tmp_path: Path) -> None:
    shop, live, releases = (tmp_path / name for name in ("shop", "live", "releases"))
    write_shop(shop, pictures=False)
    plain = load(None, ["ranking.train=false", "encoders.text.runtime=torch"])
    write(live, Upsert(product=NEW), Delete(id="p4"))
    name = build(shop, releases, plain, None, silent, live)
    write(live, Edit(id="new1", price=3.5))

    built, following = Engine.open(releases), Engine.open(releases, live=live)
    asked = Query(text="zucchini", k=1, deadline_ms=60_000)
    first, second = (e.answer(asked, Stage.RETRIEVAL).products[0] for e in (built, following))
    other = Engine.open(releases, live=tmp_path / "another")
    following.close()
    other.close()

    assert open_release(releases, name).manifest.shop["folded"]["sequence"] == 2
    assert (first.product.id, first.product.price) == ("new1", None)
    assert (second.product.id, second.product.price) == ("new1", 3.5)
    assert len(following._overlay._record_at) == 1
    assert other._overlay.snapshot().unchanged
    assert built.about()["products"] == NUM_PRODUCTS


def test_what_a_change_deletes_is_not_lost_to_the_gate_and_little_is_made_again(
    tmp_path: Path,
) -> None:
    shop, live, releases = (tmp_path / name for name in ("shop", "live", "releases"))
    write_shop(shop, pictures=False)
    settings = ["ranking.train=false", "encoders.text.runtime=torch", "gate.most_latency=1000"]
    plain = load(None, settings)
    build(shop, releases, plain, None, silent)

    write(live, Edit(id="p3", price=9.5))
    build(shop, releases, plain, None, silent, live)
    priced = open_release(releases).manifest
    write(live, *(Delete(id=f"p{i}") for i in range(10)))
    name = build(shop, releases, plain, None, silent, live)

    made = {stage for stage, one in priced.stages.items() if one.made_in == priced.name}
    assert made == {"products", "channels", "ranker"}  # prices in features are those paid
    gate = open_release(releases, name).manifest.gate
    assert gate is not None
    assert gate.against == priced.name
    [gone] = [check for check in gate.checks if check.name == "live products gone"]
    assert (gone.value, gone.passed) == (0.0, True)
    assert open_release(releases).manifest.quality["products"] == NUM_PRODUCTS - 10


def test_a_build_from_an_older_copy_of_the_log_is_refused(tmp_path: Path) -> None:
    shop, live, copy, releases = (tmp_path / name for name in ("shop", "live", "copy", "releases"))
    write_shop(shop, pictures=False)
    plain = load(None, ["ranking.train=false", "encoders.text.runtime=torch"])
    write(live, Delete(id="p4"))
    shutil.copytree(live, copy)
    write(live, Delete(id="p5"))
    name = build(shop, releases, plain, None, silent, live)

    with pytest.raises(LiveError, match="older copy; bring back"):
        build(shop, releases, plain, None, silent, copy)

    assert current(releases) == name
