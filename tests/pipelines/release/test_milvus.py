"""A release whose vectors are kept on Milvus: built, searched, switched, pruned, and failing."""

import shutil
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from index import Address, Milvus, MilvusIndex, Unreachable
from pipelines.building.build import build
from pipelines.config.loading import load
from pipelines.config.sections import Config
from pipelines.engine.engine import Engine
from pipelines.errors import ConfigError
from pipelines.progress import silent
from pipelines.release.milvus import drop_unused, point
from pipelines.release.store import names, rollback
from retrieval import Query

pytest.importorskip("pymilvus", reason="needs the extra milvus")
pytest.importorskip("milvus_lite", reason="needs milvus-lite, which comes with the extra milvus")

UNTIL = datetime(2024, 3, 1)
QUERIES = [
    Query(text="oat milk", k=10),
    Query(text="bread", filter='brand: ANY("North") AND price < 30', k=10),
    Query(text="tea", filter='NOT categories: ANY("Food > Green Tea")', k=48),
    Query(text="soup", disliked={"p2": 1.0}, filter="price > 5", k=20),
    Query(text="juice", filter="price > 1000", k=5),
]


def settings(*more: str) -> Config:
    quick = ["encoders.text.runtime=torch", "ranking.train=false", "retrieval.fit_weights=false"]
    return load(None, ["retrieval.channels=[semantic, trending]", *quick, *more])


def on(milvus: Path) -> list[str]:
    return ["index.where=milvus", f"index.milvus.uri={milvus}", "index.milvus.kind=FLAT"]


@pytest.fixture(scope="module")
def kept(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of releases, and the Milvus that holds their vectors."""
    folder = tmp_path_factory.mktemp("elsewhere")
    config = settings(*on(folder / "kept.db"))
    for _ in range(2):
        build(shop, folder / "releases", config, UNTIL, silent)
    return folder / "releases", folder / "kept.db"


def answers(engine: Engine) -> list[list[tuple[str, float]]]:
    slates = (engine.answer(query) for query in QUERIES)
    return [[(p.product.id, round(p.score, 5)) for p in slate.products] for slate in slates]


def test_a_release_on_milvus_answers_as_one_of_files(
    kept: tuple[Path, Path], shop: Path, tmp_path: Path
) -> None:
    build(shop, tmp_path, settings(), UNTIL, silent)

    found, expected = answers(Engine.open(kept[0])), answers(Engine.open(tmp_path))

    assert found == expected
    assert [len(one) > 0 for one in found] == [True, True, True, True, False]


def test_a_filter_goes_to_milvus_as_a_filter(
    kept: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine.open(kept[0])
    monkeypatch.setattr(
        "index.vectors.libraries.milvus_index._named", lambda _: pytest.fail("rows were named")
    )

    slate = engine.answer(Query(text="bread", filter='brand: ANY("North")', explain=True))

    assert {placed.product.brand for placed in slate.products} == {"North"}
    assert slate.filtered is not None
    assert slate.filtered.exact


def test_the_alias_follows_the_release_that_is_served(kept: tuple[Path, Path]) -> None:
    releases, milvus = kept
    newest, older = names(releases)
    client = Milvus(Address(str(milvus)))

    named = []
    for name in (older, newest):
        rollback(releases, name)
        point(releases / name)
        about = client.call("look", "describe_alias", alias="vetrina_joined")
        named.append(about["collection_name"])
    client.close()

    assert [name[-22:] for name in named] == [n.replace("-", "_") for n in (older, newest)]


def test_collections_that_no_release_uses_are_dropped_and_those_of_others_are_not(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(*on(tmp_path / "x.db"))
    kept = [build(shop, tmp_path / "releases", config, UNTIL, silent) for _ in range(2)]
    client = Milvus(Address(str(tmp_path / "x.db")))
    before = client.names("vetrina_")
    MilvusIndex.build(client, "vetrina_joined_of_others", np.eye(4, dtype="float32"))
    with monkeypatch.context() as broken:
        broken.setattr("pipelines.building.build.judge", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            build(shop, tmp_path / "releases", config, UNTIL, silent)
    failed = client.names("vetrina_")

    shutil.rmtree(tmp_path / "releases" / kept[0])
    drop_unused(tmp_path / "releases", config.index)
    left = client.names("vetrina_")
    client.close()

    others = "vetrina_joined_of_others"
    assert sorted(failed) == sorted([*before, others])
    assert len(left) == 2
    assert left == [name for name in failed if name == others or name.endswith(kept[1][-6:])]


def test_a_milvus_that_is_not_there_is_one_sentence_and_no_release(
    shop: Path, tmp_path: Path
) -> None:
    away = ["index.where=milvus", "index.milvus.uri=http://127.0.0.1:1"]

    with pytest.raises(Unreachable, match=r"Milvus at http://127\.0\.0\.1:1 could not be reached"):
        build(shop, tmp_path, settings(*away, "index.milvus.build_seconds=2"), UNTIL, silent)

    assert names(tmp_path) == []


def test_milvus_without_an_address_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"needs milvus\.uri"):
        load(None, ["index.where=milvus"])
