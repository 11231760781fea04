"""Opens what runs the network of a ranker: ONNX Runtime alone where that will do, without torch."""

import logging
from pathlib import Path

import numpy as np
from jaxtyping import Float16

from index import may_have_gpu
from ranking.bundle import BundleDescription, UnknownBundle
from ranking.runtimes.onnx_runtime import (
    OnnxExplainer,
    OnnxRuntime,
    has_explanation,
    has_graph,
)
from ranking.runtimes.types import AUTO, CLOSE, ONNX, Explainer, OpenRuntime, RuntimeSettings

log = logging.getLogger(__name__)


def open_runtime(
    folder: Path, tokens: Float16[np.ndarray, "n d"], about: BundleDescription, how: RuntimeSettings
) -> OpenRuntime:
    """Return what this machine runs the ranker on.

    That is the graph of the build, where it gives the logits that torch gave in the build, and
    where there is no GPU to try. Everything else is chosen beside torch.
    """
    if how.runtime in (AUTO, ONNX) and has_graph(folder) and not may_have_gpu():
        try:
            runtime = OnnxRuntime(folder, tokens, about, how.threads)
            if runtime.furthest_from_build(folder) <= CLOSE:
                return OpenRuntime(ONNX, runtime, None)
        except (UnknownBundle, OSError, ValueError) as e:
            log.info("the ranker is compared with torch: %s", str(e)[:200])
    from ranking.network.files import open_network
    from ranking.runtimes.choosing import RankerFiles, fastest_runtime

    _, network = open_network(folder)
    return fastest_runtime(RankerFiles(folder, network, tokens, about), how)


def open_explainer(
    folder: Path, tokens: Float16[np.ndarray, "n d"], about: BundleDescription, threads: int
) -> Explainer:
    """Return what explains rankings: the graph of the build where it agrees, else torch."""
    if has_explanation(folder):
        try:
            explainer = OnnxExplainer(folder, tokens, about, threads)
            if (away := explainer.furthest_from_build(folder)) <= CLOSE:
                return explainer
            log.warning("rankings are explained with torch: a number is %.1e away from its", away)
        except (UnknownBundle, OSError, ValueError) as e:
            log.warning("rankings are explained with torch: %s", str(e)[:200])
    from ranking.network.files import open_network
    from ranking.runtimes.torch_runtime import TorchRuntime

    return TorchRuntime(open_network(folder)[1], tokens)
