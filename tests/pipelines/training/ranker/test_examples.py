from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from pipelines.config.sections import Config, ShopConfig
from pipelines.encoding.release_encoders import open_query_encoder
from pipelines.engine.engine import Engine
from pipelines.engine.stages.ranking import RankingStage
from pipelines.progress import silent
from pipelines.release.parts import Parts, open_parts
from pipelines.release.store import open_release
from pipelines.shop.purchases.log import next_baskets, read_purchases
from pipelines.shop.reader import Shop
from pipelines.shop.writer import ShopWriter
from pipelines.training.ranker.examples import (
    PastRetriever,
    PastShop,
    from_baskets,
    from_impressions,
)
from pipelines.training.ranker.impressions import Impressions
from ranking.features.definitions import NAMES
from ranking.network.examples import labels_of
from retrieval import Query, Scene
from retrieval.behaviour.purchases import DAY
from retrieval.encoded_query import EncodedQuery
from retrieval.types import local_seconds
from tests.assertions import each, every
from tests.conftest import UNTIL, products, purchases

BORDER = local_seconds(UNTIL)


@pytest.fixture
def parts(releases: Path) -> Parts:
    return open_parts(open_release(releases).path)


@pytest.fixture
def past(releases: Path, parts: Parts, shop: Path, config: Config) -> PastShop:
    release = open_release(releases)
    encoder = open_query_encoder(release.path, release.manifest.fingerprints, config)
    traits = {row["id"]: dict(row["traits"]) for row in Shop(shop).users().to_pylist()}
    shown = parts.products.allowed('NOT tags: ANY("unlisted")')
    return PastShop(parts, config, encoder, shown, traits)


def test_training_sees_the_very_features_that_serving_computes(
    past: PastShop, parts: Parts, shop: Path, config: Config, real_engine: Engine
) -> None:
    """The newest window begins where the release ends, so both know the same past."""
    length = config.ranking.window_days * DAY
    log = read_purchases(Shop(shop), parts.products, None)
    _, newest = from_baskets(past, log, BORDER + length, silent)
    replayed = [example for example in newest if example.context.query is None]
    baskets = next_baskets(log.user_ids, log.purchases, BORDER, BORDER + length)
    ids = np.array(parts.products.ids)

    for example, basket in each(list(zip(replayed, baskets, strict=True))[:10]):
        at = np.datetime64(basket.at_seconds, "s").astype(object)
        slate = real_engine.answer(
            Query(
                user=basket.user_id,
                scene=Scene(at=at),
                candidates=tuple(ids[example.rows].tolist()),
                k=len(example.rows),
                explain=True,
                deadline_ms=60_000,
            )
        )
        served = {p.product.id: p.features for p in slate.products}

        for product_id, learned in each(zip(ids[example.rows], example.features, strict=True)):
            assert served[product_id] == dict(zip(NAMES, map(float, learned), strict=True))


def changed_from(seconds: int, folder: Path) -> Shop:
    """Return the shop with other products, other prices and more purchases from a moment on."""
    log, random = purchases().to_pylist(), np.random.default_rng(0)
    for line in log:
        if local_seconds(line["time"]) >= seconds:
            line["product"] = f"p{random.integers(0, 48)}"
            line["value"] = float(random.uniform(10, 90))
    dear = {"type": "purchase", "user": "u99", "value": 99.0}  # so often that medians move
    for number in range(48 * 60):
        at = datetime.fromtimestamp(seconds + DAY + number, UTC).replace(tzinfo=None)
        log.append({**dear, "session": f"late {number}", "time": at, "product": f"p{number % 48}"})
    with ShopWriter(folder, name="Corner shop", source="table") as writer:
        writer.add_products(products())
        writer.add_events(pa.Table.from_pylist(log, purchases().schema))
    return Shop(folder)


def test_what_is_sold_in_a_window_changes_no_feature_of_its_requests(
    past: PastShop, parts: Parts, shop: Path, config: Config, tmp_path: Path
) -> None:
    start = BORDER - config.ranking.window_days * DAY
    logs = [
        read_purchases(one, parts.products, UNTIL)
        for one in (Shop(shop), changed_from(start, tmp_path / "changed"))
    ]

    before, after = (from_baskets(past, log, BORDER, silent) for log in logs)

    for one, other in zip(before[0], after[0], strict=True):
        assert np.array_equal(one.rows, other.rows)
        assert np.array_equal(one.features, other.features)
        assert np.array_equal(one.labels, other.labels, equal_nan=True)
    then = [PastRetriever(past, log, start) for log in logs]
    rows = np.arange(parts.products.size)
    ask = EncodedQuery(history=then[0].history("u3", start), at_seconds=start)
    found = [
        one.example(ask, one.order(ask, rows), "u3", Scene(), np.empty_like).features
        for one in then
    ]
    assert np.array_equal(*found)


