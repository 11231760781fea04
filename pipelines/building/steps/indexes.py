"""Writes the vector indexes, tuned to the recall target."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Float32

from index import (
    Columns,
    IndexRequirements,
    PlannedIndex,
    PreviousIndex,
    build_index,
    map_array,
    save_index,
)
from pipelines.building.context import BuildContext, query_encoder
from pipelines.building.steps.sharded_index import in_shards, write_sharded
from pipelines.config import Config
from pipelines.release.milvus import fill, in_milvus
from retrieval.encoders.joined_space import has_vector

TEST_QUERIES = 200  # short texts from titles, on which the index is tuned


def write_indexes(
    job: BuildContext, products: Columns, before: Mapping[str, PreviousIndex] = MappingProxyType({})
) -> dict[str, Any]:
    """Write the vector indexes; return the recall that was measured.

    `before` are indexes of the spaces in another release, of vectors much like these.
    """
    encoder = query_encoder(job)
    texts = test_queries(products, job.config.seed)
    found = _write_index(job, "joined", encoder.texts(texts), before)
    if job.encoders.image is not None and (job.folder / "vectors/picture.npy").exists():
        found |= _write_index(job, "picture", job.encoders.image.encode_texts(texts), before)
    return found


def test_queries(products: Columns, seed: int) -> list[str]:
    """Return short texts as a shopper may write them: two words of a title, seeded."""
    random = np.random.default_rng(seed)
    titles = products.column("title")
    drawn = random.choice(len(titles), min(TEST_QUERIES, len(titles)), replace=False)
    words = [titles[row].replace(",", " ").split() for row in drawn]
    return [" ".join(random.permutation(w)[:2]) if w else titles[drawn[0]] for w in words]


def _write_index(
    job: BuildContext,
    space: str,
    queries: Float32[np.ndarray, "q d"],
    before: Mapping[str, PreviousIndex],
) -> dict[str, Any]:
    vectors = map_array(job.folder / f"vectors/{space}.npy")
    settings = job.config.index
    if in_milvus(settings):
        return fill(job.folder, space, vectors, queries, settings)
    rows = np.flatnonzero(has_vector(vectors))
    if in_shards(job.config, len(rows)):
        return write_sharded(job.folder, space, queries, job.config)
    planned = build_index(
        vectors, queries, requirements_of(job.config), rows=rows, before=before.get(space)
    )
    save_index(planned.built, job.folder / f"index/{space}.faiss")
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


def described(planned: PlannedIndex, space: str, k: int) -> dict[str, Any]:
    """Return what a manifest says of the index of one space."""
    return {
        f"{space}_recall_at_{k}": round(planned.recall, 4),
        f"{space}_kind": planned.kind,
        f"{space}_index": f"{planned.factory}, effort {planned.effort}",
        f"{space}_curve": msgspec.to_builtins(planned.curve),
        f"{space}_choices": msgspec.to_builtins(planned.choices),
    }
