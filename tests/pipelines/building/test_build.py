import hashlib
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from index import map_array
from pipelines.building.build import EMBEDDINGS, build
from pipelines.config.loading import load
from pipelines.config.sections import Config
from pipelines.engine.engine import Engine
from pipelines.errors import ReleaseError, ShopError
from pipelines.progress import silent
from pipelines.release.manifest import MANIFEST, SEAL
from pipelines.release.parts import open_album, open_parts
from pipelines.release.store import current, names, open_release
from pipelines.release.verdict import UnfitDraft
from pipelines.shop.purchases.prices import prices_paid
from pipelines.shop.reader import Shop
from pipelines.shop.writer import ShopWriter
from retrieval import Query, Scene, Stage
from retrieval.types import local_seconds
from tests.conftest import NUM_PRODUCTS, UNTIL, products, purchases


def test_a_release_holds_every_product_in_the_order_of_the_shop(releases: Path) -> None:
    parts = open_parts(open_release(releases).path)

    assert parts.products.ids == [f"p{i}" for i in range(NUM_PRODUCTS)]
    assert len(parts.joined_vectors) == NUM_PRODUCTS


def test_the_manifest_says_what_was_measured(releases: Path) -> None:
    quality = open_release(releases).manifest.quality

    assert quality["joined_recall_at_100"] == 1.0
    assert quality["picture_recall_at_100"] == 1.0
    assert quality["pictures"] == NUM_PRODUCTS - 1
    assert quality["ranker"] == "cross-attention"
    assert quality["events"] == "purchase"


def test_nothing_in_a_release_has_seen_an_event_at_or_after_its_moment(
    shop: Path, config: Config, releases: Path, tmp_path: Path
) -> None:
    earlier = purchases()
    earlier = earlier.filter(pa.compute.less(earlier["time"], pa.scalar(UNTIL, pa.timestamp("s"))))
    with ShopWriter(tmp_path / "shop", name="Corner shop", source="table") as writer:
        writer.add_products(products())
        writer.add_events(earlier)
        writer.set_users(Shop(shop).users())
        for batch in Shop(shop).picture_batches():
            writer.add_pictures(pa.Table.from_batches([batch]))

    build(tmp_path / "shop", tmp_path / "releases", config, UNTIL, silent)

    seen = open_release(releases).manifest.files
    other = open_release(tmp_path / "releases").manifest.files
    same = {name for name in seen if not name.startswith("lexical/")}  # tantivy names at random
    assert {n for n in same if seen[n] != other.get(n)} == set()
    log = open_parts(open_release(releases).path).behaviour.purchases.entries
    assert log.seconds.max() < local_seconds(UNTIL)


def test_prices_come_from_receipts_before_the_moment_where_the_catalogue_has_none(
    shop: Path, releases: Path
) -> None:
    prices = open_parts(open_release(releases).path).products.column("price")

    assert prices[4] == 5.0
    assert prices[5] == 2.5
    assert prices_paid(Shop(shop), datetime(2020, 1, 1)) == {}


def test_joined_vectors_are_unit_vectors(releases: Path) -> None:
    vectors = map_array(open_release(releases).path / "vectors/joined.npy")

    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_shop_of_products_alone_is_searched_and_recommended_from(
    quick: Config, tmp_path: Path
) -> None:
    with ShopWriter(tmp_path / "shop", name="Bare", source="table") as writer:
        writer.add_products(products())

    build(tmp_path / "shop", tmp_path / "releases", quick, None, silent)

    engine = Engine.open(tmp_path / "releases")
    assert engine.answer(Query(text="oat milk", deadline_ms=60_000)).products
    assert engine.answer(Query(user="u1", deadline_ms=60_000)).stage is Stage.RETRIEVAL


def test_a_shop_with_few_events_has_no_ranker_and_says_how_many_it_needs(
    config: Config, tmp_path: Path
) -> None:
    with ShopWriter(tmp_path / "shop", name="New", source="table") as writer:
        writer.add_products(products())
        writer.add_events(purchases().slice(0, 30))

    build(tmp_path / "shop", tmp_path / "releases", config, None, silent)

    said = open_release(tmp_path / "releases").manifest.quality["ranker"]
    assert said.endswith("requests to learn from, 20 are needed")


