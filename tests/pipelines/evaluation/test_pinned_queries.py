"""The pinned queries of a shop, its own and those that are made."""

from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from pipelines.config.loading import load
from pipelines.config.sections import Config
from pipelines.errors import ShopError
from pipelines.evaluation.pinned_queries import (
    PinnedSource,
    _words,
    drawn,
    held_out,
    make_pinned,
    open_pinned,
    read_pinned,
    save_pinned,
)
from pipelines.release.parts import open_parts
from pipelines.release.store import open_release
from pipelines.shop.reader import PINNED, Shop
from pipelines.shop.writer import ShopWriter
from tests.assertions import every
from tests.conftest import UNTIL, products


def bare_shop(folder: Path, names: list[str]) -> Shop:
    with ShopWriter(folder, name="Bare", source="table") as writer:
        writer.add_products(pa.table({"id": names, "title": [f"Title {n}" for n in names]}))
    return Shop(folder)


@pytest.fixture
def source(releases: Path, config: Config) -> PinnedSource:
    parts = open_parts(open_release(releases).path)
    return PinnedSource(parts.products, parts.behaviour, config)


def test_what_a_shop_pins_is_read_and_written_into_a_release(tmp_path: Path) -> None:
    shop = bare_shop(tmp_path / "shop", ["p1"])
    lines = '{"id": "a", "text": "oat milk", "relevant": {"p1": 2}}\n{"id": "b", "user": "u1"}\n'
    (tmp_path / "shop" / PINNED).write_text(lines)

    pinned = read_pinned(shop)
    save_pinned(pinned, tmp_path)

    assert [one.kind for one in pinned] == ["searches", "recommendations"]
    assert pinned[0].relevant == {"p1": 2.0}
    assert open_pinned(tmp_path) == pinned


def test_an_import_leaves_the_pinned_queries_where_they_are(tmp_path: Path) -> None:
    bare_shop(tmp_path / "shop", ["p1"])
    (tmp_path / "shop" / PINNED).write_text('{"id": "a", "text": "oat milk"}\n')

    again = bare_shop(tmp_path / "shop", ["p1", "p2"])

    assert [one.id for one in read_pinned(again)] == ["a"]
    assert again.num_products == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: .*expected one JSON object"),
        ('{"id": "a"}', "line 2: the id 'a' stands twice"),
        ('{"id": "b", "txt": "x"}', "unknown field `txt`"),
        ('{"id": "b", "relevant": {"p1": 0}}', "line 2: Expected `float` > 0"),
    ],
)
def test_a_wrong_line_is_refused_by_its_number(tmp_path: Path, line: str, message: str) -> None:
    shop = bare_shop(tmp_path / "shop", ["p1"])
    (tmp_path / "shop" / PINNED).write_text('{"id": "a"}\n' + line)

    with pytest.raises(ShopError, match=message):
        read_pinned(shop)


def test_the_same_queries_are_made_in_each_build(source: PinnedSource) -> None:
    first, second = (make_pinned(source, source) for _ in range(2))

    assert first == second
    assert {one.kind for one in first} == {"searches", "recommendations"}


def test_a_search_asks_once_for_words_and_is_judged_by_all_products_that_they_name(
    source: PinnedSource,
) -> None:
    title_of = {r["id"]: r["title"] for r in products().to_pylist()}

    made = [one for one in make_pinned(source, source) if one.text]

    assert len({one.text for one in made}) == len(made)
    for one in made:
        alike = [name for name, title in title_of.items() if _words(title) == one.text]
        assert one.relevant == dict.fromkeys(sorted(set(alike) - {"p47"}), 1.0)
    assert "p47" not in {name for one in made for name in one.relevant}  # no window shows it


def test_what_is_kept_is_from_before_the_moment_of_the_release(source: PinnedSource) -> None:
    made = make_pinned(source, source)

    assert every(one.at is not None and one.at <= UNTIL for one in made)


def test_the_gate_asks_for_baskets_that_no_release_has_seen(
    shop: Path, source: PinnedSource
) -> None:
    unseen = held_out(Shop(shop), source, source)

    assert unseen
    assert every(one.at is not None and one.at >= UNTIL for one in unseen)


def test_nothing_is_held_out_where_the_releases_have_seen_the_whole_log(
    shop: Path, source: PinnedSource
) -> None:
    later = msgspec.structs.replace(source.behaviour, until_seconds=2**40)

    assert held_out(Shop(shop), source._replace(behaviour=later), source) == ()


def test_a_product_that_goes_changes_few_of_the_drawn_names() -> None:
    names = [f"p{i}" for i in range(1_000)]

    before, after = drawn(names, 100), drawn([n for n in names if not n.endswith("7")], 100)

    assert len(set(before) & set(after)) >= 80


def test_fewer_queries_are_made_where_the_configuration_says_so(source: PinnedSource) -> None:
    few = source._replace(config=load(None, ["gate.queries=3"]))

    made = make_pinned(few, few)

    assert len(made) == 6
