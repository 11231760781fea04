from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.building.build import build
from pipelines.building.steps.tower_columns import (
    codes_of,
    columns_at,
    numbered,
    standardised,
)
from pipelines.config.loading import load
from pipelines.config.sections import Config
from pipelines.engine.engine import Engine
from pipelines.errors import RequestError
from pipelines.metrics.intervals import Interval
from pipelines.progress import silent
from pipelines.release.parts import open_parts
from pipelines.release.store import current, open_release
from pipelines.shop.purchases.log import Log
from pipelines.shop.writer import ShopWriter
from pipelines.training.towers.ablation import SearchQuality
from pipelines.training.towers.examples import BasketRequests, TitleWords
from pipelines.training.towers.synthetic_queries import part, synthetic_queries
from retrieval import Query, Scene, Stage
from retrieval.behaviour.purchases import Purchases
from retrieval.towers.columns import TowerColumns
from tests.conftest import UNTIL, products, purchases


def at_end(**asked: Any) -> Query:
    return Query(scene=Scene(at=UNTIL), deadline_ms=60_000, **asked)


def ids(engine: Engine, query: Query) -> list[str]:
    return [placed.product.id for placed in engine.answer(query).products]


def other(config: Config, *overrides: str) -> Config:
    """Return the configuration without pictures and ranker, which take time."""
    small = [
        f"towers.{name}={getattr(config.towers, name)}"
        for name in ("dim", "width", "heads", "interests", "batch_size", "min_requests")
    ]
    return load(
        None,
        [
            *small,
            "towers.train=true",
            "towers.epochs=1",
            "ranking.train=false",
            "encoders.text.runtime=torch",
            *overrides,
        ],
    )


def built(folder: Path, log: pa.Table, config: Config) -> Path:
    """Build a release of the corner shop with another log; return its folder."""
    with ShopWriter(folder / "shop", name="Corner shop", source="table") as writer:
        writer.add_products(products())
        writer.add_events(log)
    build(folder / "shop", folder / "releases", config, UNTIL, silent)
    return folder / "releases" / current(folder / "releases")


def test_a_build_trains_towers_and_says_how_good_they_are(releases: Path) -> None:
    release = open_release(releases)

    trained = open_parts(release.path).trained
    quality = release.manifest.quality

    assert trained is not None
    assert "requests" in quality["towers"]
    assert quality["towers_recall_at_100"] >= 0.95
    assert "without" in quality["towers_search"]
    assert np.linalg.norm(trained.vectors, axis=1) == pytest.approx(np.ones(48), abs=1e-5)


