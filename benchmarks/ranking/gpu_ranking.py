"""Time of a rank call on a GPU, kernel by kernel and as one CUDA graph, beside the processor.

    python -m benchmarks gpu_ranking [--calls 500] [--threads 2] [--candidates 200 1000]

Weights and inputs are random, of the shape that the defaults give. A call goes from row numbers,
features and a context (a query vector, 32 recent products, 12 facts) in the memory of the
processor to logits there. `away` is the largest distance of a logit from the processor's; a batch
counts as one call, and `a second` counts requests. It imports torch, numpy, einops and jaxtyping
only, and says so where there is no GPU.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any

import numpy as np
import torch

from benchmarks.machine import run_benchmark
from ranking.network.cross_attention import CrossAttentionRanker
from ranking.network.shape import RankerShape
from ranking.rank_call import Context, RankCall
from ranking.runtimes.cuda_graphs import GraphRuntime, has_gpu
from ranking.runtimes.torch_runtime import TorchRuntime
from ranking.runtimes.types import Runtime

# That of the defaults; written out, as this runs where half of what a shop needs is missing.
SHAPE = RankerShape(
    dim=64,
    heads=4,
    head_dim=16,
    hidden=128,
    layers=2,
    points=16,
    vector_dim=384,
    num_features=44,
    bins=16,
    num_facts=1_024,
)
NUM_PRODUCTS, RECENT, FACTS, MOST_FACTS = 20_000, 32, 12, 24
WARM = 20
ROW = "{:26} {:>9} {:>9} {:>9} {:>9} {:>10} {:>8} {:>9}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--candidates", type=int, nargs="+", default=[200, 1_000])
    parser.add_argument("--requests", type=int, nargs="+", default=[1, 8])
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    gpu = torch.cuda.get_device_name() if has_gpu() else "no GPU here"
    print(f"torch {torch.__version__}, {given.threads} threads, {gpu}")
    print(ROW.format("", "requests", "cand.", "p50 ms", "p99 ms", "a second", "ratio", "away"))
    opened = list(runtimes())
    for candidates in given.candidates:
        for requests in given.requests:
            compare(opened, [call(i, candidates) for i in range(requests)], given.calls)


def runtimes() -> Iterator[tuple[str, Runtime]]:
    network, tokens = random_network(), random_tokens()
    yield "processor", TorchRuntime(network, tokens)
    if not has_gpu():
        return
    for name, record in (("GPU, kernel by kernel", False), ("GPU, one graph", True)):
        start = perf_counter()
        runtime = GraphRuntime(network, tokens, recent=RECENT, facts=MOST_FACTS, record=record)
        seconds, held = perf_counter() - start, torch.cuda.memory_reserved() / 1e6
        print(f"{name}: opened in {seconds:.2f} s, {held:,.0f} MB of the GPU held by now")
        yield name, runtime


def compare(opened: Sequence[tuple[str, Runtime]], calls: Sequence[RankCall], times: int) -> None:
    """Print a row for each way to rank these requests."""
    expected = opened[0][1].logits(calls)
    first = 0.0
    for name, runtime in opened:
        p50, p99 = measured(lambda runtime=runtime: runtime.logits(calls), times)
        first = first or p50
        pairs = zip(runtime.logits(calls), expected, strict=True)
        away = max(float(np.abs(one - other).max()) for one, other in pairs)
        print(
            ROW.format(
                name,
                len(calls),
                len(calls[0].rows),
                f"{p50:.3f}",
                f"{p99:.3f}",
                f"{1e3 * len(calls) / p50:,.0f}",
                f"{first / p50:.2f}x",
                f"{away:.1e}",
            ),
            flush=True,
        )


def measured(call: Callable[[], Any], times: int) -> tuple[float, float]:
    """Return the milliseconds of a call, p50 and p99."""
    for _ in range(WARM):
        call()
    clock = []
    for _ in range(times):
        start = perf_counter()
        call()
        clock.append((perf_counter() - start) * 1e3)
    p50, p99 = np.percentile(clock, [50, 99])
    return float(p50), float(p99)


def random_network() -> CrossAttentionRanker:
    torch.manual_seed(0)
    return CrossAttentionRanker(SHAPE).eval()


def random_tokens() -> np.ndarray:
    random = np.random.default_rng(0)
    return random.normal(size=(NUM_PRODUCTS, SHAPE.dim)).astype(np.float16)


def call(seed: int, count: int) -> RankCall:
    """Return a request of so many candidates."""
    random = np.random.default_rng(seed)
    facts = np.zeros(MOST_FACTS, np.int64)
    facts[:FACTS] = random.integers(1, SHAPE.num_facts, FACTS)
    return RankCall(
        random.choice(NUM_PRODUCTS, count, replace=False),
        random.normal(size=(count, SHAPE.num_features)).astype(np.float32),
        Context(
            random.normal(size=SHAPE.vector_dim).astype(np.float32),
            random.choice(NUM_PRODUCTS, RECENT, replace=False),
            random.random((RECENT, 2)).astype(np.float32),
            facts,
        ),
    )


if __name__ == "__main__":
    run_benchmark(main)
