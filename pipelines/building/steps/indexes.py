"""Writes the vector indexes, tuned to the recall target."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32

from index import (
    Columns,
    IndexRequirements,
    PreviousIndex,
    build_index,
    map_array,
    save_index,
)
from pipelines.building.context import BuildContext
from pipelines.building.index_measurements import CHOICES, described, with_choices
from pipelines.building.step_runner import EarlierStep
from pipelines.building.steps.sharded_index import in_shards, write_sharded
from pipelines.config.sections import Config
from pipelines.release.layout import JOINED, PICTURE, SPACES, index_of, vectors_of
from pipelines.release.manifest import Measurements
from pipelines.release.milvus import fill, in_milvus
from retrieval.encoders.joined_space import has_vector

TEST_QUERIES = 200  # short texts from titles, on which the index is tuned
FLAT = "flat"  # the design that compares all vectors


def write_indexes(context: BuildContext) -> Measurements:
    """Write the vector indexes; return the recall that was measured."""
    return _write_indexes(context, {})


def reapply_indexes(context: BuildContext, earlier: EarlierStep) -> Measurements:
    """Write indexes of the designs that were chosen before, with the cells learnt before."""
    indexes = {space: one for space in SPACES if (one := previous_index(space, earlier))}
    return with_choices(earlier.record, _write_indexes(context, indexes))


def previous_index(space: str, earlier: EarlierStep) -> PreviousIndex | None:
    """Return the index of a space in the live release; None where its design was not chosen."""
    measured = earlier.record.measured
    kind = measured.get(f"{space}_kind")
    if kind is None or (kind == FLAT and not measured.get(f"{space}{CHOICES}")):
        return None  # flat because there were few products
    return PreviousIndex(kind, earlier.release / index_of(space))


def _write_indexes(context: BuildContext, before: Mapping[str, PreviousIndex]) -> Measurements:
    texts = test_queries(context.products, context.config.seed)
    queries = context.query_encoder.texts(texts)
    measured = _write_index(context, JOINED, queries, before)
    image = context.encoders.image
    if image is not None and (context.folder / vectors_of(PICTURE)).exists():
        measured |= _write_index(context, PICTURE, image.encode_texts(texts), before)
    return measured


def test_queries(products: Columns, seed: int) -> list[str]:
    """Return short texts as a shopper may write them: two words of a title, seeded."""
    random = np.random.default_rng(seed)
    titles = products.column("title")
    drawn = random.choice(len(titles), min(TEST_QUERIES, len(titles)), replace=False)
    words = [titles[row].replace(",", " ").split() for row in drawn]
    return [" ".join(random.permutation(w)[:2]) if w else titles[drawn[0]] for w in words]


def _write_index(
    context: BuildContext,
    space: str,
    queries: Float32[np.ndarray, "q d"],
    before: Mapping[str, PreviousIndex],
) -> Measurements:
    vectors = map_array(context.folder / vectors_of(space))
    settings = context.config.index
    if in_milvus(settings):
        return fill(context.folder, space, vectors, queries, settings)
    rows = np.flatnonzero(has_vector(vectors))
    if in_shards(context.config, len(rows)):
        return write_sharded(context.folder, space, queries, context.config)
    planned = build_index(
        vectors,
        queries,
        requirements_of(context.config),
        rows=rows,
        before=before.get(space),
    )
    save_index(planned.built, context.folder / index_of(space))
    return described(planned, space, settings.recall_k)


def requirements_of(config: Config) -> IndexRequirements:
    """Return what a configuration requires of every index of vectors."""
    settings = config.index
    return IndexRequirements(
        k=settings.recall_k,
        recall=settings.recall_target,
        memory_bytes=settings.memory_bytes,
        kind=settings.asked_kind,
        factory=settings.factory,
        seed=config.seed,
    )
