"""Fits every text head on judged searches, and compares all with retrieval on the same lists.

    python -m benchmarks text_ranking --data FOLDER

FOLDER holds home_depot/labels.parquet and crowdflower/labels.parquet, which are learnt from but
for a tenth of their queries, and esci_us/products.parquet and esci_us/judgments.parquet, which
are only measured on: gains E 1, S 0.1, C 0.01, I 0. No setting was chosen by esci_us, nor by the
held-out tenths; what was chosen, was chosen by learning on one of the other two sets and ranking
the other.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import torch

from benchmarks.machine import run_benchmark
from benchmarks.search.text_relevance import ESCI, GAINS, LEARNT, told
from pipelines.config.loading import load
from pipelines.metrics.ranked_lists import ndcg_of_list
from pipelines.training.text.pairs import K, read_judgments, split
from ranking.features.catalogue_words import ProductText
from ranking.text_heads import Head, JudgedList, LambdaMart, NetworkRecipe, Recipe, read_list
from ranking.text_heads.match_features import MATCH_NAMES, Rarity, TextHeadReader
from retrieval.encoders.text import open_text_encoder
from retrieval.fusion.fusion import reciprocal_rank_fusion

MAX_TOKENS = 64
HELD_OUT = 0.1
ROW = "{:12} {:>4}  {:18} {:24} {}"

Gains = dict[ProductText, float]
Shelves = Mapping[str, Gains]  # query -> product -> gain
Score = Callable[[JudgedList], np.ndarray]


class Lists(NamedTuple):
    """Judged lists, read, and the titles that break ties."""

    judged: list[JudgedList]
    titles: list[list[str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    asked = parser.parse_args()
    for name in (*LEARNT, ESCI):
        if not (asked.data / name).is_dir():
            sys.exit(f"{asked.data / name} is missing; --data is the folder that holds {name}/")
    config = load(None, asked.overrides)
    torch.set_num_threads(config.threads)
    encoder = open_text_encoder(
        config.encoders.text.model, max_tokens=MAX_TOKENS, threads=config.threads
    )
    learnt, measured = read(asked.data, TextHeadReader(encoder.read), config.seed)
    heads = fit(recipes(config.seed, config.threads), learnt)
    show(measured, retrievals(config.retrieval.rrf_k), heads)


def recipes(seed: int, threads: int) -> dict[str, Recipe]:
    return {
        "linear": NetworkRecipe(seed=seed),
        "LambdaMART": LambdaMart(seed=seed, threads=threads),
        "text CNN": NetworkRecipe("cnn", seed=seed),
        "text LSTM": NetworkRecipe("lstm", seed=seed),
        "cross-attention": NetworkRecipe("cross_attention", seed=seed),
    }


def retrievals(rrf_k: float) -> dict[str, Score]:
    """Return what orders the candidates without having learnt from any judgment."""
    column = MATCH_NAMES.index

    def by(name: str) -> Score:
        return lambda judged: judged.asked.features[:, column(name)]

    def hybrid(judged: JudgedList) -> np.ndarray:
        parts = {
            name: positions(judged.asked.features[:, column(name)])
            for name in ("cosine_text", "bm25_text")
        }
        return reciprocal_rank_fusion(parts, rrf_k)

    return {
        "BM25, title": by("bm25_title"),
        "BM25, all text": by("bm25_text"),
        "vectors, title": by("cosine_title"),
        "vectors, all text": by("cosine_text"),
        "hybrid, all text": hybrid,
    }


def positions(scores: np.ndarray) -> np.ndarray:
    """Return the position of each candidate from 1; equal scores share the better one."""
    return (1 + (scores[None, :] > scores[:, None]).sum(axis=1)).astype(np.int32)


def read(
    data: Path, reader: TextHeadReader, seed: int
) -> tuple[list[JudgedList], dict[str, Lists]]:
    """Return what is learnt from, and the lists that heads are measured on."""
    start = perf_counter()
    sources = {"home_depot": home_depot, "crowdflower": crowdflower}
    learnt: list[JudgedList] = []
    measured: dict[str, Lists] = {ESCI: lists_of(esci(data / ESCI), reader)}
    for name in LEARNT:
        shelves = sources[name](data / name / "labels.parquet")
        lists = dict(zip(shelves, lists_of(shelves, reader).judged, strict=True))
        parts = split(shelves, HELD_OUT, 0.0, seed)
        learnt += [lists[query] for query in parts.training]
        measured[name] = Lists(
            [lists[query] for query in parts.test],
            [[product.title for product in shelves[query]] for query in parts.test],
        )
    print(f"read {len(learnt):,} lists to learn from, in {perf_counter() - start:,.0f} s")
    return learnt, measured


def home_depot(path: Path) -> Shelves:
    return {
        query: {ProductText(title): gain for title, gain in titles.items()}
        for query, titles in read_judgments(path).lists.items()
    }


def crowdflower(path: Path) -> Shelves:
    """Return relevance 1 to 4 as 0 to 1; a product that is judged twice gets the mean."""
    found: dict[str, dict[ProductText, list[float]]] = {}
    for row in pq.read_table(path).to_pylist():
        product = ProductText(row["product_title"].strip(), _clean(row["product_description"]))
        judged = found.setdefault(row["query"].strip(), {})
        judged.setdefault(product, []).append((row["median_relevance"] - 1) / 3)
    return {
        query: {product: float(np.mean(gains)) for product, gains in judged.items()}
        for query, judged in found.items()
    }


def esci(folder: Path) -> Shelves:
    """Return the gains of the judged products; what is judged twice gets the better."""
    products = {
        row["asin"]: ProductText(
            title=_clean(row["title"]),
            description=f"{row['bullet_points'] or ''}\n{row['description'] or ''}".strip(),
            brand=_clean(row["brand"]),
        )
        for row in pq.read_table(folder / "products.parquet").to_pylist()
    }
    found: dict[str, Gains] = {}
    for row in pq.read_table(folder / "judgments.parquet").to_pylist():
        judged, product = found.setdefault(row["query"].strip(), {}), products[row["asin"]]
        judged[product] = max(GAINS[row["esci_label"]], judged.get(product, 0.0))
    return found


def _clean(text: str | None) -> str:
    return (text or "").strip()


def lists_of(shelves: Shelves, reader: TextHeadReader) -> Lists:
    """Read the queries and products of a shop; a word's rarity is counted in that shop."""
    products = list(dict.fromkeys(product for judged in shelves.values() for product in judged))
    found = dict(zip(products, reader.products(products), strict=True))
    rarity = Rarity.of(list(found.values()))
    queries = reader.queries(list(shelves))
    return Lists(
        [
            JudgedList(
                read_list(query, [found[product] for product in judged], rarity),
                np.array(list(judged.values()), np.float32),
            )
            for query, judged in zip(queries, shelves.values(), strict=True)
        ],
        [[product.title for product in judged] for judged in shelves.values()],
    )


