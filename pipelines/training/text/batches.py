"""Batches of judged pairs to learn from, and lists to validate and test on."""

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipelines.config.sections import TextTrainingConfig
from pipelines.errors import TrainingError
from pipelines.training.text.pairs import Judgments, Lists, split


class TextBatch(NamedTuple):
    """Queries with some titles of each, and how relevant those are."""

    queries: list[str]
    titles: list[str]
    owner: list[int]  # of each title, its query
    relevance: list[float]


class TextData(NamedTuple):
    """What is learnt from, and what is measured on: no query is in two of the three."""

    training: list[TextBatch]
    validation: list[Lists]  # one a file
    test: list[tuple[str, Lists]]


def prepare(files: Sequence[Judgments], settings: TextTrainingConfig, seed: int) -> TextData:
    """Part the queries of each file by a hash of their words; a TrainingError for too few."""
    parts = [split(file.lists, settings.held_out, settings.validation, seed) for file in files]
    learnt = [(query, titles) for part in parts for query, titles in part.training.items()]
    draw = random.Random(seed)
    draw.shuffle(learnt)
    batches = _batches(learnt, settings, draw)
    if not batches or not any(part.validation for part in parts):
        raise TrainingError(
            f"{len(learnt):,} queries to learn from and "
            f"{sum(len(part.validation) for part in parts):,} to validate on are too few; give "
            "more judgments, or a larger text_training.validation"
        )
    share = settings.max_validation_queries / sum(len(part.validation) for part in parts)
    return TextData(
        training=batches,
        validation=[_some(part.validation, share) for part in parts if part.validation],
        test=[(file.name, part.test) for file, part in zip(files, parts, strict=True)],
    )


def _some(lists: Lists, share: float) -> Lists:
    return dict(list(lists.items())[: max(1, round(share * len(lists)))])


def _batches(
    learnt: Sequence[tuple[str, Mapping[str, float]]],
    settings: TextTrainingConfig,
    draw: random.Random,
) -> list[TextBatch]:
    """Group whole queries; the titles of one stay together, so that they can be compared."""
    batches, batch, pairs = [], TextBatch([], [], [], []), 0
    for query, titles in learnt:
        if pairs >= settings.max_pairs:
            break
        chosen = draw.sample(sorted(titles), min(len(titles), settings.titles_per_query))
        batch.owner.extend([len(batch.queries)] * len(chosen))
        batch.queries.append(query)
        batch.titles.extend(chosen)
        batch.relevance.extend(titles[title] for title in chosen)
        pairs += len(chosen)
        if len(batch.titles) >= settings.batch_size:
            batches.append(batch)
            batch = TextBatch([], [], [], [])
    return [*batches, batch] if batch.titles and not batches else batches
