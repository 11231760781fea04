"""What happens at or after the moment of a build changes nothing of it, nor of its verdict."""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from pipelines.building.build import build, write_pinned
from pipelines.building.context import BuildContext
from pipelines.config.loading import load
from pipelines.config.sections import Config
from pipelines.encoding.encoders import open_encoders
from pipelines.evaluation.pinned_queries import Pinned, open_pinned
from pipelines.progress import silent
from pipelines.release.manifest import config_of
from pipelines.release.store import Release, open_release
from pipelines.shop.reader import PINNED, Shop
from pipelines.shop.writer import ShopWriter
from tests.assertions import each
from tests.conftest import NUM_PRODUCTS, UNTIL, products, purchases

EARLIER = UNTIL - timedelta(days=21)
LATER_PROMOTIONS = [
    {"product": f"p{i}", "kind": "offer", "start": UNTIL, "end": UNTIL + timedelta(days=7)}
    for i in range(20)
]
EARLIER_PROMOTIONS = [
    {"product": "p1", "kind": "offer", "start": EARLIER, "end": UNTIL + timedelta(days=7)},
    {
        "product": "p2",
        "kind": "display",
        "start": UNTIL + timedelta(days=7),
        "end": UNTIL + timedelta(days=14),
        "known_from": EARLIER,
    },
]
SETTINGS = (
    "ranking.train=false",
    "towers.train=false",
    "retrieval.fit_least=1",
    "encoders.text.runtime=torch",
    "rebuild.reuse=false",
)
SCHEMA = pa.schema(
    [
        ("product", pa.string()),
        ("kind", pa.string()),
        ("start", pa.timestamp("s")),
        ("end", pa.timestamp("s")),
        ("known_from", pa.timestamp("s")),
    ]
)


def events(*, changed: bool) -> pa.Table:
    lines, random = purchases().to_pylist(), np.random.default_rng(0)
    for line in lines:
        if changed and line["time"] >= UNTIL:
            line["product"] = f"p{random.integers(0, NUM_PRODUCTS)}"
            line["value"] = float(random.uniform(10, 90))
    return pa.Table.from_pylist(lines, purchases().schema)


def built(folder: Path, config: Config, *, changed: bool) -> Release:
    """Build a release over an older one, of a shop whose future is one or the other."""
    with ShopWriter(folder / "shop", name="Corner shop", source="table") as writer:
        writer.add_products(products())
        writer.add_events(events(changed=changed))
        promotions = EARLIER_PROMOTIONS + (LATER_PROMOTIONS if changed else [])
        writer.add_promotions(pa.Table.from_pylist(promotions, SCHEMA))
    for until in (EARLIER, UNTIL):
        build(folder / "shop", folder / "releases", config, until, silent, force=True)
    return open_release(folder / "releases")


@pytest.fixture(scope="module")
def futures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Release, Release]:
    config = load(None, SETTINGS)
    folder = tmp_path_factory.mktemp("futures")
    one, other = (built(folder / str(i), config, changed=bool(i)) for i in (0, 1))
    return one, other


def test_no_file_of_a_release_knows_what_came_later(futures: tuple[Release, Release]) -> None:
    one, other = (release.manifest.files for release in futures)

    same = {name for name in one if not name.startswith("lexical/")}  # tantivy names at random
    assert {"promotions/offer_first.npy", "catalogue/prices.npy"} <= same
    assert {name for name in same if one[name] != other.get(name)} == set()


def test_the_verdict_of_the_gate_hangs_on_nothing_that_came_later(
    futures: tuple[Release, Release],
) -> None:
    found = [_figures(release) for release in futures]

    assert any(name.startswith("nDCG@20, recommendations") for name in found[0])
    assert found[0] == found[1]


def test_the_gate_asks_for_no_shopper_at_or_after_the_moment(
    futures: tuple[Release, Release], tmp_path: Path
) -> None:
    release = futures[0]
    folder = shutil.copytree(release.path, tmp_path / "draft")
    shop = Shop(shutil.copytree(release.path.parent.parent / "shop", tmp_path / "shop"))
    pinned = [
        Pinned(id="before", user="u1", at=UNTIL - timedelta(seconds=1), relevant={"p1": 1.0}),
        Pinned(id="at", user="u1", at=UNTIL, relevant={"p1": 1.0}),
        Pinned(id="later", user="u1", at=UNTIL + timedelta(days=1), relevant={"p1": 1.0}),
        Pinned(id="words", text="oat milk", at=UNTIL, relevant={"p1": 1.0}),
    ]
    (shop.folder / PINNED).write_bytes(b"\n".join(map(msgspec.json.encode, pinned)))
    config = config_of(release.manifest)
    encoders = open_encoders(config)
    context = BuildContext(shop, folder, tmp_path, encoders, config, UNTIL, silent)

    asked = write_pinned(context, release)

    assert [one.id for one in asked] == ["before", "words"]
    assert [one.id for one in open_pinned(folder)] == ["before", "at", "later", "words"]
    whole = BuildContext(shop, folder, tmp_path, encoders, config, None, silent)
    assert len(write_pinned(whole, release)) == len(pinned)


def test_what_is_measured_in_a_build_hangs_on_nothing_that_came_later(
    futures: tuple[Release, Release],
) -> None:
    one, other = (release.manifest.quality for release in futures)

    assert "weights_recall" in one
    figures = {name for name in one if not any(part in name for part in ("runtime", "curve"))}
    assert {name for name in figures if one[name] != other[name]} == set()  # those hold times


def test_a_promotion_that_was_known_before_is_kept(futures: tuple[Release, Release]) -> None:
    for release in each(futures):
        rows = {
            kind: np.flatnonzero(
                np.diff(np.load(release.path / f"promotions/{kind}_first.npy"))
            ).tolist()
            for kind in ("offer", "display")
        }
        assert rows == {"offer": [1], "display": [2]}


def _figures(release: Release) -> dict[str, Any]:
    verdict = release.manifest.gate
    assert verdict is not None
    return {check.name: check for check in verdict.checks if check.name != "latency"}
