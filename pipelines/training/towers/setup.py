"""Makes untrained towers and their training settings from a configuration."""

import torch

from pipelines.config.sections import Config
from retrieval.context_facts import FactVocabulary
from retrieval.towers.columns import TowerColumns
from retrieval.towers.model import Spaces, Towers, start
from retrieval.towers.settings import TowerTrainingSettings
from retrieval.towers.shape import TowerShape


def new_towers(
    columns: TowerColumns, spaces: Spaces, config: Config, facts: FactVocabulary
) -> Towers:
    """Return untrained towers that compare as the encoders do; `facts` are those to learn."""
    settings = config.towers
    torch.manual_seed(config.seed)
    shape = TowerShape(
        widths={name: dense.vectors.shape[1] for name, dense in columns.dense.items()},
        text_dim=spaces.joined.shape[1],
        picture_dim=spaces.picture_dim,
        num_own=int(columns.own.max(initial=0)),
        num_popularity=columns.popularity.shape[1],
        dim=settings.dim,
        width=settings.width,
        heads=settings.heads,
        fusion=settings.fusion,
        interests=settings.interests,
        recent=settings.recent_products,
        temperature=settings.temperature,
        facts=facts.codes,
    )
    towers = Towers(shape)
    start(towers, spaces)
    return towers


def training_settings(config: Config) -> TowerTrainingSettings:
    """Return how the towers learn."""
    settings = config.towers
    return TowerTrainingSettings(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        temperature=settings.temperature,
        loss=settings.loss,
        dims=tuple(sorted({settings.dim, *settings.cuts}, reverse=True)),
        hard_negatives=settings.hard_negatives,
        precision=settings.precision,
        patience=settings.patience,
        max_seconds=settings.max_seconds,
        seed=config.seed,
    )
