"""Text-to-picture and picture-to-picture retrieval on fashion that the small model has never seen.

    python -m benchmarks fashion_clip --data FOLDER

FOLDER holds `fashion/styles.parquet` (id, productDisplayName and the columns of SECOND_TEXT) and
`fashion/images_60x80.parquet` (id, jpeg). 4,000 products are set aside, `vetrina train clip`
learns from the others, and each set-aside name looks for its own picture among the 4,000. A hit
is the very picture of the very product in the first ten: one name in seven also belongs to
another set-aside product, and its picture, however right, counts as wrong; a tie counts as lost.
Then each set-aside picture looks for its ten nearest among the others; right are those of its
article type.

The training has each product's name, and as a second text its categories. No such text is
used for measuring, and none of a set-aside product is seen. The setting is RECIPE, 13
minutes on two cores; `--set` comes after it, so that `--set clip.max_seconds=3600` trains longer.
"""

import argparse
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.machine import run_benchmark
from pipelines.config.loading import load
from pipelines.config.sections import Config
from pipelines.metrics.intervals import mean_interval
from pipelines.progress import track
from pipelines.shop.writer import ShopWriter
from pipelines.training.clip.train import ClipReport, hits_at_k, train_clip
from retrieval.encoders.image import open_image_encoder

HELD_OUT = 4_000
KIND = "articleType"
SECOND_TEXT = {  # a field of a product, and the columns that are put into it
    "categories": ("masterCategory", "subCategory", KIND),
    "tags": ("gender", "baseColour", "usage"),
}
RECIPE = (
    "clip.more_fields=[categories]",
    "clip.more_weight=1",
    "clip.batch_size=256",
    "clip.learning_rate=0.003",
    "clip.augment=true",
    "clip.drop_words=0.1",
    "clip.epochs=60",
    "clip.patience=0",
    "clip.max_seconds=780",
)
K = 10
CHUNK = 5_000


def main() -> None:
    options = _options()
    config = load(None, [*RECIPE, *options.set])
    rows = read(options.data / "fashion")
    rows = rows.take(np.random.default_rng(options.seed).permutation(len(rows)))
    held, kept = rows.slice(0, HELD_OUT), rows.slice(HELD_OUT)
    with TemporaryDirectory() as folder:
        start = perf_counter()
        model = options.model or Path(folder) / "model"
        report = train(kept, Path(folder) / "shop", model, config, options.seed)
        trained_seconds = perf_counter() - start
        hits, alike = search(held, model, config)
    print(f"trained on {len(kept):,} products: {report.line()}")
    show(hits, alike, held["title"].to_pylist(), options.seed)
    print(f"reading, training and saving took {trained_seconds:,.0f} s")


def read(folder: Path, more: tuple[str, ...] = ()) -> pa.Table:
    """Return id, title, second text, kind and image of each product that has name and image.

    `more` columns of styles.parquet come as text beside them.
    """
    for name in ("styles.parquet", "images_60x80.parquet"):
        if not (folder / name).is_file():
            raise SystemExit(f"{folder / name} is missing; --data names the folder of fashion/")
    columns = [column for columns in SECOND_TEXT.values() for column in columns]
    styles = pq.read_table(
        folder / "styles.parquet", columns=sorted({"id", "productDisplayName", *columns, *more})
    )
    pictures = pq.read_table(folder / "images_60x80.parquet", columns=["id", "jpeg"])
    joined = styles.join(pictures, "id", join_type="inner").sort_by("id")
    table = pa.table(
        {
            "id": joined["id"].cast(pa.string()),
            "title": joined["productDisplayName"].cast(pa.string()),
            "image": joined["jpeg"].cast(pa.binary()),
            "kind": joined[KIND].cast(pa.string()),
            **{field: _lists(joined, names) for field, names in SECOND_TEXT.items()},
            **{name: joined[name].cast(pa.string()) for name in more},
        }
    )
    return table.filter(pa.compute.is_valid(table["title"]))


def _lists(table: pa.Table, columns: tuple[str, ...]) -> pa.Array:
    rows = zip(*(table[column].to_pylist() for column in columns), strict=True)
    return pa.array([[part for part in row if part] for row in rows], pa.list_(pa.string()))


def train(kept: pa.Table, folder: Path, model: Path, config: Config, seed: int) -> ClipReport:
    """Import the products into a shop of their own and train on it."""
    with ShopWriter(folder, name="fashion", source="table") as shop:
        for start in range(0, len(kept), CHUNK):
            part = kept.slice(start, CHUNK)
            shop.add_products(part.select(["id", "title", *SECOND_TEXT]))
            kinds = pa.array(["image/jpeg"] * len(part))
            shop.add_pictures(part.select(["id", "image"]).append_column("media_type", kinds))
    return train_clip(folder, model, config.clip, track, seed=seed, threads=config.threads)


def search(held: pa.Table, model: Path, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Tell of each name whether it finds its picture, and how many of ten pictures are its kind."""
    encoder = open_image_encoder(str(model), threads=config.threads)
    pictures, failures = encoder.encode_images(held["image"].to_pylist())
    if failures:
        raise SystemExit(f"{len(failures)} pictures cannot be read: {failures}")
    texts = encoder.encode_texts(held["title"].to_pylist())
    hits = hits_at_k(texts, pictures, np.arange(len(held)), K)
    return hits, alike_at_k(pictures, np.asarray(held["kind"].to_pylist()))


def alike_at_k(pictures: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Return the share of each picture's K nearest others that are of its kind."""
    similarities = pictures @ pictures.T
    np.fill_diagonal(similarities, -np.inf)
    nearest = np.argsort(-similarities, axis=1, kind="stable")[:, :K]
    return (kinds[nearest] == kinds[:, None]).mean(axis=1)


def show(hits: np.ndarray, alike: np.ndarray, titles: list[str], seed: int) -> None:
    (found, low, high), (kind, kind_low, kind_high) = mean_interval(
        np.stack([hits.astype(float), alike], axis=1), seed
    )
    counts = Counter(titles)
    alone = np.asarray([counts[title] == 1 for title in titles])
    print(
        f"text to picture, recall@{K} among {len(hits):,} held-out pictures: {found:.3f} "
        f"[{low:.3f}, {high:.3f}] (chance {K / len(hits):.4f})"
    )
    print(
        f"  of it, the {alone.sum():,} names that only one held-out product has: "
        f"{hits[alone].mean():.3f}"
    )
    print(
        f"picture to picture, precision@{K} of the article type: {kind:.3f} "
        f"[{kind_low:.3f}, {kind_high:.3f}]"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds fashion/")
    parser.add_argument("--model", type=Path, help="keep the trained model in this folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], help="such as clip.epochs=2")
    return parser.parse_args()


if __name__ == "__main__":
    run_benchmark(main)
