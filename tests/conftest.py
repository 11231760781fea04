"""A small shop with habits in it, and one release of it that all tests read."""

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from filelock import FileLock
from hypothesis import settings

from pipelines.building.build import build
from pipelines.config.loading import load
from pipelines.config.sections import Config
from pipelines.engine.engine import Engine
from pipelines.importers.journey.packshots.drawing import MEDIA_TYPE
from pipelines.progress import silent
from pipelines.serving.hot_swap import return_free_memory
from pipelines.shop.writer import ShopWriter
from retrieval.encoders.clip.opening import new_clip_model
from retrieval.encoders.image import ClipEncoder

# `make test` tries the same examples each time; VETRINA_EXPLORE=1 looks for new ones.
settings.register_profile("same", derandomize=True)
if not os.environ.get("VETRINA_EXPLORE"):
    settings.load_profile("same")

UNTIL = datetime(2024, 3, 1)
KINDS = ("Rye Bread", "Oat Milk", "Tomato Soup", "Green Tea", "Dark Chocolate", "Apple Juice")
BRANDS = ("North", "South", "East", "West")
NUM_PRODUCTS, NUM_USERS, DAYS = 48, 40, 120
MOST_GROWN = 1_000_000_000  # bytes of a worker
kept = 0  # bytes of this worker after the last collection


def pytest_runtest_logfinish() -> None:
    """Free what closed engines hold where this worker has grown by MOST_GROWN.

    An engine of a server is left out of collections (`pipelines/serving/hot_swap.py`), and hundreds
    of tests open one.
    """
    global kept
    if resident() > kept + MOST_GROWN:
        gc.unfreeze()
        gc.collect()
        return_free_memory()
        kept = resident()


def resident() -> int:
    """Return the bytes of memory of this process; 0 where the system does not say."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if pages.exists() else 0


@pytest.fixture(scope="session", autouse=True)
def runtimes_of_their_own(run_folder: Path) -> Iterator[None]:
    """Keep the choices of runtimes that tests make out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VETRINA_RUNTIMES", str(run_folder / "runtimes"))
        yield


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this run, which all its workers share; each worker's own lies inside it."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """Return the folder that the first worker of this run made, and for which the others wait."""
    done = folder.with_name(f"{folder.name}.done")
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed half way
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def shop(run_folder: Path) -> Path:
    """A folder of 48 products and 40 shoppers; each buys the same few things again and again."""
    return made_once(run_folder / "shop", write_shop)


def write_shop(folder: Path, *, pictures: bool = True) -> Path:
    with ShopWriter(folder, name="Corner shop", source="table", pictures="drawn") as writer:
        writer.add_products(products())
        writer.add_events(purchases())
        writer.set_users(
            pa.table(
                {
                    "id": [f"u{i}" for i in range(NUM_USERS)],
                    "traits": pa.array(
                        [[("age", "old" if i % 2 else "young")] for i in range(NUM_USERS)],
                        pa.map_(pa.string(), pa.string()),
                    ),
                }
            )
        )
        if pictures:
            writer.add_pictures(photographs())
    return folder


def products() -> pa.Table:
    rows = range(NUM_PRODUCTS)
    return pa.table(
        {
            "id": [f"p{i}" for i in rows],
            "title": [f"{BRANDS[i % 4]} {KINDS[i % 6]} {i // 6}" for i in rows],
            "brand": [BRANDS[i % 4] for i in rows],
            "categories": [[f"Food > {KINDS[i % 6]}"] for i in rows],
            "price": [None if i == 5 else 1.0 + i for i in rows],
            "tags": [["unlisted"] if i == 47 else [] for i in rows],
        }
    )


