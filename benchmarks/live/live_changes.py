"""Rates and latencies of product changes on a release, and of searches beside them.

    python -m benchmarks live_changes --releases releases

In one process, without HTTP: products a second in bulk, of which some have new words; one product
at a time, 200 a second from several clients; and searches with 5 % of the catalogue live beside
clean ones, alternating, with the same queries. The log lies in a temporary folder of --folder, so
that the disk is the one that is meant. Changed titles get words of other titles.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier
from time import perf_counter, sleep
from typing import Any, NamedTuple

import msgspec
import numpy as np

from benchmarks.machine import run_benchmark
from pipelines.engine.engine import Engine
from pipelines.live.changes import Change, Edit, Upsert
from retrieval import Product, Query

BULK = 1_000
Say = Callable[[str], Any]


class Drawn(NamedTuple):
    """Products of a release, drawn by a seed, and titles of others."""

    products: list[Product]
    titles: list[str]


def draw(engine: Engine, count: int, random: np.random.Generator) -> Drawn:
    """Draw so many products, each once, and as many titles."""
    columns = engine.probe.parts.products
    rows = random.choice(columns.size, min(count, columns.size), replace=False)
    others = random.choice(columns.size, len(rows))
    products = [msgspec.convert(one, Product) for one in columns.records(rows)]
    return Drawn(products, [str(one["title"]) for one in columns.records(others)])


def rewritten(drawn: Drawn, new_words: float, number: int = 0) -> list[Change]:
    """Return an upsert of each: a share with another title, all with another price."""
    fresh = int(new_words * len(drawn.products))
    return [
        Upsert(
            product=msgspec.structs.replace(
                product,
                price=float(place % 50) + 0.5 + number,
                title=f"{title} {place} {number}" if place < fresh else product.title,
            )
        )
        for place, (product, title) in enumerate(zip(drawn.products, drawn.titles, strict=True))
    ]


def in_bulk(engine: Engine, changes: Sequence[Change]) -> float:
    """Return changes a second, a bulk after the other."""
    begin = perf_counter()
    for start in range(0, len(changes), BULK):
        outcomes = engine.change(changes[start : start + BULK]).result()
        if not all(isinstance(one, int) for one in outcomes):
            raise SystemExit(f"a change was refused: {outcomes[:3]}")
    return len(changes) / (perf_counter() - begin)


def one_by_one(engine: Engine, changes: Sequence[Change], rate: float, clients: int) -> np.ndarray:
    """Return the milliseconds of each change, sent on time at `rate` a second.

    Counted from when a change was due, so a client that is held up counts its wait.
    """
    together = Barrier(clients + 1)
    parts = [range(client, len(changes), clients) for client in range(clients)]

    def send(places: range) -> list[float]:
        together.wait()
        begin = perf_counter()
        times = []
        for place in places:
            due = begin + place / rate
            sleep(max(due - perf_counter(), 0))
            engine.change([changes[place]]).result()
            times.append(1_000 * (perf_counter() - due))
        return times

    with ThreadPoolExecutor(clients) as threads:
        waiting = [threads.submit(send, places) for places in parts]
        together.wait()
        return np.concatenate([one.result() for one in waiting])


def searches(engine: Engine, texts: Sequence[str]) -> np.ndarray:
    """Return the milliseconds of each search, its words not asked before."""
    engine.probe.forget()
    times = []
    for text in texts:
        begin = perf_counter()
        engine.answer(Query(text=text, deadline_ms=60_000))
        times.append(1_000 * (perf_counter() - begin))
    return np.array(times)


def told(times: np.ndarray) -> str:
    """Return the median and the 99th percentile."""
    return f"p50 {np.percentile(times, 50):.1f} ms, p99 {np.percentile(times, 99):.1f} ms"


def measure(releases: Path, folder: Path, options: argparse.Namespace, say: Say) -> None:
    """Take all times, on two engines of one release: one that is changed, one that is not."""
    random = np.random.default_rng(options.seed)
    clean = Engine.open(releases, warm=True)
    live = Engine.open(releases, live=folder, warm=True)
    size = clean.probe.parts.products.size
    say(f"{size:,} products, release {clean.release}")
    drawn = draw(live, options.bulk, random)
    edits: list[Change] = [Edit(id=p.id, price=1.5) for p in drawn.products]
    say(f"edits of prices in bulk: {in_bulk(live, edits):,.0f} a second")
    for share in (0.0, 0.1, 1.0):
        rate = in_bulk(live, rewritten(drawn, share, int(10 * share)))
        say(f"upserts in bulk, {share:.0%} with new words: {rate:,.0f} a second")
    singles = rewritten(draw(live, options.singles, random), 1.0, 99)
    times = one_by_one(live, singles, options.rate, options.clients)
    say(
        f"single upserts with new words, {options.rate:,.0f} a second from {options.clients} "
        f"clients: {told(times)}"
    )
    live.close()
    with TemporaryDirectory(dir=folder) as other:
        live = Engine.open(releases, live=Path(other), warm=True)
        in_bulk(live, rewritten(draw(live, int(0.05 * size), random), 1.0))
        texts = [title.rpartition(" ")[0] for title in draw(live, options.searches, random).titles]
        both: list[tuple[np.ndarray, np.ndarray]] = []
        for start in range(0, len(texts), 50):
            part = texts[start : start + 50]
            both.append((searches(clean, part), searches(live, part)))
        still, moving = (np.concatenate(times) for times in zip(*both, strict=True))
        say(f"searches, clean: {told(still)}")
        say(f"searches, 5 % live with new words: {told(moving)}")
        say(f"ratio of medians {np.median(moving) / np.median(still):.2f}")
        live.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--releases", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--bulk", type=int, default=5_000)
    parser.add_argument("--singles", type=int, default=4_000)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--searches", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with TemporaryDirectory(dir=options.folder) as folder:
        measure(
            options.releases,
            Path(folder),
            options,
            lambda line: (sys.stdout.write(line + "\n"), sys.stdout.flush()),
        )


if __name__ == "__main__":
    run_benchmark(main)