def test_a_release_carries_the_networks_that_made_its_vectors(
    shop: Path, quick: Config, tmp_path: Path
) -> None:
    text, image = (
        msgspec.structs.replace(part, runtime="openvino")
        for part in (quick.encoders.text, quick.encoders.image)
    )
    compiled = msgspec.structs.replace(
        quick, encoders=msgspec.structs.replace(quick.encoders, text=text, image=image)
    )
    build(shop, tmp_path, compiled, UNTIL, silent)

    first = open_release(tmp_path)
    album = open_album(first.path)
    row = int(np.flatnonzero(album.picture_of == 0)[0])
    [picture] = album.pictures.column("image")[:1]
    found = Engine.open(tmp_path).answer(Query(image=picture, deadline_ms=60_000))
    build(shop, tmp_path, compiled, UNTIL, silent)

    for kind, folder in (("text", "text_encoder"), ("image", "image_encoder/compiled")):
        assert first.manifest.quality[f"{kind}_runtime"]["runtime"].startswith("openvino")
        assert {f"{folder}/network.xml", f"{folder}/runtime.json"} <= set(first.manifest.files)
    assert found.products[0].product.id == f"p{row}"
    assert open_release(tmp_path).manifest.fingerprints == first.manifest.fingerprints


def test_an_empty_shop_is_refused_and_nothing_is_published(quick: Config, tmp_path: Path) -> None:
    with ShopWriter(tmp_path / "shop", name="Empty", source="table"):
        pass

    with pytest.raises(ShopError, match="holds no products; import some first"):
        build(tmp_path / "shop", tmp_path / "releases", quick, None, silent)

    assert names(tmp_path / "releases") == []


def coarse(quick: Config) -> Config:
    """An index that finds far too little."""
    return msgspec.structs.replace(
        quick, index=msgspec.structs.replace(quick.index, factory="PQ4x4", recall_k=5)
    )


def test_a_draft_below_its_recall_target_stays_dark_with_its_figures(
    shop: Path, quick: Config, live: Path
) -> None:
    served = current(live)

    with pytest.raises(UnfitDraft, match=r"recall@5, joined is 0\.\d+, below the limit 0\.95") as e:
        build(shop, live, coarse(quick), UNTIL, silent)

    dark = open_release(live, e.value.name)
    assert current(live) == served
    assert dark.dark
    assert dark.manifest.gate == e.value.verdict
    assert dark.manifest.gate.against == served
    assert "recall@5, joined" in {check.name for check in dark.manifest.gate.failed}


def test_a_draft_that_fails_is_published_by_force_and_says_what_failed(
    shop: Path, quick: Config, tmp_path: Path
) -> None:
    name = build(shop, tmp_path, coarse(quick), UNTIL, silent, force=True)

    gate = open_release(tmp_path).manifest.gate
    assert current(tmp_path) == name
    assert gate is not None
    assert gate.forced
    assert "recall@5, joined" in {check.name for check in gate.failed}