def test_what_was_not_sold_before_a_window_has_no_price_in_it_nor_when_served(
    past: PastShop, parts: Parts, shop: Path, config: Config
) -> None:
    log = read_purchases(Shop(shop), parts.products, UNTIL)
    start = int(log.purchases.seconds.min()) + DAY
    then = PastRetriever(past, log, start)
    ask = EncodedQuery(history=then.history("u3", start), at_seconds=start)
    rows = np.arange(parts.products.size)
    sold = np.unique(log.purchases.rows[log.purchases.seconds < start])

    example = then.example(ask, then.order(ask, rows), "u3", Scene(), np.empty_like)

    price = example.features[:, NAMES.index("price")]
    assert 0 < len(sold) < len(rows)
    assert (price[np.isin(example.rows, sold)] > 0).all()
    assert (price[~np.isin(example.rows, sold)] == 0).all()
    ever = np.unique(log.purchases.rows)
    assert (parts.catalogue.prices > 0).nonzero()[0].tolist() == ever.tolist()


def test_past_requests_were_made_in_the_country_of_the_shop(
    past: PastShop, parts: Parts, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = read_purchases(Shop(shop), parts.products, UNTIL)
    one, clicked = np.array([1]), labels_of(click=np.ones(1))
    shown = [Impressions("u1", BORDER - DAY, "", "", one, clicked, np.ones(1, np.float32))]
    german = msgspec.structs.replace(past.config, shop=ShopConfig(country="DE"))
    countries = set()

    def seen(self: object, *given: object) -> None:
        countries.add(next(one.country for one in given if isinstance(one, Scene)))
        raise LookupError

    monkeypatch.setattr(PastRetriever, "example", seen)
    for requests in (
        lambda: from_baskets(replace(past, config=german), log, BORDER, silent),
        lambda: from_impressions(replace(past, config=german), log, shown, BORDER, silent),
    ):
        with pytest.raises(LookupError):
            requests()

    assert countries == {"DE"}


def test_what_was_bought_is_labelled_and_nothing_else(
    past: PastShop, parts: Parts, shop: Path
) -> None:
    log = read_purchases(Shop(shop), parts.products, UNTIL)
    training, newest = from_baskets(past, log, BORDER, silent)

    assert training
    assert newest
    for example in training + newest:
        assert len(set(example.rows.tolist())) == len(example.rows)
        assert 47 not in example.rows  # unlisted
        if example.context.query is not None:
            assert example.wanted().sum() <= 1


def test_what_retrieval_missed_of_a_basket_is_counted(
    past: PastShop, parts: Parts, shop: Path, config: Config
) -> None:
    few = msgspec.structs.replace(config.retrieval, candidates=3)
    ranking = msgspec.structs.replace(config.ranking, sampled_negatives=0)
    short = replace(past, config=msgspec.structs.replace(config, retrieval=few, ranking=ranking))
    log = read_purchases(Shop(shop), parts.products, UNTIL)
    start = BORDER - config.ranking.window_days * DAY
    baskets = next_baskets(log.user_ids, log.purchases, start, BORDER)

    _, newest = from_baskets(short, log, BORDER, silent)

    asked = [example for example in newest if example.context.query is None]
    for example, basket in zip(asked, baskets, strict=True):
        assert len(example.relevant()) == len(basket.rows)
    assert any(example.missed for example in asked)


def test_what_was_shown_keeps_its_labels_and_weights_and_sees_what_serving_computes(
    past: PastShop, parts: Parts, shop: Path, config: Config, real_engine: Engine
) -> None:
    """The newest window begins where the release ends; labels and weights name their rows."""
    length = config.ranking.window_days * DAY
    rows = np.array([1, 4, 9, 30])
    told = labels_of(click=rows / 100)
    newest = Impressions("u1", BORDER + DAY, "cart", "", rows, told, rows.astype(np.float32))
    before = newest._replace(at_seconds=BORDER - DAY, text="oat milk")
    nothing = {"labels": labels_of(click=np.zeros(4))}
    lists = [before, before._replace(**nothing), newest, newest._replace(**nothing)]

    log = read_purchases(Shop(shop), parts.products, None)
    training, validation = from_impressions(past, log, lists, BORDER + length, silent)

    assert (len(training), len(validation)) == (1, 2)  # what came to nothing only in the newest
    for example in (training[0], validation[0]):
        assert sorted(example.rows) == rows.tolist()
        assert example.weights is not None
        assert example.weights.tolist() == example.rows.tolist()
        np.testing.assert_allclose(example.labels[:, 0], example.rows / 100, rtol=1e-6)
    assert training[0].context.query is not None
    ids = np.array(parts.products.ids)
    at = np.datetime64(newest.at_seconds, "s").astype(object)
    asked = Query(user="u1", scene=Scene(at=at), candidates=tuple(ids[rows]), explain=True)
    slate = real_engine.answer(msgspec.structs.replace(asked, deadline_ms=60_000))
    served = {p.product.id: p.features for p in slate.products}
    for row, learned in zip(validation[0].rows, validation[0].features, strict=True):
        assert served[ids[row]] == dict(zip(NAMES, map(float, learned), strict=True))


def test_training_sees_the_very_words_that_serving_sees(
    past: PastShop,
    parts: Parts,
    shop: Path,
    config: Config,
    real_engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(RankingStage, "ranks", lambda *_: True)  # whether or not that was better
    length, rows = config.ranking.window_days * DAY, np.arange(20)
    weights = np.ones(20, np.float32)
    one = Impressions("u1", BORDER + DAY, "search", "", rows, labels_of(click=rows / 100), weights)
    texts = ("north oat milk", "milk oat, without sugar 5", "unheard of")
    lists = [one._replace(text=text) for text in texts]
    log = read_purchases(Shop(shop), parts.products, None)
    ids = np.array(parts.products.ids)
    at = np.datetime64(one.at_seconds, "s").astype(object)
    asked = Query(user="u1", scene=Scene(at=at), candidates=tuple(ids[rows]), explain=True)

    _, examples = from_impressions(past, log, lists, BORDER + length, silent)
    for text, example in each(zip(texts, examples, strict=True)):
        slate = real_engine.answer(msgspec.structs.replace(asked, text=text, deadline_ms=60_000))

        served = {p.product.id: p.features for p in slate.products}
        for row, learned in each(zip(example.rows, example.features, strict=True)):
            found, expected = served[ids[row]], dict(zip(NAMES, map(float, learned), strict=True))
            # Texts that are encoded together differ from one alone in the last bits.
            assert found.pop("text_match") == pytest.approx(expected.pop("text_match"), abs=1e-6)
            assert found == expected
        titled = {found["rare_title"] for found in served.values()}
        assert len(titled) > 1 or (titled, text) == ({0}, "unheard of")


def test_made_up_searches_carry_the_words_of_what_was_bought(
    past: PastShop, parts: Parts, shop: Path
) -> None:
    log = read_purchases(Shop(shop), parts.products, UNTIL)
    training, _ = from_baskets(past, log, BORDER, silent)
    words = {name: NAMES.index(name) for name in ("rare_title", "rare_text", "query_words")}

    for example in each(training):
        found = {name: example.features[:, column] for name, column in words.items()}
        if example.context.query is None:
            assert not any(column.any() for column in found.values())
        else:
            assert (found["query_words"] > 0).all()
            bought = example.wanted() > 0
            np.testing.assert_allclose(found["rare_title"][bought], 1, rtol=1e-6)


def test_searches_of_the_newest_window_are_for_other_products_than_those_before(
    past: PastShop, parts: Parts, shop: Path
) -> None:
    log = read_purchases(Shop(shop), parts.products, UNTIL)

    training, newest = from_baskets(past, log, BORDER, silent)

    sides = [[e for e in part if e.context.query is not None] for part in (training, newest)]
    meant = [{int(row) for e in part for row in e.rows[e.wanted()]} for part in sides]
    assert every(meant)
    assert not set.intersection(*meant)
    asked = [{e.context.query.tobytes() for e in part if e.context.query is not None}
             for part in sides]  # fmt: skip
    assert not set.intersection(*asked)


def test_baskets_are_the_first_of_each_user_in_their_window(parts: Parts, shop: Path) -> None:
    log = read_purchases(Shop(shop), parts.products, None)

    baskets = next_baskets(log.user_ids, log.purchases, BORDER, BORDER + 14 * DAY)

    assert len({b.user_id for b in baskets}) == len(baskets)
    assert every(BORDER <= b.at_seconds < BORDER + 14 * DAY for b in baskets)


def test_without_a_session_a_day_is_a_basket(parts: Parts, tmp_path: Path) -> None:
    with ShopWriter(tmp_path / "shop", name="x", source="table") as writer:
        writer.add_products(products())
        writer.add_events(purchases().drop_columns(["session"]))

    found = read_purchases(Shop(tmp_path / "shop"), parts.products, None).purchases

    first = found.users == 0
    days = np.unique(found.seconds[first] // DAY)
    assert len(np.unique(found.baskets[first])) == len(days)


def test_who_does_not_consent_to_training_is_left_out(parts: Parts, tmp_path: Path) -> None:
    asked = purchases()
    allowed = [{"search": True, "recommend": True, "ads": True, "train": u != "u3"}
               for u in asked["user"].to_pylist()]  # fmt: skip
    with ShopWriter(tmp_path / "shop", name="x", source="table") as writer:
        writer.add_products(products())
        writer.add_events(asked.append_column("consent", pa.array(allowed)))

    found = read_purchases(Shop(tmp_path / "shop"), parts.products, None)

    assert "u3" not in found.user_ids
    assert "u4" in found.user_ids


def test_a_log_without_purchases_is_read_by_its_strongest_kind_of_event(
    parts: Parts, tmp_path: Path
) -> None:
    clicks = purchases().slice(0, 50)
    kinds = pa.array(["view", "click"] * 25)
    with ShopWriter(tmp_path / "shop", name="x", source="table") as writer:
        writer.add_products(products())
        writer.add_events(clicks.set_column(0, "type", kinds))

    found = read_purchases(Shop(tmp_path / "shop"), parts.products, None)

    assert found.kind == "click"
    assert len(found.purchases.rows) == 25
