"""Time of a whole rank call in every runtime, beside a cross-encoder and boosted trees.

    python -m benchmarks rank_latency [--calls 300] [--threads 1 2] [--candidates 200 1000]

Weights and inputs are random, of the shape that the defaults give: what is measured is time, and
how far the scores of a runtime are from those of torch. A call goes from row numbers, features
and a context (a query vector, 32 recent products, 12 facts) to one logit a candidate. Beside the
time by the clock stands the time that the cores were busy, which other work on the machine
changes less. A cross-encoder of MiniLM's size reads a query and a title, 64 tokens together.
"""

import argparse
import platform
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import run_benchmark
from index import map_array
from pipelines.config.sections import Config
from pipelines.training.ranker.setup import training_settings
from ranking.bundle import Bundle
from ranking.compression.export import WholeCall, example_inputs, export
from ranking.compression.quantisation import quantise
from ranking.features.context import Context
from ranking.features.definitions import NAMES
from ranking.network.architecture import Architecture
from ranking.network.cross_attention import CrossAttentionRanker
from ranking.network.examples import RankedProducts
from ranking.network.files import open_network, save
from ranking.network.model import Model, shape_of
from ranking.network.shape import OUTCOMES, RankerShape
from ranking.network.training import TrainedRanker
from ranking.ranker import Ranker
from ranking.runtimes.onnx_runtime import described
from retrieval.context_facts import EVERY_NUMBER
from retrieval.encoders.networks.openvino_network import Network, precisions, trace
from retrieval.encoders.networks.openvino_network import is_installed as has_openvino

NUM_PRODUCTS, VECTOR_DIM, NUM_FACTS = 20_000, 384, 12
PAIR_TOKENS = 64
TREES, LEAVES, TREE_ROWS = 500, 31, 20_000
WARM = 10
ROW = "{:34} {:>6} {:>3} {:>9} {:>9} {:>9} {:>8}  {}"


class RankRequest(NamedTuple):
    """The arguments of a rank call."""

    rows: np.ndarray
    features: np.ndarray
    context: Context


class Times(NamedTuple):
    """Milliseconds of a call."""

    p50: float
    p99: float
    busy: float  # of all cores, median


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--candidates", type=int, nargs="+", default=[200, 1_000])
    given = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_ranker(folder / "ranker")
        describe(given.candidates)
        print(ROW.format("", "cand.", "thr", "p50 ms", "p99 ms", "busy ms", "ratio", "to torch"))
        for count in given.candidates:
            for threads in given.threads:
                compare(folder, asked(count), threads, given.calls)


def write_ranker(folder: Path) -> None:
    """Write a ranker of the default shape with random weights."""
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    vectors = random.normal(size=(NUM_PRODUCTS, VECTOR_DIM)).astype(np.float32) * VECTOR_DIM**-0.5
    products = RankedProducts(vectors, np.zeros(NUM_PRODUCTS, np.int32))
    model = Model(training_settings(Config()), products).eval()
    save(TrainedRanker(model, "purchase", ()), products, (), {}, folder)


def asked(count: int) -> RankRequest:
    random = np.random.default_rng(1)
    recent = Config().ranking.recent_products
    facts = np.concatenate([random.integers(1, 1_024, NUM_FACTS), np.zeros(12, np.int64)])
    return RankRequest(
        random.choice(NUM_PRODUCTS, count, replace=False),
        random.normal(size=(count, len(NAMES))).astype(np.float32),
        Context(
            random.normal(size=VECTOR_DIM).astype(np.float32),
            random.choice(NUM_PRODUCTS, recent, replace=False),
            random.random((recent, 2)).astype(np.float32),
            facts,
        ),
    )


