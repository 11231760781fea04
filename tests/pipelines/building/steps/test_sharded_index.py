"""A release whose vectors are indexed in shards: built, searched, built again, and refused."""

from datetime import datetime
from pathlib import Path

import pytest

from index import ShardedIndex
from pipelines.building.build import build
from pipelines.config.loading import load
from pipelines.config.sections import Config
from pipelines.engine.engine import Engine
from pipelines.errors import ConfigError
from pipelines.progress import silent
from pipelines.release.parts import open_parts
from pipelines.release.store import open_release
from retrieval import Query

UNTIL = datetime(2024, 3, 1)
QUERIES = [
    Query(text="oat milk", k=10),
    Query(text="bread", filter='brand: ANY("North") AND price < 30', k=10),
    Query(text="juice", filter="price > 1000", k=5),
]


def settings(*more: str) -> Config:
    quick = ["encoders.text.runtime=torch", "ranking.train=false", "retrieval.fit_weights=false"]
    return load(None, ["retrieval.channels=[semantic, trending]", *quick, *more])


def in_shards(memory: str) -> Config:
    return settings("index.kind=shards", f"index.memory={memory}", "index.recall_target=1")


def answers(engine: Engine) -> list[list[str]]:
    return [[p.product.id for p in engine.answer(query).products] for query in QUERIES]


def test_a_release_in_shards_answers_as_one_that_compares_all(shop: Path, tmp_path: Path) -> None:
    build(shop, tmp_path / "flat", settings(), UNTIL, silent)
    build(shop, tmp_path / "shards", in_shards("4GB"), UNTIL, silent)

    release = open_release(tmp_path / "shards")

    assert isinstance(open_parts(release.path).joined_index, ShardedIndex)
    assert release.manifest.quality["joined_kind"] == "shards"
    assert answers(Engine.open(tmp_path / "shards")) == answers(Engine.open(tmp_path / "flat"))


def test_an_index_in_shards_is_taken_from_the_live_release(shop: Path, tmp_path: Path) -> None:
    first, _ = (build(shop, tmp_path, in_shards("4GB"), UNTIL, silent) for _ in range(2))

    stages = open_release(tmp_path).manifest.stages

    assert stages["indexes"].made_in == first
    assert "index/joined.lists" in stages["indexes"].files


def test_too_little_memory_is_one_sentence_and_no_release(shop: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"index.memory='1MB': .* GiB to be built.*allow more"):
        build(shop, tmp_path, in_shards("1MB"), UNTIL, silent)

    assert not [path for path in tmp_path.iterdir() if path.name.startswith((".draft", "2"))]
