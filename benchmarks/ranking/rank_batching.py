"""What batching of concurrent rank calls gains, on the processor and on a GPU.

    python -m benchmarks rank_batching [--calls 400] [--threads 2] [--callers 1 2 4 8 16]

Each caller is a thread that asks again as soon as it is answered, for 200 candidates, 32 recent
products and 12 facts; weights and inputs are random, of the shape that the defaults give. `apart`
is a runtime called by all of them at once, `in turn` one call at a time, `batched` the queue
of `ranking/runtimes/request_batching.py`. `busy ms` is what the cores spent on a request, which
other work on the machine changes less. It imports what `benchmarks.ranking.gpu_ranking` does.
"""

import argparse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from time import perf_counter, process_time
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.machine import run_benchmark
from benchmarks.ranking.gpu_ranking import MOST_FACTS, RECENT, call, random_network, random_tokens
from ranking.rank_call import RankCall
from ranking.runtimes.cuda_graphs import GraphRuntime, has_gpu
from ranking.runtimes.request_batching import BatchingRuntime
from ranking.runtimes.torch_runtime import TorchRuntime
from ranking.runtimes.types import Runtime

MOST_REQUESTS, MOST_CANDIDATES = 8, 8_192
WARM = 5  # calls of each caller
ROW = "{:10} {:8} {:>8} {:>10} {:>9} {:>9} {:>9}"


class Load(NamedTuple):
    """What so many callers get."""

    a_second: float
    p50: float
    p99: float
    busy: float  # milliseconds of all cores, a request


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    gpu = torch.cuda.get_device_name() if has_gpu() else "no GPU here"
    print(f"torch {torch.__version__}, {given.threads} threads, {given.candidates} candidates")
    print(gpu)
    print(ROW.format("", "", "callers", "a second", "p50 ms", "p99 ms", "busy ms"))
    for name, runtime in runtimes():
        for callers in given.callers:
            calls = [call(i, given.candidates) for i in range(callers)]
            for how, ask in ways(runtime):
                load = measured(ask, calls, -(-given.calls // callers))
                row = (f"{load.a_second:,.0f}", f"{load.p50:.2f}", f"{load.p99:.2f}")
                print(ROW.format(name, how, callers, *row, f"{load.busy:.2f}"), flush=True)


def runtimes() -> Iterator[tuple[str, Runtime]]:
    network, tokens = random_network(), random_tokens()
    yield "processor", TorchRuntime(network, tokens)
    if has_gpu():
        yield "GPU", GraphRuntime(network, tokens, recent=RECENT, facts=MOST_FACTS)


def ways(runtime: Runtime) -> Iterator[tuple[str, Callable[[RankCall], Any]]]:
    yield "apart", lambda one: runtime.logits([one])
    yield "in turn", BatchingRuntime(runtime, 1, MOST_CANDIDATES).logits
    yield "batched", BatchingRuntime(runtime, MOST_REQUESTS, MOST_CANDIDATES).logits


def measured(ask: Callable[[RankCall], Any], calls: list[RankCall], times: int) -> Load:
    """Let every caller ask so many times, all at once."""
    start = Barrier(len(calls) + 1)

    def caller(one: RankCall) -> list[float]:
        for _ in range(WARM):
            ask(one)
        start.wait()
        taken = []
        for _ in range(times):
            begun = perf_counter()
            ask(one)
            taken.append((perf_counter() - begun) * 1e3)
        return taken

    with ThreadPoolExecutor(len(calls)) as threads:
        futures = [threads.submit(caller, one) for one in calls]
        start.wait()
        begun, begun_busy = perf_counter(), process_time()
        taken = [ms for future in futures for ms in future.result()]
        seconds, busy = perf_counter() - begun, process_time() - begun_busy
    p50, p99 = map(float, np.percentile(taken, [50, 99]))
    return Load(len(taken) / seconds, p50, p99, 1e3 * busy / len(taken))


if __name__ == "__main__":
    run_benchmark(main)