def describe(candidates: Sequence[int]) -> None:
    """Print operations and bytes by formula, and as counted."""
    shape = shape_of(training_settings(Config()), VECTOR_DIM)._replace(dropout=0.0)
    network = CrossAttentionRanker(shape).eval()
    recent = Config().ranking.recent_products
    for count in candidates:
        inputs = example_inputs(network, count, recent, NUM_FACTS)
        # Attention as plain products, so that the counter sees them.
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            WholeCall(network)(*inputs.values())
        by_formula = operations(shape, count, recent, NUM_FACTS)
        counted = counter.get_total_flops()
        print(
            f"{count:,} candidates: {by_formula / 1e6:.1f} million operations by formula, "
            f"{counted / 1e6:.1f} counted ({by_formula / counted:.3f})"
        )
    told_bytes = weight_bytes(shape)
    held = sum(
        p.numel() * p.element_size()
        for name, p in network.named_parameters()
        if not name.startswith("from_fact")
    )
    print(
        f"weights read: {told_bytes:,} bytes by formula, {held:,} held ({told_bytes / held:.3f}); "
        f"tokens: {2 * shape.dim} bytes a candidate"
    )


def operations(shape: RankerShape, count: int, recent: int, facts: int) -> int:
    """Return multiplications and additions of matrices, as `CrossAttentionRanker` says."""
    d, f, b, m = shape.dim, shape.num_features, shape.bins, shape.points
    inner, hidden = shape.heads * shape.head_dim, shape.hidden

    def attention(queries: int, keys: int) -> int:
        return queries * (2 * d * inner + 2 * d * hidden + 2 * keys * inner) + 2 * keys * d * inner

    read = count * (2 * f * (b + 1) * d + 2 * d * d) + shape.vector_dim * d + 2 * recent * d
    looks = shape.layers * attention(count, 1 + recent + facts)
    across = attention(m, count) + attention(count, m) if m else 0
    return 2 * (read + looks + across + count * d * len(OUTCOMES))


def weight_bytes(shape: RankerShape) -> int:
    """Return the bytes of the weights that one call reads, in 32 bits, without biases."""
    d, f, b = shape.dim, shape.num_features, shape.bins
    attention = 4 * d * shape.heads * shape.head_dim + 2 * d * shape.hidden
    attentions = shape.layers + (2 if shape.points else 0)
    return 4 * (2 * f * (b + 1) * d + 2 * d * d + shape.vector_dim * d + attentions * attention)


