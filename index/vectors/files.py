"""Saves and opens an index, whichever library built it."""

import logging
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from index.arrays import map_array
from index.vectors.approximate import ApproximateIndex
from index.vectors.byte_codes import ByteCodes
from index.vectors.faiss_index import FaissIndex
from index.vectors.svs_index import ROWS, SvsIndex, why_no_svs

log = logging.getLogger(__name__)

FOLDER = ".svs"  # in place of .faiss


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
    if reason := why_no_svs():
        log.warning("%s is searched by comparing all vectors: %s", folder.name, reason)
        return FaissIndex.build(vectors, "Flat", map_array(folder / ROWS))
    return SvsIndex.open(folder, vectors)
