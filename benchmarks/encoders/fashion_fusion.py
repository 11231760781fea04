"""Ways to fuse a product's title and picture, on fashion whose titles do not name the colour.

    python -m benchmarks fashion_fusion --data FOLDER [--model CLIP]

FOLDER holds `fashion/`, as for fashion_clip.py. Words for colours are taken out of the names, and
every query is a colour and an article type: "Navy Blue Shirts". Right are the products of both.
One product in ten is set aside with its picture; the queries of one pair in five are set aside as
well. A product tower and a query tower are trained on the rest for each fusion, from the same
start, over the same batches, and the set-aside products are ranked for all queries that have two
right ones among them. CLIP is a folder of `vetrina train clip` that was trained without them;
where none is given, one is trained first on the rest, in four minutes on two cores: on titles
without colours, and on kind and colour as a second text of each picture. All of it takes twelve
minutes.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float32, Int64

from benchmarks.encoders.fashion_clip import CHUNK, read
from benchmarks.machine import run_benchmark
from pipelines.config.loading import load
from pipelines.config.sections import Config
from pipelines.metrics.intervals import mean_interval
from pipelines.progress import track
from pipelines.shop.writer import ShopWriter
from pipelines.tables import table
from pipelines.training.clip.train import train_clip
from retrieval.encoders.image import open_image_encoder
from retrieval.encoders.joined_space import join
from retrieval.encoders.text import open_text_encoder
from retrieval.towers.columns import TowerColumns, one_each
from retrieval.towers.model import Spaces, Towers, start
from retrieval.towers.query import QueryBatch
from retrieval.towers.sampling import PastRequests
from retrieval.towers.settings import TowerTrainingSettings
from retrieval.towers.shape import TowerShape
from retrieval.towers.training import train

HELD_OUT = 0.1
QUERIES_APART = 0.2
EPOCHS = 6
K = 10
PICTURE_WEIGHT = 0.5
LEAST_RIGHT = 2
CLIP = (
    "clip.more_fields=[categories, tags]",
    "clip.max_seconds=240",
    "clip.epochs=20",
    "clip.patience=0",
    "clip.augment=true",
)
METHODS = {  # name: fusion, kinds of tokens
    "text alone": ("average", ("title",)),
    "picture alone": ("average", ("picture",)),
    "weighted average": ("average", ("title", "picture")),
    "concatenation": ("concatenation", ("title", "picture")),
    "attention": ("attention", ("title", "picture")),
}


class Fashion(NamedTuple):
    """Products with vectors and the query that each is right for."""

    titles: Float32[np.ndarray, "n t"]
    pictures: Float32[np.ndarray, "n p"]
    query: Int64[np.ndarray, "n"]  # number of its "colour article type"
    texts: Float32[np.ndarray, "q v"]  # of the queries, in the joined space


class Test(NamedTuple):
    """What is ranked, and for which queries."""

    held: Bool[np.ndarray, "n"]
    asked: Int64[np.ndarray, "q"]


class Pairs:
    """Each product asked for by its own colour and kind."""

    def __init__(self, fashion: Fashion, rows: Int64[np.ndarray, "m"]) -> None:
        self._fashion = fashion
        self._rows = rows
        self.size = len(rows)
        self.shares = np.zeros(len(fashion.query), np.float32)
        self.shares[rows] = 1 / len(rows)

    def take(self, numbers: Int64[np.ndarray, "b"], random: np.random.Generator) -> PastRequests:
        """Return these products as queries."""
        drawn = self._rows[numbers]
        asked = self._fashion.query[drawn]
        queries = queries_of(self._fashion, asked)
        right = partial(_right, self._fashion.query, asked)
        return PastRequests(queries, drawn, right, partial(_nothing, len(drawn)))


def _right(
    of_product: Int64[np.ndarray, "n"], asked: Int64[np.ndarray, "b"], rows: Int64[np.ndarray, "c"]
) -> Bool[np.ndarray, "b c"]:
    return of_product[rows] == asked[:, None]


def _nothing(size: int, rows: Int64[np.ndarray, "c"]) -> Bool[np.ndarray, "b c"]:
    return np.zeros((size, len(rows)), bool)


def main() -> None:
    options = _options()
    config = load(None, [*CLIP, *options.set])
    rows = read(options.data / "fashion", more=("baseColour",))
    random = np.random.default_rng(options.seed)
    held = random.random(len(rows)) < HELD_OUT
    titles = without_colours(rows["title"].to_pylist(), rows["baseColour"].to_pylist())
    colours, kinds = (rows[name].to_pylist() for name in ("baseColour", "kind"))
    names = [f"{colour} {kind}" for colour, kind in zip(colours, kinds, strict=True)]
    rows = rows.set_column(rows.schema.get_field_index("title"), "title", pa.array(titles))
    with TemporaryDirectory() as folder:
        model = options.model or trained_clip(rows.filter(~held), Path(folder), config)
        fashion, queries = encoded(rows, names, model, config)
    apart = random.random(len(queries)) < QUERIES_APART
    learnt = np.flatnonzero(~held & ~apart[fashion.query])
    counts = np.bincount(fashion.query[held], minlength=len(queries))
    asked = np.flatnonzero(counts >= LEAST_RIGHT)
    found = {
        name: reached(fashion, learnt, Test(held, asked), fusion, kinds, config.seed)
        for name, (fusion, kinds) in METHODS.items()
    }
    found["untrained, joined"] = ranked(
        fashion.texts[asked] @ joined(fashion)[held].T, fashion.query[held] == asked[:, None]
    )
    show(found, apart[asked], len(learnt), int(held.sum()))


def without_colours(titles: Sequence[str], colours: Sequence[str]) -> list[str]:
    """Return the titles without any word that is part of a colour's name."""
    words = {word.casefold() for colour in set(colours) for word in colour.split()}
    words |= {"grey", "gray", "navy", "multicolor", "coloured", "colored"}
    return [" ".join(w for w in title.split() if w.casefold() not in words) for title in titles]


