"""Keeps the vectors of a release on another machine: fills a collection, opens it, drops it."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Float32

from index import (
    Address,
    Columns,
    ExactIndex,
    Milvus,
    MilvusIndex,
    Unreachable,
    VectorIndex,
    open_on_card,
    recall_at_k,
)
from pipelines.config import IndexConfig, MilvusConfig, secret
from pipelines.durable import flush
from pipelines.errors import ReleaseError
from pipelines.release import CURRENT, DRAFT, current, names
from retrieval.spaces import has_vector

PLACE = "index/{}.milvus.json"
OWNER = ".milvus"  # beside the releases


class Placed(msgspec.Struct, frozen=True):
    """Which collection holds the vectors of a space, and how to reach it."""

    milvus: MilvusConfig
    collection: str
    size: int
    recall: float


def is_elsewhere(config: IndexConfig) -> bool:
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
        columns=Columns.open(folder / "products.arrow").table,
        kind=config.milvus.kind,
    )
    truth = ExactIndex(vectors[rows]).search(queries, config.recall_k)
    recall = recall_at_k(index, queries, truth)
    placed = Placed(config.milvus, collection, len(vectors), recall)
    file = folder / PLACE.format(space)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(msgspec.json.encode(placed))
    return {
        f"{space}_recall_at_{config.recall_k}": round(recall, 4),
        f"{space}_index": f"Milvus {config.milvus.kind}, {collection}",
    }


def open_space(folder: Path, space: str, vectors: Float32[np.ndarray, "n d"]) -> VectorIndex:
    """Open the index of a space: on another machine, on a card, or from its file."""
    if not (folder / PLACE.format(space)).exists():
        return open_on_card(folder / f"index/{space}.faiss", vectors)
    placed = _placed(folder / PLACE.format(space))
    milvus = _milvus(placed.milvus, placed.milvus.seconds)
    schema = Columns.open(folder / "products.arrow").table.schema
    index = MilvusIndex(milvus, placed.collection, placed.size, schema, measured=placed.recall)
    if index.dim != vectors.shape[1]:
        raise ReleaseError(
            f"collection {placed.collection} holds {index.dim}-dimensional vectors, those of "
            f"release {folder.name} have {vectors.shape[1]}; build it again"
        )
    return index


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
    if is_elsewhere(config) and (releases / CURRENT).exists():
        point(releases / current(releases))
    drop_unused(releases, config)


def point(folder: Path) -> None:
    """Let the aliases name the collections of this release, for whoever else searches there."""
    for file in sorted(folder.glob(PLACE.format("*"))):
        placed = _placed(file)
        space = file.name.split(".")[0]
        alias = f"{placed.milvus.prefix}_{space}"
        _milvus(placed.milvus, placed.milvus.seconds).point(alias, placed.collection)


def drop_unused(releases: Path, config: IndexConfig) -> None:
    """Drop the collections that builds in this folder have made and no release of it names."""
    if not is_elsewhere(config):
        return
    used = {
        _placed(file).collection
        for name in names(releases)
        for file in (releases / name).glob(PLACE.format("*"))
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


def _placed(file: Path) -> Placed:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Placed)
    except msgspec.DecodeError as e:
        raise ReleaseError(f"{file.name} does not say where the vectors are: {e}") from None


def _milvus(config: MilvusConfig, seconds: float) -> Milvus:
    return Milvus(Address(config.uri, secret(config.token_from), seconds))


def _collection(config: MilvusConfig, space: str, folder: Path) -> str:
    stamp = folder.name.removeprefix(DRAFT).replace("-", "_")
    return f"{config.prefix}_{space}_{_owner(folder.parent)}_{stamp}"
