"""The ranker's training settings and what replays its requests, from a configuration."""

import numpy as np

from pipelines.config.sections import Config, not_hidden
from pipelines.release.parts import Parts
from pipelines.shop.reader import Shop
from pipelines.training.ranker.examples import PastShop
from ranking.network.examples import RankedProducts
from ranking.network.model import RankerSettings
from retrieval.encoders.query import QueryEncoder


def past_shop(parts: Parts, shop: Shop, config: Config, encoder: QueryEncoder) -> PastShop:
    """Return these parts of a release with the shoppers of its shop."""
    told = (one for one in shop.users().to_pylist() if one["consent"]["train"])
    traits = {one["id"]: dict(one["traits"]) for one in told}
    return PastShop(parts, config, encoder, parts.products.allowed(not_hidden(config)), traits)


def products_of(parts: Parts) -> RankedProducts:
    """Return what product tokens are made from."""
    return RankedProducts(np.asarray(parts.joined_vectors), np.asarray(parts.catalogue.categories))


def training_settings(config: Config) -> RankerSettings:
    """Return how the ranker learns."""
    settings = config.ranking
    return RankerSettings(
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
