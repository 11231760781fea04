"""Runs the ranker on a GPU, as CUDA graphs: a batch of a known shape is one launch.

The network is small, so that on a GPU nearly all the time of a call goes into starting its some
hundred kernels one by one. A graph holds them all: it is recorded once for each shape of batch,
when the ranker is opened, and replayed with other numbers in the same memory. Requests are padded
to the next shape; one that is larger than all of them runs kernel by kernel. The product tokens
lie on the GPU in half precision, numbers are multiplied in full float32.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from itertools import product
from threading import Lock
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float16, Float32
from torch import Tensor

from ranking.network.batch import Batch, Sizes, batch_in, fill, inputs, memory, sizes_of
from ranking.network.cross_attention import CrossAttentionRanker
from ranking.network.shape import RankerShape
from ranking.rank_call import RankCall

CANDIDATES = (256, 512, 1_024)
REQUESTS = (1, 2, 4, 8)
WARM = 3  # runs before one is recorded, in which libraries choose and load their kernels

Compute = Callable[[Batch], Tensor]


def has_gpu() -> bool:
    """Tell whether torch sees a GPU here."""
    return torch.cuda.is_available()


class CapturedGraph:
    """Memory for one shape of batch, on both sides, and what is done in it."""

    def __init__(
        self, compute: Compute, sizes: Sizes, shape: RankerShape, device: torch.device
    ) -> None:
        self._compute = compute
        self._host = memory(sizes, shape, pinned=device.type == "cuda")
        self._there = memory(sizes, shape, device)
        self._written = batch_in(self._host, sizes, shape)
        self._read = batch_in(self._there, sizes, shape)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._answer: Tensor | None = None

    def record(self, stream: torch.cuda.Stream, pool: Any) -> None:
        """Record what is done here, to be replayed as one launch."""
        fill(self._written, ())
        with torch.cuda.stream(stream):
            for _ in range(WARM):
                self._compute(self._read)
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Another thread may use the GPU at the same moment: only this one is listened to.
        with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
            self._answer = self._compute(self._read)
        self._graph = graph

    def logits(self, calls: Sequence[RankCall]) -> Float32[np.ndarray, "b c o"]:
        """Return the logits of all places, those of unused ones without meaning."""
        fill(self._written, calls)
        for there, host in zip(self._there, self._host, strict=True):
            there.copy_(host, non_blocking=True)
        if self._graph is None:
            self._answer = self._compute(self._read)
        else:
            self._graph.replay()
        assert self._answer is not None
        return self._answer.cpu().numpy()  # waits for the GPU


class GraphRuntime:
    """The network of a ranker on a GPU; one batch at a time, from any thread."""

    def __init__(  # noqa: PLR0913 - the shapes that are recorded, by name
        self,
        network: CrossAttentionRanker,
        tokens: Float16[np.ndarray, "n d"],
        *,
        candidates: Sequence[int] = CANDIDATES,
        requests: Sequence[int] = REQUESTS,
        recent: int,
        facts: int,
        device: str = "cuda",
        record: bool = True,
    ) -> None:
        self._device = torch.device(device)
        self._shape = network.shape
        self._network = deepcopy(network).eval().to(self._device)
        self._tokens = torch.from_numpy(np.array(tokens)).to(self._device)
        self._sizes = sorted(Sizes(b, c, recent, facts) for b, c in product(requests, candidates))
        self._rooms = {sizes: self._room(sizes) for sizes in self._sizes}
        self._most = max(requests)
        self._turn = Lock()
        self._stream = _stream(self._device)
        if record and self._stream is not None:
            self._record(self._stream)

    def logits(self, calls: Sequence[RankCall]) -> list[Float32[np.ndarray, "c o"]]:
        """Return the logits of each request."""
        answers: list[np.ndarray] = []
        for at in range(0, len(calls), self._most):
            answers += self._batch(calls[at : at + self._most])
        return answers

    def _batch(self, calls: Sequence[RankCall]) -> list[Float32[np.ndarray, "c o"]]:
        needed = sizes_of(calls)
        sizes = next((sizes for sizes in self._sizes if _holds(sizes, needed)), needed)
        room = self._rooms.get(sizes) or self._room(sizes)
        with self._turn, torch.no_grad(), exactly(), torch.cuda.stream(self._stream):
            answer = room.logits(calls)
        return [answer[place, : len(call.rows)] for place, call in enumerate(calls)]

    def _room(self, sizes: Sizes) -> CapturedGraph:
        return CapturedGraph(self._compute, sizes, self._shape, self._device)

    def _record(self, stream: torch.cuda.Stream) -> None:
        """Record the shapes; they share memory, as only one is replayed at a time."""
        pool = torch.cuda.graph_pool_handle()
        with self._turn, torch.no_grad(), exactly():
            for sizes in reversed(self._sizes):  # the largest first: others fit into its memory
                self._rooms[sizes].record(stream, pool)

    def _compute(self, batch: Batch) -> Float[Tensor, "b c o"]:
        logits: Tensor = self._network(*inputs(self._network, batch, self._tokens_of))
        return logits

    def _tokens_of(self, rows: Tensor) -> Tensor:
        return self._tokens[rows.clamp(min=0)].float()


@contextmanager
def exactly() -> Iterator[None]:
    """Multiply float32 as such, and not in the shorter TF32 of newer cards, while this lasts."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _stream(device: torch.device) -> torch.cuda.Stream | None:
    make: Callable[[torch.device], torch.cuda.Stream] = torch.cuda.Stream
    return make(device) if device.type == "cuda" else None


def _holds(sizes: Sizes, needed: Sizes) -> bool:
    return all(have >= need for have, need in zip(sizes, needed, strict=True))