def compare(folder: Path, given: RankRequest, threads: int, calls: int) -> None:
    """Print a row for each way to rank these candidates."""
    torch.set_num_threads(threads)
    count = len(given.rows)
    ranker = Ranker.open(folder / "ranker")
    expected = ranker.rank(*given).logits
    plain = measured(lambda: ranker.rank(*given), calls)
    print_row("torch fp32", count, threads, plain, plain, "")
    best = plain
    for name, make in ours(folder, threads):
        one = make()
        times = measured(lambda one=one: one.rank(*given), calls)
        away = f"{np.abs(one.rank(*given).logits - expected).max():.1e}"
        print_row(name, count, threads, times, plain, away)
        best = min(best, times, key=lambda t: t.p50)
    for name, make, why in peers(given, threads):
        if why:
            print(f"{name:34} {why}")
            continue
        call = make()
        slow = name.startswith("cross-encoder")
        times = measured(call, max(calls // 30, 5) if slow else calls, 1 if slow else WARM)
        note = f"{times.p50 / best.p50:.1f} times our fastest"
        print_row(name, count, threads, times, plain, note)


def ours(folder: Path, threads: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the ways to run our ranker, beside torch."""
    plain, small = folder / "bundle", folder / "bundle8"
    if not plain.exists():
        export(folder / "ranker", plain)
        quantise(plain, small)
    yield "ONNX Runtime fp32", lambda: Bundle.open(plain, threads)
    yield "ONNX Runtime int8", lambda: Bundle.open(small, threads)
    if has_openvino():
        for precision in precisions():
            yield (
                f"OpenVINO {precision}",
                lambda precision=precision: in_openvino(folder, precision, threads),
            )


class OpenVinoSession:
    """Answers as a session of ONNX Runtime does."""

    def __init__(self, network: Network, precision: str, threads: int) -> None:
        self._runner = network.compiled(precision, threads)

    def run(self, _: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        return self._runner.run([inputs])


def in_openvino(folder: Path, precision: str, threads: int) -> Bundle:
    _, network = open_network(folder / "ranker")
    inputs = example_inputs(network, 7, 5, 3)
    traced = trace(WholeCall(network), inputs)
    if precision == "int8":
        sample = [example_inputs(network, 200, 32, NUM_FACTS) for _ in range(4)]
        traced = traced.quantised([{k: v.numpy() for k, v in one.items()} for one in sample])
    tokens = map_array(folder / "ranker/tokens.npy")
    about = Architecture(
        shape=network.shape,
        features=NAMES,
        outcome="purchase",
        windows=(),
        facts=EVERY_NUMBER.codes,
    )
    return Bundle(OpenVinoSession(traced, precision, threads), tokens, described(about), {})


Peer = tuple[str, Callable[[], Callable[[], Any]], str]


def peers(given: RankRequest, threads: int) -> Iterator[Peer]:
    """Yield others that order the same candidates, and why one is left out."""
    missing = "" if has_openvino() and find_spec("transformers") else "skipped: not installed"
    yield (
        "cross-encoder, MiniLM size, int8",
        lambda: cross_encoder(len(given.rows), threads),
        missing,
    )
    for name, make in (("LightGBM", lightgbm_trees), ("XGBoost", xgboost_trees)):
        missing = "" if find_spec(name.lower()) else "skipped: not installed"
        yield f"{name}, {TREES} trees", lambda make=make: make(given.features, threads), missing


def cross_encoder(count: int, threads: int) -> Callable[[], Any]:
    """Return a call of a network of MiniLM's size (Wang et al. 2020) on `count` pairs."""
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1_536,
        num_labels=1,
    )

    class Pairs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert = BertForSequenceClassification(config).eval()

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            answer: torch.Tensor = self.bert(input_ids, attention_mask=attention_mask).logits
            return answer

    def pairs(number: int) -> dict[str, torch.Tensor]:
        ids = torch.randint(1_000, 30_000, (number, PAIR_TOKENS))
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    network = trace(Pairs().eval(), pairs(2))
    network = network.quantised([{k: v.numpy() for k, v in pairs(4).items()} for _ in range(2)])
    runner = network.compiled("int8", threads)
    whole = {name: part.numpy() for name, part in pairs(count).items()}
    parts = [{k: v[at : at + 8] for k, v in whole.items()} for at in range(0, count, 8)]
    return lambda: runner.run(parts)


def lightgbm_trees(features: np.ndarray, threads: int) -> Callable[[], Any]:
    import lightgbm

    x, y = tree_data(features.shape[1])
    settings = {"objective": "binary", "num_leaves": LEAVES, "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(x, y), TREES)
    return lambda: booster.predict(features, num_threads=threads)


def xgboost_trees(features: np.ndarray, threads: int) -> Callable[[], Any]:
    import xgboost

    x, y = tree_data(features.shape[1])
    settings = {
        "objective": "binary:logistic",
        "max_leaves": LEAVES,
        "max_depth": 0,
        "grow_policy": "lossguide",
        "tree_method": "hist",
        "nthread": 1,
    }
    booster = xgboost.train(settings, xgboost.DMatrix(x, y), TREES)
    booster.set_param({"nthread": threads})
    return lambda: booster.inplace_predict(features)


def tree_data(width: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(2)
    x = random.normal(size=(TREE_ROWS, width)).astype(np.float32)
    return x, (x[:, :4].sum(axis=1) + random.normal(size=TREE_ROWS) > 2).astype(np.float32)


def measured(call: Callable[[], Any], calls: int, warm: int = WARM) -> Times:
    """Return what a call takes."""
    for _ in range(warm):
        call()
    clock, busy = [], []
    for _ in range(calls):
        start, start_busy = perf_counter(), process_time()
        call()
        clock.append((perf_counter() - start) * 1e3)
        busy.append((process_time() - start_busy) * 1e3)
    return Times(*map(float, np.percentile(clock, [50, 99])), float(np.median(busy)))


def print_row(name: str, count: int, threads: int, times: Times, plain: Times, note: str) -> None:
    numbers = (f"{value:.2f}" for value in times)
    ratio = f"{plain.p50 / times.p50:.2f}x"
    print(ROW.format(name, count, threads, *numbers, ratio, note), flush=True)


if __name__ == "__main__":
    run_benchmark(main)
