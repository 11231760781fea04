"""Trains the ranker or applies that of the live release, and writes it."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch

from index import map_array
from pipelines.building.context import BuildContext
from pipelines.building.step_runner import EarlierStep
from pipelines.building.steps.products import category_names
from pipelines.release.layout import CATEGORIES, JOINED, RANKER, vectors_of
from pipelines.release.manifest import Measurements
from pipelines.release.parts import open_parts
from pipelines.training.checkpoint import remove_checkpoint
from pipelines.training.ranker.calibrated_ranker import CalibratedRanker, calibrated
from pipelines.training.ranker.checkpoints import CheckpointKeeper
from pipelines.training.ranker.examples import from_baskets, from_impressions
from pipelines.training.ranker.impressions import read_shown
from pipelines.training.ranker.setup import past_shop, products_of, training_settings
from ranking.compression.export import write_graphs
from ranking.network.architecture import TOKEN_WEIGHTS, TOKENS
from ranking.network.examples import Example, RankedProducts
from ranking.network.files import save_tokens
from ranking.network.training import train
from ranking.runtimes.types import AUTO, ONNX


class TrainingRequests(NamedTuple):
    """Requests of the past, and the products that they are about."""

    products: RankedProducts
    training: list[Example]  # something came of each
    validation: list[Example]  # of the newest window


def write_ranker(context: BuildContext) -> Measurements:
    """Write a ranker as a release has it: also for ONNX Runtime, where that may serve."""
    measured = write_trained_ranker(context)
    folder, runtime = context.folder / RANKER, context.config.ranking.runtime
    if folder.is_dir() and runtime in (AUTO, ONNX):
        write_graphs(folder)
    return measured


def write_trained_ranker(context: BuildContext) -> Measurements:
    """Write a ranker where there are enough past requests; return how good it is."""
    settings = context.config.ranking
    if not settings.train:
        return {"ranker": "none: ranking.train is off"}
    if not len(context.log.purchases.rows):
        return {"ranker": "none: no events to learn from"}
    requests = past_requests(context)
    count, needed = len(requests.training), settings.min_requests
    if count < needed:
        return {"ranker": f"none: {count} requests to learn from, {needed} are needed"}
    ranker = _train(context, requests)
    ranker.save(context.folder / RANKER)
    _write_categories(context)
    remove_checkpoint(_checkpoint(context))
    return {"ranker": "cross-attention", "ranker_requests": count, **ranker.measurements()}


def reapply_ranker(context: BuildContext, earlier: EarlierStep) -> Measurements | None:
    """Keep the weights of the live release, and write the tokens of these products."""
    record = earlier.record
    learnt = [file for file in record.files if file != f"{RANKER}/{TOKENS}"]
    if not learnt:  # there were too few requests to learn from, and there are no more
        return record.measured
    needed = {CATEGORIES, f"{RANKER}/{TOKEN_WEIGHTS}"}
    if not needed <= set(learnt) or not earlier.take(learnt):
        return None
    _write_tokens(context)
    return record.measured


def _train(context: BuildContext, requests: TrainingRequests) -> CalibratedRanker:
    """Train a ranker, from the epoch at which an earlier build was stopped, and calibrate it."""
    products, training, validation = requests
    torch.set_num_threads(context.config.threads)
    settings = training_settings(context.config)
    steps = settings.epochs * -(-len(training) // settings.batch_size)
    keeper = CheckpointKeeper(_checkpoint(context), products, training, settings)

    def tell(numbers: Iterator[int]) -> Iterator[int]:
        return context.track(numbers, "train the ranker", steps)

    trained = train(training, validation, products, settings, tell, keeper)
    return calibrated(trained, validation, products)


def _checkpoint(context: BuildContext) -> Path:
    return context.embeddings.with_name(".ranker.training")


def _write_categories(context: BuildContext) -> None:
    """Write the categories of products by the numbers that the ranker has learnt."""
    names = sorted(set(category_names(context.products)))
    (context.folder / CATEGORIES).write_bytes(msgspec.json.encode(names))


def _write_tokens(context: BuildContext) -> None:
    """Write the tokens of these products, as the ranker in the draft makes them.

    Its categories are found by name: in another catalogue they have other numbers.
    """
    names = msgspec.json.decode((context.folder / CATEGORIES).read_bytes(), type=list[str])
    number_of = {name: number for number, name in enumerate(names)}
    numbers = [number_of.get(name, -1) for name in category_names(context.products)]
    vectors = np.asarray(map_array(context.folder / vectors_of(JOINED)))
    ranker = context.folder / RANKER
    save_tokens(ranker, RankedProducts(vectors, np.array(numbers, np.int32)), ranker)


def past_requests(context: BuildContext) -> TrainingRequests:
    """Replay the shop's past against the parts that are written already."""
    parts, log, end = open_parts(context.folder), context.log, context.end
    past = past_shop(parts, context.shop, context.config, context.query_encoder)
    training, validation = from_baskets(past, log, end, context.track)
    lists = read_shown(context.shop, parts.products, context.until)
    if sum(one.came() for one in lists) >= context.config.ranking.min_requests:
        older, newest = from_impressions(past, log, lists, end, context.track)
        training, validation = training + older, validation + newest
    came = [one for one in training if one.came()]
    return TrainingRequests(products_of(parts), came, validation)