@pytest.mark.parametrize(("low", "asked"), [(0.01, True), (0.0, False), (-0.02, False)])
def test_towers_are_part_of_a_search_only_where_they_help_beyond_chance(
    low: float, asked: Any, tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    gain = Interval(mean=0.05, low=low, high=0.1)
    monkeypatch.setattr(
        "pipelines.building.steps.towers.compare_searches",
        lambda *_: SearchQuality(0.5, gain, 40),
    )

    folder = built(tmp_path, purchases(), other(config))

    trained, quality = open_parts(folder).trained, open_release(folder.parent).manifest.quality
    assert trained is not None
    assert ("search" in trained.request_kinds) is asked
    assert ("not used" not in quality["towers_search"]) is asked
    assert quality["towers_searches_held_out"] > 0


def test_towers_are_judged_by_searches_that_they_have_not_learnt_from(
    tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: list[TitleWords] = []
    judging: list[TitleWords] = []

    class Requests(BasketRequests):
        def __init__(self, *given: Any) -> None:
            learnt.extend(one for one in given if isinstance(one, TitleWords))
            super().__init__(*given)

    def compare(*given: Any) -> None:
        judging.extend(one for one in given if isinstance(one, TitleWords))

    monkeypatch.setattr("pipelines.building.steps.towers.BasketRequests", Requests)
    monkeypatch.setattr("pipelines.building.steps.towers.compare_searches", compare)

    folder = built(tmp_path, purchases(), other(config))

    (one,), (judge,) = learnt, judging
    assert len(judge.meant)
    assert not set(judge.meant.tolist()) & set(one.meant.tolist())
    assert not set(judge.texts) & set(one.texts)
    quality = open_release(folder.parent).manifest.quality
    assert quality["towers_searches_held_out"] == len(judge.meant)
    assert "not used" in quality["towers_search"]  # nothing was measured


@pytest.mark.parametrize(("gained", "asked"), [(0.1, True), (0.0, False), (-0.1, False)])
def test_towers_recommend_only_where_past_baskets_gain_by_them(
    gained: float, asked: Any, tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "pipelines.building.steps.fusion_weights.gains",
        lambda outcomes, *_: np.full(len(outcomes), gained),
    )

    folder = built(tmp_path, purchases(), other(config, "retrieval.fit_least=1"))

    parts, quality = open_parts(folder), open_release(folder.parent).manifest.quality
    slate = Engine.open(folder.parent).answer(at_end(user="u3", k=5))
    assert parts.trained is not None
    assert ("recommendation" in parts.trained.request_kinds) is asked
    assert ("not used" in quality["towers_recommendation"]) is not asked
    assert slate.products
    assert asked or not any("towers" in placed.channels for placed in slate.products)


def test_the_towers_have_seen_nothing_of_the_newest_window(tmp_path: Path, config: Config) -> None:
    log = purchases()
    days = config.ranking.window_days
    newest = pa.compute.greater_equal(log["time"], pa.scalar(UNTIL - timedelta(days=days)))
    random = np.random.default_rng(0)
    bought = np.asarray(log["product"].to_pylist())
    bought[np.asarray(newest)] = [f"p{i}" for i in random.integers(0, 48, int(np.sum(newest)))]
    changed = log.set_column(log.column_names.index("product"), "product", pa.array(bought))
    paid = np.where(np.asarray(newest), random.uniform(10, 90, len(bought)), 2.5)
    changed = changed.set_column(log.column_names.index("value"), "value", pa.array(paid))

    folders = [
        built(tmp_path / name, table, other(config)) for name, table in (("a", log), ("b", changed))
    ]
    first, second = (np.load(folder / "towers/vectors.npy") for folder in folders)

    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    ("override", "why"),
    [("towers.train=false", "towers.train is off"), ("towers.min_requests=100000", "are needed")],
)
def test_without_towers_a_release_answers_as_well(
    override: str, why: str, tmp_path: Path, config: Config
) -> None:
    folder = built(tmp_path, purchases(), other(config, override))

    engine = Engine.open(folder.parent)

    assert why in open_release(folder.parent).manifest.quality["towers"]
    assert open_parts(folder).trained is None
    assert ids(engine, at_end(user="u3", k=5))
    assert ids(engine, at_end(liked={"p0": 1.0}, k=5))


def test_a_liked_product_brings_those_like_it_and_not_itself(real_engine: Engine) -> None:
    found = ids(real_engine, at_end(liked={"p6": 1.0}, k=7))  # rye bread
    kinds = [int(product_id[1:]) % 6 for product_id in found]

    assert "p6" not in found
    assert kinds.count(0) >= 4


def test_a_disliked_product_is_not_shown(real_engine: Engine) -> None:
    first = ids(real_engine, at_end(user="u3", k=5))

    found = ids(real_engine, at_end(user="u3", disliked={first[0]: 1.0}, k=5))

    assert first[0] not in found
    assert found


def test_words_and_marks_go_together(real_engine: Engine) -> None:
    words = ids(real_engine, at_end(text="green tea", k=8))

    found = ids(real_engine, at_end(text="green tea", disliked={words[0]: 1.0}, k=8))

    assert words[0] not in found
    assert len(set(found) & set(words)) >= 4


def test_marks_that_are_not_in_the_shop_are_told(real_engine: Engine) -> None:
    slate = real_engine.answer(at_end(liked={"p6": 1.0, "gone": 1.0}, k=3), Stage.RETRIEVAL)

    assert slate.missing == ("gone",)
    assert slate.products


def test_a_product_cannot_be_liked_and_disliked(real_engine: Engine) -> None:
    with pytest.raises(RequestError, match=r"disliked.*'p6' is liked as well"):
        real_engine.answer(at_end(liked={"p6": 1.0}, disliked={"p6": 0.5}))


def test_attributes_are_hashed_level_by_level() -> None:
    record = {"brand": "North", "categories": ["Food > Bread"], "attributes": {}, "tags": []}
    sister = {**record, "categories": ["Food > Cake"]}

    codes = codes_of([record, sister, {**record, "brand": "", "categories": []}])

    assert (codes > 0).sum(axis=1).tolist() == [3, 3, 0]
    assert len(set(codes[0]) & set(codes[1]) - {0}) == 2  # brand and Food


def test_the_tokens_of_a_period_hang_on_nothing_that_came_later() -> None:
    random, count, at = np.random.default_rng(0), 400, 1_000
    rows = random.integers(0, 12, count).astype(np.int32)
    seconds = np.sort(random.integers(0, 2_000, count))
    users = random.integers(0, 20, count).astype(np.int32)
    prices = random.uniform(1, 9, count).astype(np.float32)
    late = seconds >= at
    log = Log(
        np.arange(20).astype(str), Purchases(users, rows, seconds, np.arange(count)), "", prices
    )
    other = log._replace(
        purchases=log.purchases._replace(rows=np.where(late, 11 - rows, rows)),
        prices=np.where(late, prices * 7, prices).astype(np.float32),
    )
    now = TowerColumns(
        {},
        np.zeros((12, 1), np.int64),
        np.arange(1, 13),
        np.zeros(12, np.float32),
        np.zeros((12, 5), np.float32),
    )

    then, changed, after = (
        columns_at(now, given, moment) for given, moment in ((log, at), (other, at), (log, 2_000))
    )

    for one, two, three in zip(then[2:], changed[2:], after[2:], strict=True):
        assert np.array_equal(one, two, equal_nan=True)
        assert one is then.own or not np.array_equal(one, three, equal_nan=True)
    never = columns_at(now, log, 0)
    assert not never.own.any()
    assert np.isnan(never.price).all()
    assert not never.popularity.any()


def test_only_what_is_bought_often_enough_has_an_embedding_of_its_own() -> None:
    assert numbered(np.array([9, 1, 5], np.float32)).tolist() == [1, 0, 2]


def test_what_never_moves_says_nothing_and_what_is_unknown_stays_unknown() -> None:
    columns = np.array([[1, 7, np.nan], [3, 7, 2], [5, 7, 4]], np.float32)

    found = standardised(columns)

    assert found[:, 1].tolist() == [0, 0, 0]
    assert np.isnan(found[0, 2])
    assert found[:, 0].mean() == pytest.approx(0)


def test_made_up_searches_hold_words_of_the_product_they_mean() -> None:
    titles = ["oat milk 1 l", "rye bread", ""]
    shares = np.array([0.5, 0.5, 0.0], np.float32)

    words = synthetic_queries(
        titles, shares, lambda texts: np.zeros((len(texts), 2), np.float32), seed=1
    )

    assert words is not None
    assert set(words.meant.tolist()) == {0, 1}
    for text, row in zip(words.texts, words.meant, strict=True):
        assert set(text.split()) <= set(titles[row].split())


def test_searches_are_parted_by_product_and_by_words() -> None:
    titles = [f"{kind} {number}" for number in range(40) for kind in ("oat milk", "rye bread")]
    names = [f"p{row}" for row in range(len(titles))]
    shares = np.full(len(titles), 1 / len(titles), np.float32)
    words = synthetic_queries(
        titles, shares, lambda texts: np.arange(len(texts), dtype=np.float32)[:, None], seed=1
    )
    assert words is not None

    learnt, judging = part(words, names)

    for side in (learnt, judging):
        assert len(side.meant) == len(side.texts) == len(side.vectors) == len(side.searches) > 0
        assert (np.diff(side.meant) >= 0).all()
        for text, row in zip(side.texts, side.meant, strict=True):
            assert text in titles[row]
    assert not set(learnt.meant.tolist()) & set(judging.meant.tolist())
    assert not set(learnt.texts) & set(judging.texts)


def test_a_shop_without_words_has_no_searches_to_make_up() -> None:
    assert synthetic_queries(["", ""], np.ones(2, np.float32) / 2, np.asarray, seed=1) is None  # type: ignore[arg-type]


def test_a_shop_without_events_has_no_towers(tmp_path: Path, config: Config) -> None:
    folder = built(tmp_path, purchases().slice(0, 0), other(config))

    assert "no events" in open_release(folder.parent).manifest.quality["towers"]
