"""Opens the vector index of a space: from its file, on a GPU, or in Milvus."""

from pathlib import Path

import msgspec
import numpy as np
from jaxtyping import Float32

from index import Address, Columns, Milvus, MilvusIndex, VectorIndex, open_on_gpu
from pipelines.config.loading import secret
from pipelines.config.sections import MilvusConfig
from pipelines.errors import ReleaseError
from pipelines.release.layout import PRODUCTS, index_of, milvus_address_of


class CollectionAddress(msgspec.Struct, frozen=True):
    """Which collection holds the vectors of a space, and how to reach it."""

    milvus: MilvusConfig
    collection: str
    size: int
    recall: float


def open_space(folder: Path, space: str, vectors: Float32[np.ndarray, "n d"]) -> VectorIndex:
    """Open the index of a space: on another machine, on a GPU, or from its file."""
    if not (folder / milvus_address_of(space)).exists():
        return open_on_gpu(folder / index_of(space), vectors)
    placed = _placed(folder / milvus_address_of(space))
    milvus = _milvus(placed.milvus, placed.milvus.seconds)
    schema = Columns.open(folder / PRODUCTS).table.schema
    index = MilvusIndex(milvus, placed.collection, placed.size, schema, measured=placed.recall)
    if index.dim != vectors.shape[1]:
        raise ReleaseError(
            f"collection {placed.collection} holds {index.dim}-dimensional vectors, those of "
            f"release {folder.name} have {vectors.shape[1]}; build it again"
        )
    return index


def _placed(file: Path) -> CollectionAddress:
    try:
        return msgspec.json.decode(file.read_bytes(), type=CollectionAddress)
    except msgspec.DecodeError as e:
        raise ReleaseError(f"{file.name} does not say where the vectors are: {e}") from None


def _milvus(config: MilvusConfig, seconds: float) -> Milvus:
    return Milvus(Address(config.uri, secret(config.token_from), seconds))
