"""How often the words channel finds the one product that a shopper types a search for.

    python -m benchmarks known_items

The catalogues are made here: products in sizes and colours, with codes, and lines of a title and
a search in eight languages. A search succeeds at 1 if the product is first (of several that score
alike, by their share), at 10 if it is among ten. The table has one line a kind of search.
"""

import argparse
import csv
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np

from benchmarks.known_items.catalogue import Catalogue, Product, Search, catalogues
from benchmarks.machine import run_benchmark
from index import LexicalIndex
from pipelines.building.context import BuildContext
from pipelines.building.steps.words import write_lexical
from pipelines.config.loading import load
from pipelines.importers.mapping import Mapping, ProductColumns
from pipelines.importers.table import import_table
from pipelines.progress import silent
from pipelines.release.layout import LEXICAL
from pipelines.shop.reader import Shop
from pipelines.tables import table

DEPTH = 10
MAPPING = Mapping(
    name="known items",
    columns=ProductColumns(id="id", title="title", brand="brand"),
    attributes={"sku": "sku", "ean": "ean", "colour": "colour"},
)
Successes = dict[str, list[tuple[float, float]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--failures", action="store_true", help="print every search that fails")
    options = parser.parse_args()
    successes: Successes = {}
    for catalogue in catalogues(options.seed):
        with tempfile.TemporaryDirectory() as scratch:
            measure(catalogue, Path(scratch), successes, failures=options.failures)
    print(table(("kind of search", "searches", "success@1", "success@10"), lines(successes)))


def measure(catalogue: Catalogue, scratch: Path, successes: Successes, *, failures: bool) -> None:
    """Search one catalogue, and add what succeeded by kind."""
    words, ids = index_of(catalogue, scratch)
    for search in catalogue.searches:
        first, ten = success(words, ids, search)
        successes.setdefault(search.kind, []).append((first, ten))
        if failures and first < 1:
            found = [ids[row] for row in words.search(search.text, 3).rows]
            print(f"{search.kind}: {search.text!r} gives {found}, not {sorted(search.wanted)}")


def index_of(catalogue: Catalogue, folder: Path) -> tuple[LexicalIndex, list[str]]:
    """Import the products as a shop, and write the word index of a build."""
    with (folder / "products.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(Product._fields)
        rows.writerows(catalogue.products)
    import_table(folder / "products.csv", folder / "shop", MAPPING, silent)
    shop = Shop(folder / "shop")
    ids = [record["id"] for batch in shop.product_batches() for record in batch.to_pylist()]
    context = SimpleNamespace(
        shop=shop,
        folder=folder,
        config=load(None, [f"retrieval.language={catalogue.language}"]),
        track=lambda documents, *_: documents,
        products=SimpleNamespace(size=len(ids)),
    )
    write_lexical(cast("BuildContext", context))
    return LexicalIndex.open(folder / LEXICAL), ids


def success(words: LexicalIndex, ids: list[str], search: Search) -> tuple[float, float]:
    """Return whether a wanted product is first, and whether it is among ten."""
    hits = words.search(search.text, DEPTH)
    wanted = np.array([ids[row] in search.wanted for row in hits.rows], bool)
    if not wanted.any():
        return 0.0, 0.0
    return float(wanted[hits.scores == hits.scores[0]].mean()), 1.0


def lines(successes: Successes) -> list[tuple[str, ...]]:
    """Return a line a kind, and one of all searches."""
    everything = [one for of_kind in successes.values() for one in of_kind]
    kinds = {**successes, "all": everything}
    return [
        (kind, str(len(found)), *(f"{mean:.3f}" for mean in np.mean(found, axis=0)))
        for kind, found in kinds.items()
    ]


if __name__ == "__main__":
    run_benchmark(main)