def test_a_shop_that_lost_a_fifth_of_its_products_is_not_served(
    shop: Path, quick: Config, live: Path, tmp_path: Path
) -> None:
    with ShopWriter(tmp_path / "shop", name="Corner shop", source="table") as writer:
        writer.add_products(products().slice(0, NUM_PRODUCTS * 4 // 5))
        writer.add_events(purchases())

    with pytest.raises(UnfitDraft, match=r"live products gone is 0\.2083\d*, above the limit 0\.1"):
        build(tmp_path / "shop", live, quick, UNTIL, silent)


def test_a_shop_whose_titles_were_lost_is_not_served(
    shop: Path, quick: Config, live: Path, tmp_path: Path
) -> None:
    named = products().drop_columns(["title", "brand", "categories"])
    blank = named.append_column("title", pa.array(["Article"] * NUM_PRODUCTS))
    with ShopWriter(tmp_path / "shop", name="Corner shop", source="table") as writer:
        writer.add_products(blank)
        writer.add_events(purchases())

    with pytest.raises(UnfitDraft) as e:
        build(tmp_path / "shop", live, quick, UNTIL, silent)

    assert "nDCG@20, searches" in {check.name for check in e.value.verdict.failed}


def test_drafts_that_fail_do_not_fill_the_disk(shop: Path, quick: Config, live: Path) -> None:
    few = msgspec.structs.replace(quick, gate=msgspec.structs.replace(quick.gate, kept_dark=1))
    failed = []

    for _ in range(2):
        with pytest.raises(UnfitDraft) as e:
            build(shop, live, coarse(few), UNTIL, silent)
        failed.append(e.value.name)

    assert names(live) == [failed[1], current(live)]


def test_a_damaged_live_release_does_not_keep_a_whole_one_from_being_built(
    shop: Path, quick: Config, live: Path
) -> None:
    (open_release(live).path / "products.arrow").write_bytes(b"broken")

    build(shop, live, quick, UNTIL, silent)

    gate = open_release(live).manifest.gate
    assert gate is not None
    assert "is damaged: products.arrow" in gate.note


def test_a_live_release_of_another_version_does_not_keep_one_from_being_built(
    shop: Path, quick: Config, live: Path
) -> None:
    folder = open_release(live).path
    manifest = msgspec.json.decode((folder / MANIFEST).read_bytes())
    manifest["config"]["serve"]["of_another_version"] = 1
    content = msgspec.json.encode(manifest)
    (folder / MANIFEST).write_bytes(content)
    (folder / SEAL).write_text(hashlib.sha256(content).hexdigest())

    build(shop, live, quick, UNTIL, silent)

    gate = open_release(live).manifest.gate
    assert gate is not None
    assert "was built with a configuration that this version does not know" in gate.note


def test_a_release_is_only_opened_with_the_encoders_that_made_it(
    shop: Path, quick: Config, live: Path
) -> None:
    release = open_release(live)
    other = load(None, ["encoders.text.max_tokens=16"])

    with pytest.raises(ReleaseError, match="were made by the text encoder"):
        Engine(release, other)


def test_a_second_build_encodes_nothing(
    shop: Path, quick: Config, live: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted((p.name, p.stat().st_size) for p in (live / EMBEDDINGS).rglob("*"))

    build(shop, live, quick, UNTIL, silent)

    after = sorted((p.name, p.stat().st_size) for p in (live / EMBEDDINGS).rglob("*"))
    assert before == after
    assert len(names(live)) == 2


BUILD = """
import sys
from pathlib import Path
from pipelines.building.build import build
from pipelines.config.loading import load
from pipelines.progress import silent
from tests.conftest import UNTIL
build(Path(sys.argv[1]), Path(sys.argv[2]), load(None, sys.argv[3:]), UNTIL, silent)
"""


def files_of_drafts(releases: Path) -> int:
    """Count files and folders; `os.walk` does not mind that a build clears an old draft away."""
    walks = (os.walk(draft) for draft in releases.glob(".draft-*"))
    return sum(len(folders) + len(files) for walk in walks for _, folders, files in walk)


@pytest.mark.slow
def test_a_build_killed_at_any_moment_leaves_the_served_release_whole(
    shop: Path, quick: Config, clip_folder: Path, live: Path
) -> None:
    served = current(live)
    settings = [
        f"encoders.image.model={clip_folder}",
        "encoders.text.runtime=torch",
        "encoders.image.runtime=torch",
        "ranking.train=false",
    ]
    command = [sys.executable, "-c", BUILD, str(shop), str(live), *settings]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    killed = 0
    for files in (1, 6, 12, 18):  # die when the draft holds so many
        child = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        while child.poll() is None:
            if files_of_drafts(live) >= files:
                child.send_signal(signal.SIGKILL)
                break
            time.sleep(0.005)
        killed += child.wait() == -signal.SIGKILL

        assert current(live) == served
        answered = Engine.open(live).answer(
            Query(user="u1", scene=Scene(at=UNTIL), deadline_ms=60_000)
        )
        assert answered.products

    assert killed >= 3
    build(shop, live, quick, UNTIL, silent)
    assert not list(live.glob(".draft-*"))
    assert len(names(live)) == 2
