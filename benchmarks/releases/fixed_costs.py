"""The fixed costs of a build and of the first answers, in processor seconds.

A made-up catalogue of 7,000 products without pictures and without events is imported with
`vetrina import table` and built three times through the command line: in a cache folder that has
never seen the model ("first build"), into other releases on the same machine, where the choice of
a runtime is remembered ("known machine"), and again with nothing changed ("unchanged"). Then the
first answers are timed: one `vetrina search`, and one `vetrina run` of 75 requests. Processor
seconds (user and system, of the process and its children) hardly depend on what else runs on the
machine; the wall time beside them does.

`--folder` keeps shop, releases and caches for another look; by default they are removed.
"""

import argparse
import csv
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

import msgspec
import numpy as np

from benchmarks.machine import run_benchmark

PRODUCTS, REQUESTS = 7_000, 75
BRANDS = ("Aldora", "Brisk", "Castello", "Danby", "Elmwood", "Fjord", "Garda", "Halden", "Juno")
KINDS = {
    "Kitchen": ("frying pan", "salad bowl", "bread knife", "coffee grinder", "tea kettle"),
    "Garden": ("watering can", "pruning shears", "garden hose", "flower pot", "bird feeder"),
    "Home": ("table lamp", "wool blanket", "wall clock", "floor cushion", "picture frame"),
    "Food": ("rye bread", "green olives", "honey mustard", "apple juice", "dark chocolate"),
}
WAYS = ("small", "large", "round", "square", "light", "heavy", "folding", "classic", "mini")
MADE_OF = ("steel", "oak", "bamboo", "cotton", "linen", "glass", "ceramic", "copper", "leather")
COLOURS = ("red", "blue", "green", "black", "white", "grey", "yellow", "cream", "navy", "amber")
MAPPING = """name: Made up
columns: {id: id, title: title, brand: brand, categories: category, price: price}
currency: EUR
"""


class Cost(NamedTuple):
    """What a command took."""

    name: str
    processor_seconds: float
    wall_seconds: float


def write_catalogue(folder: Path, count: int) -> None:
    """Write a table of products with titles of four to eight words, and its mapping."""
    random = np.random.default_rng(7)
    with (folder / "products.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "title", "brand", "category", "price"))
        for number in range(count):
            brand, category = str(random.choice(BRANDS)), str(random.choice(list(KINDS)))
            words = [random.choice(WAYS), random.choice(MADE_OF), random.choice(KINDS[category])]
            more = [f"in {random.choice(COLOURS)}", f"{random.integers(1, 90)} cm"]
            title = " ".join([brand, *words, *more[: random.integers(0, 3)]])
            price = f"{random.gamma(2, 9) + 1:.2f}"
            writer.writerow((f"p{number}", title, brand, category, price))
    (folder / "mapping.yaml").write_text(MAPPING)


def write_requests(folder: Path) -> None:
    """Write searches of two words, one JSON a line."""
    kinds = [kind for some in KINDS.values() for kind in some]
    texts = [f"{COLOURS[i % len(COLOURS)]} {kinds[i % len(kinds)]}" for i in range(REQUESTS)]
    lines = [msgspec.json.encode({"id": str(i), "text": text}) for i, text in enumerate(texts)]
    (folder / "requests.jsonl").write_bytes(b"\n".join(lines) + b"\n")


def measured(name: str, verb: Sequence[str], folder: Path) -> Cost:
    """Run a verb of the command line in a folder and return what it took."""
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli.main", *verb],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    wall, after = perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"vetrina {' '.join(verb)} failed:\n{done.stderr}")
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(name, spent, wall)


def costs(folder: Path, products: int) -> list[Cost]:
    """Return what each verb took, in the order of the table."""
    write_catalogue(folder, products)
    write_requests(folder)
    imported = ["import", "table", "products.csv", "--mapping", "mapping.yaml", "--shop", "shop"]
    build = ["build", "--shop", "shop", "--releases"]
    asked = ["--releases", "other"]
    return [
        measured("--help", ["--help"], folder),
        measured("import table", imported, folder),
        measured("first build", [*build, "releases"], folder),
        measured("build, known machine", [*build, "other"], folder),
        measured("build, unchanged", [*build, "other"], folder),
        measured("search, once", ["search", "green tea kettle", *asked], folder),
        measured("search, again", ["search", "red table lamp", *asked], folder),
        measured(
            f"run, {REQUESTS} requests", ["run", "requests.jsonl", *asked, "--out", "run"], folder
        ),
    ]


def main() -> None:
    """Print a table of processor seconds and wall time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=PRODUCTS)
    parser.add_argument("--folder", type=Path, help="An empty folder, kept afterwards.")
    options = parser.parse_args()
    with TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        print(f"{options.products:,} products")
        print(f"{'':<24}{'processor s':>12}{'wall s':>9}")
        for cost in costs(folder, options.products):
            print(f"{cost.name:<24}{cost.processor_seconds:>12.1f}{cost.wall_seconds:>9.1f}")


if __name__ == "__main__":
    run_benchmark(main)