def purchases() -> pa.Table:
    """Each user has four habits, bought every few days, and now and then something else."""
    random = np.random.default_rng(7)
    start = UNTIL - timedelta(days=DAYS)
    rows = []
    for user in range(NUM_USERS):
        habits = random.choice(NUM_PRODUCTS - 8, 4, replace=False)
        for day in range(int(random.integers(0, 6)), DAYS + 20, 6):
            basket = {int(h) for h in habits if random.random() < 0.7}
            basket |= {int(random.integers(0, NUM_PRODUCTS))}
            at = start + timedelta(days=day, hours=int(random.integers(8, 20)))
            rows += [(f"u{user}", f"b{user}-{day}", at, f"p{p}") for p in sorted(basket)]
    users, sessions, times, bought = zip(*rows, strict=True)
    return pa.table(
        {
            "type": ["purchase"] * len(rows),
            "user": users,
            "session": sessions,
            "time": pa.array(times, pa.timestamp("s")),
            "product": bought,
            "value": [2.5] * len(rows),
        }
    )


def photographs() -> pa.Table:
    """A picture for every product but the first; those of one kind look alike."""
    from io import BytesIO

    from PIL import Image

    pictures = []
    for i in range(1, NUM_PRODUCTS):
        page = BytesIO()
        Image.new("RGB", (48, 48), (40 * (i % 6), 255 - 40 * (i % 6), 60 * (i % 4))).save(
            page, "JPEG"
        )
        pictures.append(page.getvalue())
    return pa.table(
        {
            "id": [f"p{i}" for i in range(1, NUM_PRODUCTS)],
            "image": pictures,
            "media_type": [MEDIA_TYPE] * len(pictures),
        }
    )


@pytest.fixture(scope="session")
def clip_folder(run_folder: Path) -> Path:
    """The small open_clip model with weights as they start."""
    return made_once(run_folder / "clip", write_clip)


def write_clip(folder: Path) -> None:
    import torch

    torch.manual_seed(0)
    ClipEncoder(new_clip_model("vetrina-small")).save(folder)


@pytest.fixture(scope="session")
def config(clip_folder: Path) -> Config:
    """Small numbers, so that a build takes seconds."""
    return load(
        None,
        [
            f"encoders.image.model={clip_folder}",
            "encoders.image.runtime=torch",
            "encoders.text.runtime=torch",  # nothing to compile: test_text_runtime.py does that
            "ranking.dim=16",
            "ranking.epochs=2",
            "ranking.windows=4",
            "ranking.min_requests=20",
            "ranking.recent_products=8",
            "ranking.sampled_negatives=8",
            "retrieval.candidates=40",
            "towers.train=true",
            "towers.dim=32",
            "towers.cuts=[16]",
            "towers.width=16",
            "towers.heads=2",
            "towers.interests=2",
            "towers.recent_products=8",
            "towers.batch_size=64",
            "towers.learning_rate=0.005",
            "towers.min_requests=100",
            "gate.queries=20",
            "gate.timed=4",
            "gate.most_latency=1000",  # a busy machine is no matter of these tests
        ],
    )


@pytest.fixture(scope="session")
def releases(shop: Path, config: Config, run_folder: Path) -> Path:
    """A folder with one release of the shop, as of UNTIL. Read it, never write to it."""
    return made_once(
        run_folder / "releases", lambda folder: build(shop, folder, config, UNTIL, silent)
    )


@pytest.fixture(scope="session")
def quick(config: Config) -> Config:
    """No ranker, no towers: a build in a second."""
    return msgspec.structs.replace(
        config,
        ranking=msgspec.structs.replace(config.ranking, train=False),
        towers=msgspec.structs.replace(config.towers, train=False),
    )


@pytest.fixture(scope="session")
def quick_releases(shop: Path, quick: Config, run_folder: Path) -> Path:
    """A folder with one quick release of the shop, as of UNTIL. Read it, never write to it."""
    return made_once(
        run_folder / "quick_releases", lambda folder: build(shop, folder, quick, UNTIL, silent)
    )


@pytest.fixture
def live(quick_releases: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to build into."""
    return shutil.copytree(quick_releases, tmp_path / "live", symlinks=True)


@pytest.fixture(scope="session")
def real_engine(releases: Path) -> Iterator[Engine]:
    """The release, opened."""
    return Engine.open(releases, warm=True)
