"""Trains the ranker of a release on the shop's own past."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from pipelines.contents import Job, end_of, query_encoder
from pipelines.engine import not_hidden
from pipelines.examples import ExampleMaker
from pipelines.parts import open_parts
from pipelines.purchases import Log
from ranking.ranker import save
from ranking.training import Products, Settings, train, worth


def write_ranker(job: Job, log: Log) -> dict[str, Any]:
    """Write a ranker where there are enough past requests; return how good it is."""
    settings = job.config.ranking
    if not settings.train:
        return {"ranker": "none: ranking.train is off"}
    if not len(log.purchases.rows):
        return {"ranker": "none: no events to learn from"}
    parts = open_parts(job.folder)
    traits = {r["id"]: dict(r["traits"]) for r in job.shop.users().to_pylist()}
    shown = parts.products.allowed(not_hidden(job.config))
    maker = ExampleMaker(parts, job.config, query_encoder(job), shown, traits)
    training, validation = maker.windows(log.user_ids, log.purchases, end_of(job, log), job.track)
    training = [example for example in training if example.labels.any()]
    if len(training) < settings.min_requests:
        found, needed = len(training), settings.min_requests
        return {"ranker": f"none: {found} requests to learn from, {needed} are needed"}
    torch.set_num_threads(job.config.threads)
    products = Products(np.asarray(parts.joined_vectors), np.asarray(parts.catalogue.categories))
    shape = Settings(
        dim=settings.dim,
        heads=settings.heads,
        layers=settings.layers,
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        batch_size=settings.batch_size,
        seed=job.config.seed,
    )
    steps = settings.epochs * -(-len(training) // settings.batch_size)

    def tell(numbers: Iterator[int]) -> Iterator[int]:
        return job.track(numbers, "train the ranker", steps)

    trained = train(training, validation, products, shape, tell)
    gains = worth(trained.model, validation, products)
    windows = tuple(kind for kind, w in gains.items() if w.ranked > w.retrieved)
    save(trained.model, products, shape, windows, job.folder / "ranker")
    return {
        "ranker": "cross-attention",
        "ranker_requests": len(training),
        "ranker_validation_ndcg_at_20": [round(value, 4) for value in trained.ndcg_by_epoch],
        **{
            f"{kind}_ndcg_at_20": f"{w.retrieved:.4f} retrieved, {w.ranked:.4f} ranked"
            for kind, w in gains.items()
        },
    }
