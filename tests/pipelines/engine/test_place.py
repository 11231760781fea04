"""The moment of a request, as an engine reads it in the place of its shop."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from pipelines.config.sections import Config, ShopConfig
from pipelines.engine.engine import Engine
from pipelines.engine.lists.cursors import decoded
from pipelines.release.manifest import config_of
from pipelines.release.store import open_release
from retrieval import Query, Scene, Slate
from retrieval.types import local_seconds

LOCAL = datetime(2024, 2, 20, 10)
SAME = LOCAL.replace(tzinfo=UTC) - timedelta(hours=9)  # in Tokyo


def in_tokyo(config: Config) -> Config:
    place = ShopConfig(timezone="Asia/Tokyo", country="JP")
    return msgspec.structs.replace(config, shop=place)


@pytest.fixture(scope="module")
def tokyo(releases: Path) -> Engine:
    release = open_release(releases)
    return Engine(release, in_tokyo(config_of(release.manifest)))


def answer(engine: Engine, at: datetime | None, **asked: str) -> Slate:
    return engine.answer(Query(user="u1", scene=Scene(at=at), deadline_ms=60_000, k=5, **asked))


@pytest.mark.parametrize("cursor", ["", "*"])
def test_one_instant_is_one_moment_however_it_is_written(tokyo: Engine, cursor: str) -> None:
    local, instant = (answer(tokyo, at, cursor=cursor) for at in (LOCAL, SAME))
    elsewhere = answer(tokyo, SAME.replace(tzinfo=None), cursor=cursor)

    assert instant.products == local.products
    assert instant.cursor == local.cursor
    assert [one.score for one in elsewhere.products] != [one.score for one in local.products]


def test_now_is_now_in_the_shop(tokyo: Engine) -> None:
    before = tokyo.place.now()

    began = decoded(answer(tokyo, None, cursor="*").cursor).at_seconds

    assert local_seconds(before) <= began <= local_seconds(tokyo.place.now())
    assert began - datetime.now(UTC).timestamp() > 8 * 3600


def test_a_release_knows_the_place_that_its_build_filled_in(releases: Path) -> None:
    shop = config_of(open_release(releases).manifest).shop

    assert shop == ShopConfig(timezone="UTC", country="US")
