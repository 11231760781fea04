"""Trains the ranker or applies that of the live release, and writes it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch

from index import Columns, map_array
from pipelines.building.context import BuildContext, end_of, query_encoder
from pipelines.building.steps.products import category_names
from pipelines.config import Config, ConfigError
from pipelines.release.layout import CATEGORIES, RANKER
from pipelines.release.parts import open_parts
from pipelines.shop.purchases import Log
from pipelines.training.checkpoint import remove_checkpoint
from pipelines.training.ranker.calibration import calibrate
from pipelines.training.ranker.checkpoints import CheckpointKeeper
from pipelines.training.ranker.impressions import read_shown
from pipelines.training.ranker.setup import maker_of, products_of, training_settings
from ranking.compression.export import MissingExtra, is_installed, refuse_missing, write_graph
from ranking.network.examples import Example, RankedProducts
from ranking.network.training import train
from ranking.network.validation import validation_ndcg
from ranking.ranker import save, save_tokens
from ranking.runtimes.choosing import AUTO, ONNX


def refuse_runtime(config: Config) -> None:
    """Raise ConfigError where the ranker is to be served by what cannot be written here."""
    if config.ranking.train and config.ranking.runtime == ONNX:
        try:
            refuse_missing()
        except MissingExtra as e:
            raise ConfigError(f"ranking.runtime={ONNX}: {e}") from None


def write_ranker_graph(job: BuildContext) -> None:
    """Write the ranker's network for ONNX Runtime, too, where that may serve and can be written."""
    folder = job.folder / RANKER
    if folder.is_dir() and job.config.ranking.runtime in (AUTO, ONNX) and is_installed():
        write_graph(folder)


def write_ranker(job: BuildContext, log: Log) -> dict[str, Any]:
    """Write a ranker where there are enough past requests; return how good it is."""
    settings = job.config.ranking
    if not settings.train:
        return {"ranker": "none: ranking.train is off"}
    if not len(log.purchases.rows):
        return {"ranker": "none: no events to learn from"}
    products, training, validation = past_requests(job, log)
    if len(training) < settings.min_requests:
        found, needed = len(training), settings.min_requests
        return {"ranker": f"none: {found} requests to learn from, {needed} are needed"}
    torch.set_num_threads(job.config.threads)
    how = training_settings(job.config)
    steps = settings.epochs * -(-len(training) // settings.batch_size)
    folder = job.embeddings.with_name(".ranker.training")
    keeper = CheckpointKeeper(folder, products, training, how)

    def tell(numbers: Iterator[int]) -> Iterator[int]:
        return job.track(numbers, "train the ranker", steps)

    trained = train(training, validation, products, how, tell, keeper)
    gains = validation_ndcg(trained.model, validation, products, trained.outcome)
    windows = tuple(kind for kind, w in gains.items() if w.ranked > w.retrieved)
    calibrated = calibrate(trained.model, validation, products)
    fitted = {outcome: choice.calibration for outcome, choice in calibrated.items()}
    save(trained, products, windows, fitted, job.folder / RANKER)
    names = sorted(set(category_names(Columns.open(job.folder / "products.arrow"))))
    (job.folder / RANKER / CATEGORIES).write_bytes(msgspec.json.encode(names))
    remove_checkpoint(keeper.folder)
    return {
        "ranker": "cross-attention",
        "ranker_requests": len(training),
        "ranker_validation_ndcg_at_20": [round(value, 4) for value in trained.ndcg_by_epoch],
        **{
            f"{kind}_ndcg_at_20": f"{w.retrieved:.4f} retrieved, {w.ranked:.4f} ranked"
            for kind, w in gains.items()
        },
        **{
            f"{outcome}_calibration": f"{choice.name}, expected error "
            f"{choice.figures[choice.name].ece_equal_mass:.4f} on the later half"
            for outcome, choice in calibrated.items()
        },
    }


def apply_ranker(job: BuildContext, trained: Path) -> None:
    """Write the tokens of these products, as the ranker of another release makes them.

    Its categories are found by name: in another catalogue they have other numbers.
    """
    names = msgspec.json.decode((trained / CATEGORIES).read_bytes(), type=list[str])
    number_of = {name: number for number, name in enumerate(names)}
    own = category_names(Columns.open(job.folder / "products.arrow"))
    numbers = np.array([number_of.get(name, -1) for name in own], np.int32)
    vectors = np.asarray(map_array(job.folder / "vectors/joined.npy"))
    save_tokens(trained, RankedProducts(vectors, numbers), job.folder / RANKER)


class TrainingRequests(NamedTuple):
    """Requests of the past, and the products that they are about."""

    products: RankedProducts
    training: list[Example]  # something came of each
    validation: list[Example]  # of the newest window


def past_requests(job: BuildContext, log: Log) -> TrainingRequests:
    """Replay the shop's past against the parts that are written already."""
    parts = open_parts(job.folder)
    maker = maker_of(parts, job.shop, job.config, query_encoder(job))
    training, validation = maker.windows(log.user_ids, log.purchases, end_of(job, log), job.track)
    lists = read_shown(job.shop, parts.products, job.until)
    if sum(one.came() for one in lists) >= job.config.ranking.min_requests:
        older, newest = maker.of_shown(log, lists, end_of(job, log), job.track)
        training, validation = training + older, validation + newest
    return TrainingRequests(products_of(parts), [one for one in training if one.came()], validation)
