"""Saves and opens an index, whichever library built it."""

import logging
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from index.arrays import map_array
from index.gpu_presence import may_have_gpu
from index.types import VectorIndex
from index.vectors.approximate import ApproximateIndex
from index.vectors.libraries.faiss_index import FaissIndex
from index.vectors.libraries.shards import is_sharded, open_sharded
from index.vectors.libraries.svs_index import ROWS, SvsIndex, held_codes, why_no_svs
from index.vectors.scans.byte_codes import ByteCodes
from index.vectors.scans.gpu_scan import GpuScan

log = logging.getLogger(__name__)

FOLDER = ".svs"  # in place of .faiss
MOST_MEMORY = 0.5  # of what is free on a GPU


def save_index(index: ApproximateIndex, path: Path) -> None:
    """Write an index: `path` itself, with a name in .faiss, or a folder in .svs beside it.

    Its codes, where it has some, lie beside both.
    """
    index.save(path if isinstance(index, FaissIndex) else path.with_suffix(FOLDER))
    if index.codes is None:
        ByteCodes.remove(path)
    else:
        index.codes.save(path)


def open_index(path: Path, vectors: Float32[np.ndarray, "n d"]) -> ApproximateIndex:
    """Open what `save_index` wrote; the caller has checked its checksums.

    Where SVS wrote it and cannot be used here, all vectors are compared instead: right, and slower.
    """
    index = _opened(path, vectors)
    index.codes = ByteCodes.open(path, index.rows, index.dim)
    return index


def _opened(path: Path, vectors: Float32[np.ndarray, "n d"]) -> ApproximateIndex:
    folder = path.with_suffix(FOLDER)
    if not folder.is_dir():
        return FaissIndex.open(path, vectors)
    if reason := why_no_svs(held_codes(folder)):
        log.warning("%s is searched by comparing all vectors: %s", folder.name, reason)
        return FaissIndex.build(vectors, "Flat", map_array(folder / ROWS))
    return SvsIndex.open(folder, vectors)


def open_on_gpu(path: Path, vectors: Float32[np.ndarray, "n d"]) -> VectorIndex:
    """Open what `save_index` wrote, for exact search on a GPU with room for it.

    Without a GPU, or with too little memory on it, the index is searched on the processor. So is an
    index in shards, which is for more vectors than memory holds.
    """
    if is_sharded(path):
        return open_sharded(path, vectors)
    index = open_index(path, vectors)
    if not _has_room(2 * len(index.rows) * index.dim):
        return index
    return GpuScan(vectors, index.rows)


def _has_room(num_bytes: int) -> bool:
    if not may_have_gpu():
        return False
    import torch

    if not torch.cuda.is_available():
        return False
    free, _ = torch.cuda.mem_get_info()
    return num_bytes <= MOST_MEMORY * free
