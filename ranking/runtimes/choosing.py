"""Chooses what runs the network of a ranker, and takes nothing that answers otherwise than torch.

`auto` tries a GPU, then ONNX Runtime, then stays with torch on the processor. Each is opened and
asked before any shopper is, which warms it up; one that cannot be opened here, or whose logits
are further from those of torch than `CLOSE`, is passed over with a warning.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float16

from ranking.answers import MAX_CANDIDATES
from ranking.bundle import BundleDescription, UnknownBundle
from ranking.network.cross_attention import CrossAttentionRanker
from ranking.rank_call import Context, RankCall
from ranking.runtimes.cuda_graphs import CANDIDATES, REQUESTS, GraphRuntime, has_gpu
from ranking.runtimes.onnx_runtime import OnnxRuntime, has_graph
from ranking.runtimes.request_batching import BatchingRuntime
from ranking.runtimes.torch_runtime import TorchRuntime
from ranking.runtimes.types import (
    AUTO,
    CLOSE,
    CUDA,
    ONNX,
    TORCH,
    OpenRuntime,
    Runtime,
    RuntimeSettings,
)
from retrieval.context_facts import MAX_FACTS

PROBES = (1, 7, 200, MAX_CANDIDATES)  # candidates of the requests that are compared

log = logging.getLogger(__name__)


class RankerFiles(NamedTuple):
    """Where the parts of a ranker are."""

    folder: Path
    network: CrossAttentionRanker
    tokens: Float16[np.ndarray, "n d"]
    about: BundleDescription


def fastest_runtime(place: RankerFiles, how: RuntimeSettings) -> OpenRuntime:
    """Return what this machine runs the ranker on."""
    plain = TorchRuntime(place.network, place.tokens)
    name, runtime = choose(plain, _others(place, how), how.runtime, probes(place, how))
    # On a processor a batch pays from four requests at once on, which the two threads of a server
    # never let meet by default; the graph of ONNX Runtime takes one request.
    usual = max(REQUESTS) if name == CUDA else 1
    most = 1 if name == ONNX else how.batch_requests or usual
    queue = BatchingRuntime(runtime, most, most * max(CANDIDATES)) if most > 1 else None
    return OpenRuntime(name, runtime, queue)


def choose(
    plain: Runtime,
    others: Mapping[str, Callable[[], Runtime]],
    wanted: str,
    calls: Sequence[RankCall],
) -> tuple[str, Runtime]:
    """Return the first that is wanted and answers as torch does, else torch."""
    tried = list(others) if wanted == AUTO else [wanted] * (wanted != TORCH)
    expected = _alone_and_together(plain, calls) if tried else []
    for name in tried:
        if name not in others:
            log.warning("the ranker cannot run on %s here, so torch stands in", name)
            continue
        try:
            runtime = others[name]()
            away = _furthest(_alone_and_together(runtime, calls), expected)
        except (UnknownBundle, RuntimeError, OSError) as e:
            log.warning("the ranker does not run on %s: %s", name, str(e)[:200])
            continue
        if away <= CLOSE:
            return name, runtime
        log.warning("the ranker is not run on %s: a logit is %.1e away from torch's", name, away)
    return TORCH, plain


def probes(place: RankerFiles, how: RuntimeSettings) -> list[RankCall]:
    """Return requests like those to come: with and without a query, a history, many candidates."""
    random, shape = np.random.default_rng(0), place.network.shape
    mean, scale = (
        part.numpy()
        for part in (place.network.from_features.mean, place.network.from_features.scale)
    )
    calls = []
    for number, count in enumerate(PROBES):
        recent = np.full(how.recent, -1)
        known = min(how.recent * (number % 2), len(place.tokens))
        recent[:known] = random.choice(len(place.tokens), known, replace=False)
        facts = np.zeros(MAX_FACTS, np.int64)
        facts[: MAX_FACTS // 2] = random.integers(1, shape.num_facts, MAX_FACTS // 2)
        query = random.normal(size=shape.vector_dim) * shape.vector_dim**-0.5
        features = mean + scale * random.normal(size=(count, shape.num_features))
        context = Context(
            query.astype(np.float32) if number > 1 else None,
            recent,
            random.random((how.recent, 2)).astype(np.float32),
            facts,
        )
        rows = random.integers(0, len(place.tokens), count)
        calls.append(RankCall(rows, features.astype(np.float32), context))
    return calls


def _others(place: RankerFiles, how: RuntimeSettings) -> dict[str, Callable[[], Runtime]]:
    """Return what this machine has beside torch on the processor, the fastest first."""
    found: dict[str, Callable[[], Runtime]] = {}
    if has_gpu():
        found[CUDA] = lambda: GraphRuntime(
            place.network, place.tokens, recent=how.recent, facts=MAX_FACTS
        )
    if has_graph(place.folder):
        found[ONNX] = lambda: OnnxRuntime(place.folder, place.tokens, place.about, how.threads)
    return found


def _alone_and_together(runtime: Runtime, calls: Sequence[RankCall]) -> list[np.ndarray]:
    alone = [runtime.logits([call])[0] for call in calls]
    return [*alone, *runtime.logits(calls)]


def _furthest(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """Return the largest distance of two logits; infinity where one is not a number."""
    distances = [np.abs(one - other) for one, other in zip(found, expected, strict=True)]
    return float(max(np.where(np.isfinite(one), one, np.inf).max(initial=0) for one in distances))
