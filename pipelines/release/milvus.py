"""Fills, points at and drops the collections that releases have in Milvus."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Float32

from index import Columns, ExactIndex, MilvusIndex, Unreachable, recall_at_k
from pipelines.config.sections import IndexConfig, MilvusConfig
from pipelines.durable.files import flush
from pipelines.release.layout import PRODUCTS, milvus_address_of
from pipelines.release.manifest import DRAFT
from pipelines.release.store import CURRENT, current, names
from pipelines.release.vector_indexes import CollectionAddress, _milvus, _placed
from retrieval.encoders.joined_space import has_vector

OWNER = ".milvus"  # beside the releases


def in_milvus(config: IndexConfig) -> bool:
    """Tell whether a build puts its vectors on another machine."""
    return config.where == "milvus"


def fill(
    folder: Path,
    space: str,
    vectors: Float32[np.ndarray, "n d"],
    queries: Float32[np.ndarray, "q d"],
    config: IndexConfig,
) -> dict[str, Any]:
    """Fill a new collection with a space and the columns that filters read; return its recall."""
    rows = np.flatnonzero(has_vector(vectors))
    collection = _collection(config.milvus, space, folder)
    index = MilvusIndex.build(
        _milvus(config.milvus, config.milvus.build_seconds),
        collection,
        vectors,
        rows,
        columns=Columns.open(folder / PRODUCTS).table,
        kind=config.milvus.kind,
    )
    truth = ExactIndex(vectors[rows]).search(queries, config.recall_k)
    recall = recall_at_k(index, queries, truth)
    placed = CollectionAddress(config.milvus, collection, len(vectors), recall)
    file = folder / milvus_address_of(space)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(msgspec.json.encode(placed))
    return {
        f"{space}_recall_at_{config.recall_k}": round(recall, 4),
        f"{space}_index": f"Milvus {config.milvus.kind}, {collection}",
    }


@contextmanager
def tidied(releases: Path, config: IndexConfig) -> Iterator[None]:
    """Let aliases name the published release when a build ends, and drop what no release uses.

    So a build that comes to nothing leaves no collection, and those of a release that was removed
    go with the next build.
    """
    try:
        yield
    except BaseException:
        with suppress(Unreachable):  # what went wrong before is what is told
            drop_unused(releases, config)
        raise
    if in_milvus(config) and (releases / CURRENT).exists():
        point(releases / current(releases))
    drop_unused(releases, config)


def point(folder: Path) -> None:
    """Let the aliases name the collections of this release, for whoever else searches there."""
    for file in sorted(folder.glob(milvus_address_of("*"))):
        placed = _placed(file)
        space = file.name.split(".")[0]
        alias = f"{placed.milvus.prefix}_{space}"
        _milvus(placed.milvus, placed.milvus.seconds).point(alias, placed.collection)


def drop_unused(releases: Path, config: IndexConfig) -> None:
    """Drop the collections that builds in this folder have made and no release of it names."""
    if not in_milvus(config):
        return
    used = {
        _placed(file).collection
        for name in names(releases)
        for file in (releases / name).glob(milvus_address_of("*"))
    }
    milvus, ours = _milvus(config.milvus, config.milvus.seconds), f"_{_owner(releases)}_"
    for collection in milvus.names(f"{config.milvus.prefix}_"):
        if collection not in used and ours in collection:
            milvus.drop(collection)


def _owner(releases: Path) -> str:
    """Return what the names of this folder's collections hold, so that no others are dropped."""
    file = releases / OWNER
    if not file.exists():
        file.write_text(secrets.token_hex(4))
        flush(file)
    return file.read_text()[:100].strip()


def _collection(config: MilvusConfig, space: str, folder: Path) -> str:
    stamp = folder.name.removeprefix(DRAFT).replace("-", "_")
    return f"{config.prefix}_{space}_{_owner(folder.parent)}_{stamp}"