def trained_clip(kept: pa.Table, folder: Path, config: Config) -> Path:
    """Train a picture model on the products that are not set aside."""
    with ShopWriter(folder / "shop", name="fashion", source="table") as shop:
        for begin in range(0, len(kept), CHUNK):
            part = kept.slice(begin, CHUNK)
            shop.add_products(part.select(["id", "title", "categories", "tags"]))
            kinds = pa.array(["image/jpeg"] * len(part))
            shop.add_pictures(part.select(["id", "image"]).append_column("media_type", kinds))
    model = folder / "model"
    report = train_clip(folder / "shop", model, config.clip, track, threads=config.threads)
    print(report.line())
    return model


def encoded(
    rows: pa.Table, names: list[str], model: Path, config: Config
) -> tuple[Fashion, list[str]]:
    """Return the vectors of titles, pictures and queries."""
    text = open_text_encoder(config.encoders.text.model, threads=config.threads)
    image = open_image_encoder(str(model), threads=config.threads)
    queries, query = np.unique(np.asarray(names), return_inverse=True)
    pictures, failures = image.encode_images(rows["image"].to_pylist())
    if failures:
        raise SystemExit(f"{len(failures)} pictures cannot be read")
    texts = join(text.encode(list(queries)), image.encode_texts(list(queries)), PICTURE_WEIGHT)
    titles = text.encode(rows["title"].to_pylist())
    return Fashion(titles, pictures, query.astype(np.int64), texts), list(queries)


def joined(fashion: Fashion) -> Float32[np.ndarray, "n v"]:
    return join(fashion.titles, fashion.pictures, PICTURE_WEIGHT)


