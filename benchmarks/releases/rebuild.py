"""Cost of building again, against a first build: nothing changed, and 1 % of the products changed.

    python -m benchmarks rebuild --products 20000

A made-up shop like the demo: titles, brands, categories, drawn pack shots, and shoppers with
habits. Three times `vetrina build` is run as a user runs it, in a process of its own: for an empty
folder of releases, for the same shop, and for one in which 1 % of the products are others (half
have another title, three in ten another price, one in ten is gone, one in ten is new). The clock
is the wall's; seconds of processor are beside it, for a machine that is busy with something else.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from benchmarks.machine import run_benchmark
from pipelines.importers.journey.packshots.drawing import MEDIA_TYPE, Label, colour_of, draw_all
from pipelines.importers.journey.packshots.shapes import CONTAINERS
from pipelines.shop.writer import ShopWriter
from retrieval.encoders.clip.opening import new_clip_model
from retrieval.encoders.image import ClipEncoder

UNTIL = datetime(2024, 3, 1)
DAYS = 180
CHANGED = 0.01
KINDS = ("Bread", "Milk", "Soup", "Tea", "Juice", "Cheese", "Pasta", "Rice", "Soap", "Yoghurt")
TASTES = ("Rye", "Oat", "Tomato", "Green", "Apple", "Mature", "Fresh", "Brown", "Mild", "Plain")
MAKERS = tuple(
    f"{a}{b}" for a in ("North", "South", "East", "West") for b in ("field", "mill", "by")
)
MOST = {"unchanged": 0.10, "1 % changed": 0.15}  # of a full build


class Cost(NamedTuple):
    wall: float
    processor: float


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        products = make_products(options.products)
        events = make_events(options.products, options.users)
        torch.manual_seed(0)
        ClipEncoder(new_clip_model("vetrina-small")).save(folder / "clip")
        write_shop(folder / "shop", products, events)
        costs = {"full": build(folder, options.set)}
        costs["unchanged"] = build(folder, options.set)
        write_shop(folder / "shop", changed(products), events)
        costs["1 % changed"] = build(folder, options.set)
    print(f"{options.products:,} products, {len(events):,} purchases, {os.cpu_count()} processors")
    for name, cost in costs.items():
        wall, processor = (a / b for a, b in zip(cost, costs["full"], strict=True))
        limit = f"  (asked: below {MOST[name]:.0%})" if name in MOST else ""
        print(
            f"{name:<12} {cost.wall:8.1f} s {wall:6.1%}   of processor {cost.processor:8.1f} s "
            f"{processor:6.1%}{limit}"
        )


def make_products(count: int) -> list[dict[str, Any]]:
    return [product(number) for number in range(count)]


def product(number: int, *, again: str = "") -> dict[str, Any]:
    random = np.random.default_rng(number)
    kind, taste, maker = (str(random.choice(names)) for names in (KINDS, TASTES, MAKERS))
    title = f"{maker} {taste} {kind}{again}, {int(random.integers(1, 40)) * 50} g, no. {number}"
    return {
        "id": f"p{number}",
        "title": title,
        "brand": maker,
        "categories": [f"Food > {kind} > {taste}"],
        "price": round(float(random.gamma(2.0, 2.0)) + 0.5, 2),
    }


def changed(products: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the catalogue of the next day."""
    random = np.random.default_rng(1)
    count = max(round(CHANGED * len(products)), 10)
    drawn = random.choice(len(products), count, replace=False).tolist()
    titles, prices, gone = np.split(drawn, [count // 2, count - 2 * (count // 10)])
    for number in titles:
        products[number] = product(number, again=" Deluxe")
    for number in prices:
        products[number] = {**products[number], "price": products[number]["price"] + 1}
    left = set(gone[: len(gone) // 2].tolist())
    new = [product(len(products) + i) for i in range(len(gone) - len(left))]
    return [one for number, one in enumerate(products) if number not in left] + new


def make_events(num_products: int, num_users: int) -> pa.Table:
    """Return the purchases of shoppers who buy the same few things again and again."""
    random = np.random.default_rng(2)
    chance = 1 / np.arange(10, num_products + 10)
    chance = random.permutation(chance / chance.sum())
    rows = []
    for user in range(num_users):
        habits = random.choice(num_products, 12, replace=False, p=chance)
        for day in range(int(random.integers(0, 10)), DAYS, 10):
            at = UNTIL - timedelta(days=DAYS - day, hours=-int(random.integers(8, 20)))
            basket = {*habits[random.random(12) < 0.4], *random.choice(num_products, 3, p=chance)}
            rows += [(f"u{user}", f"b{user}-{day}", at, f"p{one}") for one in sorted(basket)]
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


def write_shop(folder: Path, products: list[dict[str, Any]], events: pa.Table) -> None:
    drawn = draw_all([label(one) for one in products])
    shots = [
        {"id": one["id"], "image": image, "media_type": MEDIA_TYPE}
        for one, image in zip(products, drawn, strict=True)
    ]
    with ShopWriter(folder, name="Made up", source="benchmark", pictures="drawn") as writer:
        writer.add_products(pa.Table.from_pylist(products))
        writer.add_pictures(pa.Table.from_pylist(shots))
        writer.add_events(events)


def label(one: dict[str, Any]) -> Label:
    containers = sorted(CONTAINERS)
    return Label(
        containers[len(one["brand"]) % len(containers)], colour_of(one["brand"]), one["title"]
    )


def build(folder: Path, settings: list[str]) -> Cost:
    """Run `vetrina build` and return what it took, its children included."""
    told = [f"encoders.image.model={folder / 'clip'}", *settings]
    words = ["build", "--shop", str(folder / "shop"), "--releases", str(folder / "releases")]
    words += [part for one in told for part in ("--set", one)]
    command = [sys.executable, "-c", "from pipelines.cli.main import main; main()", *words]
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    start = perf_counter()
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the build ended with {os.waitstatus_to_exitcode(status)}")
    return Cost(perf_counter() - start, used.ru_utime + used.ru_stime)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--products", type=int, default=20_000)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    return parser.parse_args()


if __name__ == "__main__":
    run_benchmark(main)