def fit(recipes: Mapping[str, Recipe], lists: list[JudgedList]) -> dict[str, Head]:
    heads = {}
    for name, recipe in recipes.items():
        start = perf_counter()
        heads[name] = recipe.fit(lists)
        print(f"fitted {name} in {perf_counter() - start:,.0f} s")
    return heads


def show(
    measured: Mapping[str, Lists], alone: Mapping[str, Score], heads: Mapping[str, Head]
) -> None:
    """Print nDCG@10 of every method, and how far it is from the best retrieval on these lists."""
    print(ROW.format("lists", "of", "method", "nDCG@10", "against the best retrieval").rstrip())
    for name, lists in measured.items():
        retrieved = {method: values(score, lists) for method, score in alone.items()}
        best = max(retrieved, key=lambda method: retrieved[method].mean())
        ranked = {
            method: values(lambda judged, head=head: head.scores(judged.asked), lists)
            for method, head in heads.items()
        }
        ranked["mean of the heads"] = values(lambda judged: together(heads, judged), lists)
        for method, found in (retrieved | ranked).items():
            gap = "the best retrieval" if method == best else told(found - retrieved[best], "+")
            print(ROW.format(name, len(found), method, told(found), gap).rstrip())


def together(heads: Mapping[str, Head], judged: JudgedList) -> np.ndarray:
    """Return the mean of the heads, each in its own deviations within the list."""
    scores = np.stack([head.scores(judged.asked) for head in heads.values()]).astype(np.float64)
    spread = np.maximum(scores.std(axis=1, keepdims=True), 1e-6)
    return ((scores - scores.mean(axis=1, keepdims=True)) / spread).mean(axis=0)


def values(score: Score, lists: Lists) -> np.ndarray:
    """Return nDCG@10 of every query as a column; a tie is broken by the title."""
    return np.array(
        [
            _ndcg(score(judged), titles, judged.relevance)
            for judged, titles in zip(lists.judged, lists.titles, strict=True)
        ]
    )[:, None]


def _ndcg(scores: np.ndarray, titles: Iterable[str], relevance: np.ndarray) -> float:
    rows = [str(row) for row in range(len(scores))]
    order = sorted(zip(-scores.astype(np.float64).round(6), titles, rows, strict=True))
    return ndcg_of_list(
        [row for *_, row in order], dict(zip(rows, relevance.tolist(), strict=True)), K
    )


if __name__ == "__main__":
    run_benchmark(main)