def reached(
    fashion: Fashion,
    learnt: Int64[np.ndarray, "m"],
    test: Test,
    fusion: str,
    kinds: tuple[str, ...],
    seed: int,
) -> Float32[np.ndarray, "q"]:
    """Train one fusion and return nDCG@10 of each query among the set-aside products."""
    size = len(fashion.query)
    vectors = {"title": fashion.titles, "picture": fashion.pictures}
    columns = TowerColumns(
        dense={kind: one_each(vectors[kind]) for kind in kinds},
        codes=np.zeros((size, 1), np.int64),
        own=np.zeros(size, np.int64),
        price=np.full(size, np.nan, np.float32),
        popularity=np.zeros((size, 1), np.float32),
    )
    torch.manual_seed(seed)
    towers = Towers(
        TowerShape(
            widths={kind: vectors[kind].shape[1] for kind in kinds},
            text_dim=fashion.texts.shape[1],
            picture_dim=fashion.pictures.shape[1],
            num_own=0,
            num_popularity=1,
            fusion=fusion,
            interests=1,
        )
    )
    start(towers, Spaces(joined(fashion), fashion.pictures.shape[1], PICTURE_WEIGHT))
    begun = perf_counter()
    settings = TowerTrainingSettings(
        epochs=EPOCHS, drop_own=0.0, dims=(256,), patience=0, seed=seed
    )
    pairs = Pairs(fashion, learnt)
    epoch = iter(range(EPOCHS))
    trained = train(towers, columns, pairs, lambda *_: next(epoch), settings, told(fusion, kinds))
    with torch.no_grad():
        vectors_of, meant = towers.query(queries_of(fashion, test.asked), torch.zeros(1, 256))
    scores = vectors_of[meant].numpy() @ trained.vectors[test.held].T
    print(f"{fusion} of {' and '.join(kinds)}: {perf_counter() - begun:,.0f} s")
    return ranked(scores, fashion.query[test.held] == test.asked[:, None])


def told(fusion: str, kinds: tuple[str, ...]) -> Callable[[Iterator[int], int], Iterator[int]]:
    return lambda steps, count: track(steps, f"{fusion} of {' and '.join(kinds)}", count)


def queries_of(fashion: Fashion, asked: Int64[np.ndarray, "b"]) -> QueryBatch:
    size = len(asked)
    nothing = torch.zeros((size, 0), dtype=torch.int64)
    return QueryBatch(
        text=torch.from_numpy(fashion.texts[asked]),
        picture=torch.zeros(size, fashion.pictures.shape[1]),
        marked=nothing,
        marks=torch.zeros(size, 0),
        recent=nothing,
        recent_facts=torch.zeros(size, 0, 2),
        facts=nothing,
    )


def ranked(
    scores: Float32[np.ndarray, "q h"], right: Bool[np.ndarray, "q h"]
) -> Float32[np.ndarray, "q"]:
    """Return nDCG@10 of each query, ties by order."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :K]
    discounts = 1 / np.log2(np.arange(2, K + 2))
    gains = (np.take_along_axis(right, order, axis=1) * discounts).sum(axis=1)
    ideal = np.array([discounts[: min(int(n), K)].sum() for n in right.sum(axis=1)])
    return (gains / ideal).astype(np.float32)


def show(
    found: dict[str, np.ndarray], apart: Bool[np.ndarray, "q"], learnt: int, held: int
) -> None:
    average, text = found["weighted average"], found["text alone"]
    lines = []
    for name, values in found.items():
        reached_, against = mean_interval(
            np.stack([values, values - average], axis=1).astype(float)
        )
        lines.append(
            (
                name,
                f"{reached_.mean:.4f}",
                f"{reached_.low:.4f} to {reached_.high:.4f}",
                f"{values[apart].mean():.4f}",
                f"{against.mean:+.4f} ({against.low:+.4f} to {against.high:+.4f})",
                f"{values.mean() / text.mean() - 1:+.0%}",
            )
        )
    headers = ("fusion", "nDCG@10", "95 %", "pairs never trained on", "against the average",
               "against text")  # fmt: skip
    print(table(headers, lines))
    print(
        f"{len(apart):,} queries over {held:,} set-aside products, {int(apart.sum())} of them of "
        f"pairs of colour and type that were never trained on; {learnt:,} products learnt from"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds fashion/")
    parser.add_argument("--model", type=Path, help="a folder of `vetrina train clip`")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], help="such as threads=2")
    return parser.parse_args()


if __name__ == "__main__":
    run_benchmark(main)
