"""Builds the index of a space in shards, in several processes, for `index.kind=shards`."""

import os
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from index import (
    DESIGNS,
    IndexFault,
    build_shards,
    map_array,
    open_sharded,
    plan_shards,
    tune_sharded,
)
from pipelines.config.sections import Config
from pipelines.errors import ConfigError
from pipelines.release.layout import index_of, vectors_of
from pipelines.release.manifest import Measurements
from retrieval.encoders.joined_space import has_vector

KIND = "shards"
# Fewer are compared one by one.
LEAST_ROWS = max(design.least_rows for design in DESIGNS if design.search == "cells")
A_SHARE = 2  # of the memory that is free, where index.memory does not say how much


def in_shards(config: Config, num_rows: int) -> bool:
    """Tell whether so many vectors are indexed in shards."""
    return config.index.kind == KIND and num_rows >= LEAST_ROWS


def write_sharded(
    folder: Path, space: str, queries: Float32[np.ndarray, "q d"], config: Config
) -> Measurements:
    """Write the index of a space within `index.memory`; return its measured recall.

    ConfigError where that is too little.
    """
    source, out = folder / vectors_of(space), folder / index_of(space)
    vectors, settings = map_array(source), config.index
    rows = np.flatnonzero(has_vector(vectors))
    memory = settings.memory_bytes or free_memory() // A_SHARE
    try:
        cells = plan_shards(len(rows), vectors.shape[1], memory, config.threads).cells
        build_shards(
            source, out, rows, memory=memory, processes=config.threads, threads=config.threads
        )
    except IndexFault as e:
        raise ConfigError(f"index.kind={KIND}, index.memory={settings.memory!r}: {e}") from None
    index = open_sharded(out, vectors)
    tuned = tune_sharded(index, source, queries, settings.recall_k, settings.recall_target)
    index.save_effort(out)
    return {
        f"{space}_recall_at_{settings.recall_k}": round(tuned.recall, 4),
        f"{space}_kind": KIND,
        f"{space}_index": f"{cells} cells in shards, effort {tuned.effort}",
    }


def free_memory() -> int:
    """Return how many bytes of memory are free or hold nothing but files."""
    lines = Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else ()
    for name, _, value in (line.partition(":") for line in lines):
        if name == "MemAvailable":
            return int(value.split()[0]) * 1_024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
