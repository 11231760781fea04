"""CAGRA: a neighbour graph that a GPU builds, and that the processor searches."""

from functools import cache

import faiss
import numpy as np
from jaxtyping import Float32

from index.errors import IndexFault
from index.vectors.libraries.faiss_index import num_gpus
from index.vectors.validation import fit_vectors

DEGREE = 64  # edges of a node
NEAR = 128  # neighbours that the edges are chosen from


@cache
def why_no_cagra() -> str:
    """Return why CAGRA cannot be built here; nothing where it can."""
    if not hasattr(faiss, "GpuIndexCagra"):
        return "FAISS here is built without cuVS, which builds CAGRA"
    return "" if num_gpus() else "FAISS sees no GPU here, on which CAGRA is built"


def cagra_graph(vectors: Float32[np.ndarray, "n d"]) -> faiss.IndexHNSWCagra:
    """Build the graph on the first card, and return it with its vectors for the processor.

    Ootomo et al., CAGRA: Highly Parallel Graph Construction and Approximate Nearest Neighbor
    Search for GPUs, 2023. Two builds of the same vectors may differ in some edges.
    """
    if reason := why_no_cagra():
        raise IndexFault(f"index.kind='cagra' cannot be built here: {reason}")
    config = faiss.GpuIndexCagraConfig()
    config.graph_degree, config.intermediate_graph_degree = DEGREE, NEAR
    dim = vectors.shape[1]
    graph = faiss.GpuIndexCagra(
        faiss.StandardGpuResources(), dim, faiss.METRIC_INNER_PRODUCT, config
    )
    graph.train(fit_vectors(vectors, "index"))
    return faiss.index_gpu_to_cpu(graph)
