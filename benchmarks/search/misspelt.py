"""What misspelt searches find, with and without spelling correction.

    python -m benchmarks misspelt --data FOLDER

FOLDER holds esci_us/ as for the benchmark esci. In each query one letter of one word is changed,
dropped, added or exchanged with its neighbour (words of 4 letters and more, drawn by --seed, so
often as --draws says), and the whole catalogue is searched by words alone. Products that are not
judged count as wrong. Clean queries are asked as well: a word that the catalogue lacks is read as
another there, too. The last line is the time of the lenient index over that of the strict one.
"""

import argparse
import string
import tempfile
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter

import numpy as np
from pyarrow import parquet

from benchmarks.machine import run_benchmark
from benchmarks.search.esci import GAINS
from index import LexicalIndex, QueryRelaxation
from index.words.vocabulary import ONE_EDIT_FROM
from pipelines.importers.mapping import load_mapping
from pipelines.importers.table import import_table
from pipelines.metrics.intervals import mean_interval, randomisation_test
from pipelines.metrics.ranked_lists import ndcg_of_list
from pipelines.progress import silent
from pipelines.shop.reader import Shop
from pipelines.shop.searched_text import LEXICAL_FIELDS, searched_text

HERE = Path(__file__).parents[2]
DEPTH, CUT = 100, 10
LETTERS = np.array(list(string.ascii_lowercase))

Judged = dict[str, dict[str, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measure(asked.data / "esci_us", Path(scratch), asked.draws, asked.seed)


def measure(data: Path, scratch: Path, draws: int, seed: int) -> None:
    mapping = load_mapping(HERE / "configs/mappings/esci.yaml")
    import_table(data / "products.parquet", scratch / "shop", mapping, silent)
    records = [r for b in Shop(scratch / "shop").product_batches() for r in b.to_pylist()]
    documents = [searched_text(r, LEXICAL_FIELDS) for r in records]
    ids = [r["id"] for r in records]
    strict, lenient = (
        LexicalIndex.build(
            scratch / name, LEXICAL_FIELDS, documents, "english", QueryRelaxation(corrects=corrects)
        )
        for name, corrects in (("strict", False), ("lenient", True))
    )
    judged = read_judged(data / "judgments.parquet")
    misspelt = {query: drawn(query, draws, seed + n) for n, query in enumerate(sorted(judged))}
    print(f"{len(judged)} queries, {len(ids):,} products, {draws} draws, seed {seed}")
    clean = {query: [query] for query in sorted(judged)}
    for name, texts in (("clean", clean), ("misspelt", misspelt)):
        values = [np.array(worths(index, texts, judged, ids)) for index in (strict, lenient)]
        tell(name, *values)
        changed = sum(asks(strict, t, ids) != asks(lenient, t, ids) for t in said(texts))
        print(f"  {changed:,} of {len(said(texts)):,} answers differ")
    print(f"read as the word that was meant: {recovered(lenient, misspelt):.3f}")
    tell_times(strict, lenient, clean, misspelt)


def read_judged(path: Path) -> Judged:
    judged: Judged = {}
    for row in parquet.read_table(path).to_pylist():
        judged.setdefault(row["query"], {})[row["asin"]] = GAINS[row["esci_label"]]
    return judged


def drawn(query: str, draws: int, seed: int) -> list[str]:
    """Return the query so many times with one letter wrong; as it is where no word is long."""
    random = np.random.default_rng(seed)
    words = query.split()
    long = [place for place, word in enumerate(words) if fits(word)]
    found = []
    for _ in range(draws if long else 0):
        place = int(random.choice(long))
        wrong = edited(words[place], random)
        found.append(" ".join([*words[:place], wrong, *words[place + 1 :]]))
    return found or [query]


def fits(word: str) -> bool:
    return len(word) >= ONE_EDIT_FROM and word.isalpha() and word.isascii()


def edited(word: str, random: np.random.Generator) -> str:
    place, letter = int(random.integers(len(word) - 1)), str(random.choice(LETTERS))
    ways = (
        word[:place] + letter + word[place + 1 :],
        word[:place] + word[place + 1 :],
        word[:place] + letter + word[place:],
        word[:place] + word[place + 1] + word[place] + word[place + 2 :],
    )
    return ways[int(random.integers(len(ways)))]


def worths(
    index: LexicalIndex, texts: dict[str, list[str]], judged: Judged, ids: list[str]
) -> list[float]:
    """Return nDCG@10 of each query, the mean over its draws."""
    return [
        float(np.mean([ndcg_of_list(asks(index, text, ids), judged[query], CUT) for text in drawn]))
        for query, drawn in texts.items()
    ]


def asks(index: LexicalIndex, text: str, ids: list[str]) -> list[str]:
    return [ids[row] for row in index.search(text, DEPTH).rows]


def said(texts: dict[str, list[str]]) -> list[str]:
    return [text for drawn in texts.values() for text in drawn]


def tell(name: str, strict: np.ndarray, lenient: np.ndarray) -> None:
    for way, values in (("strict", strict), ("lenient", lenient)):
        mean, low, high = mean_interval(values[:, None])[0]
        print(f"{name:9} {way:8} nDCG@10 {mean:.4f}  ({low:.4f} to {high:.4f})")
    gaps = (lenient - strict)[:, None]
    mean, low, high = mean_interval(gaps)[0]
    p = float(randomisation_test(gaps)[0])
    print(f"{name:9} lenient against strict: {mean:+.4f} ({low:+.4f} to {high:+.4f}), p {p:.4f}")


def recovered(index: LexicalIndex, misspelt: dict[str, list[str]]) -> float:
    """Return the share of the corrected words that are words of the query."""
    pairs = [
        (query.lower().split(), rewrite.read_as[0])
        for query, drawn in misspelt.items()
        for text in drawn
        for rewrite in index.read(text).rewrites
        if rewrite.why == "misspelt"
    ]
    return float(np.mean([word in words for words, word in pairs]))


def tell_times(
    strict: LexicalIndex,
    lenient: LexicalIndex,
    clean: dict[str, list[str]],
    misspelt: dict[str, list[str]],
) -> None:
    for name, texts in (("clean", said(clean)), ("misspelt", said(misspelt))):
        rounds = [(seconds(lenient, texts), seconds(strict, texts)) for _ in range(3)]
        ratio = float(np.median([one / other for one, other in rounds]))
        print(f"time of the lenient index over the strict one, {name}: {ratio:.2f}")


def seconds(index: LexicalIndex, texts: Iterable[str]) -> float:
    """Return what it takes to search for each text, none of them remembered."""
    index.read.cache_clear()
    start = perf_counter()
    for text in texts:
        index.search(text, DEPTH)
    return perf_counter() - start


if __name__ == "__main__":
    run_benchmark(main)
