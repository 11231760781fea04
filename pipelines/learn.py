"""Trains the ranker of a release on the shop's own past."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
import xxhash

from index import Columns, map_array
from pipelines.checkpoint import State, load_checkpoint, remove_checkpoint, save_checkpoint
from pipelines.config import Config, ConfigError
from pipelines.contents import Job, end_of, query_encoder
from pipelines.engine import not_hidden
from pipelines.examples import ExampleMaker
from pipelines.impressions import read_shown
from pipelines.parts import Parts, category_names, open_parts
from pipelines.purchases import Log
from pipelines.shop import Shop
from ranking.calibration import Choice, Part, choose, fit
from ranking.cross_attention import OUTCOMES
from ranking.export import MissingExtra, is_installed, refuse_missing, write_graph
from ranking.features import NAMES
from ranking.opening import AUTO, ONNX
from ranking.ranker import save, save_tokens
from ranking.training import Example, Model, Products, Progress, Settings, scores, train, worth
from retrieval.query_encoder import QueryEncoder

RANKER = "ranker"
CATEGORIES = "categories.json"  # names by number, as the ranker has learnt them


def refuse_runtime(config: Config) -> None:
    """Raise ConfigError where the ranker is to be served by what cannot be written here."""
    if config.ranking.train and config.ranking.runtime == ONNX:
        try:
            refuse_missing()
        except MissingExtra as e:
            raise ConfigError(f"ranking.runtime={ONNX}: {e}") from None


def write_ranker_graph(job: Job) -> None:
    """Write the ranker's network for ONNX Runtime, too, where that may serve and can be written."""
    folder = job.folder / RANKER
    if folder.is_dir() and job.config.ranking.runtime in (AUTO, ONNX) and is_installed():
        write_graph(folder)


def write_ranker(job: Job, log: Log) -> dict[str, Any]:
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
    gains = worth(trained.model, validation, products, trained.outcome)
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


def apply_ranker(job: Job, trained: Path) -> None:
    """Write the tokens of these products, as the ranker of another release makes them.

    Its categories are found by name: in another catalogue they have other numbers.
    """
    names = msgspec.json.decode((trained / CATEGORIES).read_bytes(), type=list[str])
    number_of = {name: number for number, name in enumerate(names)}
    own = category_names(Columns.open(job.folder / "products.arrow"))
    numbers = np.array([number_of.get(name, -1) for name in own], np.int32)
    vectors = np.asarray(map_array(job.folder / "vectors/joined.npy"))
    save_tokens(trained, Products(vectors, numbers), job.folder / RANKER)


class Past(NamedTuple):
    """Requests of the past, and the products that they are about."""

    products: Products
    training: list[Example]  # something came of each
    validation: list[Example]  # of the newest window


def past_requests(job: Job, log: Log) -> Past:
    """Replay the shop's past against the parts that are written already."""
    parts = open_parts(job.folder)
    maker = maker_of(parts, job.shop, job.config, query_encoder(job))
    training, validation = maker.windows(log.user_ids, log.purchases, end_of(job, log), job.track)
    lists = read_shown(job.shop, parts.products, job.until)
    if sum(one.came() for one in lists) >= job.config.ranking.min_requests:
        older, newest = maker.of_shown(log, lists, end_of(job, log), job.track)
        training, validation = training + older, validation + newest
    return Past(products_of(parts), [one for one in training if one.came()], validation)


def maker_of(parts: Parts, shop: Shop, config: Config, encoder: QueryEncoder) -> ExampleMaker:
    """Return what replays the past of this shop against these parts."""
    traits = {r["id"]: dict(r["traits"]) for r in shop.users().to_pylist()}
    return ExampleMaker(parts, config, encoder, parts.products.allowed(not_hidden(config)), traits)


def products_of(parts: Parts) -> Products:
    """Return what product tokens are made from."""
    return Products(np.asarray(parts.joined_vectors), np.asarray(parts.catalogue.categories))


def calibrate(model: Model, validation: Sequence[Example], products: Products) -> dict[str, Choice]:
    """Return what turns the logits of each outcome into probabilities.

    Fitted on the earlier half of the newest window and chosen on the later, then fitted on both.
    Made-up searches have fewer right answers than real requests, so they are left out.
    """
    real = [one for one in validation if one.context.query is None]
    in_order = sorted(real, key=lambda one: one.at_seconds)
    half = len(in_order) // 2
    found = {}
    for outcome in OUTCOMES:
        early, late = (
            logits_of(model, part, products, outcome) for part in (in_order[:half], in_order[half:])
        )
        if all(0 < part.labels.sum() < len(part.labels) for part in (early, late)):
            choice = choose(early, late)
            both = (np.concatenate(columns) for columns in zip(early, late, strict=True))
            found[outcome] = choice._replace(calibration=fit(choice.name, *both))
    return found


def logits_of(model: Model, examples: Sequence[Example], products: Products, outcome: str) -> Part:
    """Return the logits of all candidates of which the outcome is known, and what it was."""
    column = OUTCOMES.index(outcome)
    found = list(zip(examples, scores(model, examples, products, outcome), strict=True))
    known = [~np.isnan(one.labels[:, column]) for one, _ in found]
    logits = [by[kept] for (_, by), kept in zip(found, known, strict=True)]
    labels = [one.wanted(outcome)[kept] for (one, _), kept in zip(found, known, strict=True)]
    return Part(
        np.concatenate([np.empty(0, np.float32), *logits]),
        np.concatenate([np.empty(0, bool), *labels]),
    )


def training_settings(config: Config) -> Settings:
    """Return how the ranker learns."""
    settings = config.ranking
    return Settings(
        dim=settings.dim,
        heads=settings.heads,
        layers=settings.layers,
        points=settings.points,
        epochs=settings.epochs,
        patience=settings.patience,
        dropout=settings.dropout,
        candidates=settings.candidates,
        learning_rate=settings.learning_rate,
        batch_size=settings.batch_size,
        order_loss=settings.order_loss,
        value_loss=settings.value_loss,
        seed=config.seed,
    )


class RankerState(State, frozen=True, kw_only=True):
    """How far the training of a ranker is."""

    ndcg_by_epoch: tuple[float, ...]


class CheckpointKeeper:
    """Keeps a training between its epochs; the same requests and settings go on where it was."""

    def __init__(
        self, folder: Path, products: Products, examples: Sequence[Example], settings: Settings
    ) -> None:
        self.folder = folder
        self._key = _key(products, examples, settings)

    def load(self, model: Model, optimizer: torch.optim.Optimizer) -> Progress:
        """Bring model and optimizer back to where they were; the start where nothing is kept."""
        kept = load_checkpoint(self.folder, RankerState, self._key, model, optimizer)
        return Progress(kept.state.ndcg_by_epoch, kept.best or None) if kept else Progress()

    def save(self, progress: Progress, model: Model, optimizer: torch.optim.Optimizer) -> None:
        """Write weights and moments, the best weights so far, and the epochs done."""
        state = RankerState(key=self._key, ndcg_by_epoch=progress.ndcg_by_epoch)
        save_checkpoint(self.folder, state, model, optimizer, progress.best or {})


def _key(products: Products, examples: Sequence[Example], settings: Settings) -> str:
    """Return a hash over all that the training depends on."""
    digest = xxhash.xxh3_128(repr((NAMES, settings)).encode())
    for column in products:
        digest.update(np.ascontiguousarray(column).data)
    for one in examples:
        for part in (one.rows, one.features, one.labels, one.weights, *one.context):
            if part is not None:
                digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()
