import logging
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import ranking.runtimes.choosing
from ranking.bundle import EXPLANATION, NETWORK
from ranking.calibration.calibration import SIGMOID
from ranking.compression.export import write_explanation, write_graphs
from ranking.network.examples import RankedProducts
from ranking.network.files import open_network, save
from ranking.network.model import Model, RankerSettings, shape_of
from ranking.network.shape import RankerShape
from ranking.network.training import TrainedRanker
from ranking.rank_call import RankCall
from ranking.ranker import EXPLAINED_AT_ONCE, Ranker
from ranking.runtimes.choosing import choose
from ranking.runtimes.cuda_graphs import has_gpu
from ranking.runtimes.onnx_runtime import NEARLY_ALL, OnnxExplainer
from ranking.runtimes.request_batching import BatchingRuntime, TooLate
from ranking.runtimes.torch_runtime import TorchRuntime
from ranking.runtimes.types import AUTO, CUDA, ONNX, TORCH, Runtime, RuntimeSettings
from tests.assertions import each
from tests.ranking.calls import call

VECTOR_DIM, NUM_PRODUCTS = 6, 1_500  # as many as the requests of `calls` name


def written(folder: Path, seed: int) -> Path:
    """Write a ranker of random weights."""
    random = np.random.default_rng(0)
    products = RankedProducts(
        random.normal(size=(NUM_PRODUCTS, VECTOR_DIM)).astype(np.float32),
        np.arange(NUM_PRODUCTS, dtype=np.int32) % 3,
    )
    torch.manual_seed(seed)
    settings = RankerSettings(dim=8, heads=2, layers=1, points=3, epochs=1, learning_rate=1e-3)
    model = Model(settings, products).eval()
    for weights in model.parameters():
        torch.nn.init.normal_(weights, std=0.3)
    save(TrainedRanker(model, "purchase", ()), products, ("search",), {"purchase": SIGMOID}, folder)
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("rankers") / "plain", 0)


@pytest.fixture(scope="module")
def graphed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = written(tmp_path_factory.mktemp("rankers") / "graphed", 0)
    write_graphs(folder)
    return folder


@pytest.fixture
def no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking.runtimes.choosing, "has_gpu", lambda: False)


def asked(seed: int, count: int) -> RankCall:
    return call(seed, count, shape())


def shape() -> RankerShape:
    settings = RankerSettings(dim=8, heads=2, layers=1, points=3, epochs=1, learning_rate=1e-3)
    return shape_of(settings, VECTOR_DIM)


class Off:
    """A runtime whose logits are all this far from 0."""

    def __init__(self, distance: float) -> None:
        self.distance = distance

    def logits(self, calls: Sequence[RankCall]) -> list[np.ndarray]:
        return [np.full((len(one.rows), 4), self.distance, np.float32) for one in calls]


def missing() -> Runtime:
    raise RuntimeError("no room on the GPU")


@pytest.mark.parametrize(
    ("others", "wanted", "expected"),
    [
        ({CUDA: lambda: Off(1e-6), ONNX: lambda: Off(0.0)}, AUTO, CUDA),
        ({CUDA: lambda: Off(1e-3), ONNX: lambda: Off(0.0)}, AUTO, ONNX),
        ({CUDA: lambda: Off(np.nan), ONNX: lambda: Off(0.0)}, AUTO, ONNX),
        ({CUDA: missing, ONNX: lambda: Off(0.0)}, AUTO, ONNX),
        ({CUDA: missing}, AUTO, TORCH),
        ({CUDA: lambda: Off(0.0), ONNX: lambda: Off(0.0)}, ONNX, ONNX),
        ({CUDA: lambda: Off(0.0), ONNX: lambda: Off(0.0)}, TORCH, TORCH),
        ({}, ONNX, TORCH),
        ({}, AUTO, TORCH),
    ],
)
def test_the_first_wanted_runtime_that_answers_as_torch_does_is_taken(
    others: dict[str, Callable[[], Runtime]], wanted: str, expected: str
) -> None:
    name, _ = choose(Off(0.0), others, wanted, [asked(1, 5)])

    assert name == expected


def test_what_is_passed_over_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        choose(Off(0.0), {CUDA: missing, ONNX: lambda: Off(0.5)}, AUTO, [asked(1, 5)])
        choose(Off(0.0), {}, ONNX, [asked(1, 5)])

    assert [record.getMessage() for record in caplog.records] == [
        "the ranker does not run on cuda: no room on the GPU",
        "the ranker is not run on onnx: a logit is 5.0e-01 away from torch's",
        "the ranker cannot run on onnx here, so torch stands in",
    ]


@pytest.mark.usefixtures("no_card")
def test_without_its_graph_a_ranker_runs_in_torch(plain: Path) -> None:
    assert Ranker.open(plain, RuntimeSettings(AUTO)).runtime == TORCH
    assert Ranker.open(plain).runtime == TORCH


@pytest.mark.usefixtures("no_card")
@pytest.mark.parametrize("seed", [1, 2])
def test_on_onnx_runtime_a_ranker_scores_and_explains_as_in_torch(
    plain: Path, graphed: Path, seed: int
) -> None:
    expected, found = Ranker.open(plain), Ranker.open(graphed, RuntimeSettings(AUTO))
    one, places = asked(seed, 140), np.arange(139, 0, -2)

    assert (expected.runtime, found.runtime) == (TORCH, ONNX)
    there, here = expected.rank(*one), found.rank(*one)
    np.testing.assert_allclose(here.logits, there.logits, atol=1e-4)
    here_why, there_why = found.explain(*one, places), expected.explain(*one, places)
    assert len(places) > EXPLAINED_AT_ONCE
    assert isinstance(found._explainer, OnnxExplainer)
    assert isinstance(expected._explainer, TorchRuntime)
    away = np.abs(here_why.moved - there_why.moved)
    assert np.quantile(away, NEARLY_ALL) < 1e-6
    assert away.max() < 5e-4  # where a step of the way falls on the edge of a bin
    np.testing.assert_allclose(here_why.attended, there_why.attended, atol=1e-6)


@pytest.mark.usefixtures("no_card")
@pytest.mark.parametrize("places", [[], [5]])
def test_as_many_candidates_are_explained_as_are_asked_for(
    graphed: Path, places: list[int]
) -> None:
    one = asked(1, 40)

    found = Ranker.open(graphed).explain(*one, np.array(places, np.int64))

    assert len(found.moved) == len(found.attended) == len(places)


@pytest.mark.usefixtures("no_card")
@pytest.mark.parametrize("damage", ["another", "half"])
def test_what_explains_otherwise_than_the_build_is_passed_over(
    plain: Path, graphed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    folder, other = tmp_path / "damaged", tmp_path / "other"
    shutil.copytree(graphed, folder)
    graph = (folder / EXPLANATION).read_bytes()
    if damage == "another":
        write_explanation(open_network(written(other, 1))[1], folder / EXPLANATION)
    else:
        (folder / EXPLANATION).write_bytes(graph[: len(graph) // 2])
    one, places = asked(1, 40), np.array([3, 0])

    with caplog.at_level(logging.WARNING):
        found = Ranker.open(folder).explain(*one, places)

    np.testing.assert_array_equal(found.moved, Ranker.open(plain).explain(*one, places).moved)
    assert "rankings are explained with torch" in caplog.text


@pytest.mark.usefixtures("no_card")
def test_the_graph_of_another_ranker_is_passed_over(
    graphed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = written(tmp_path / "other", 1)
    (other / NETWORK).write_bytes((graphed / NETWORK).read_bytes())

    with caplog.at_level(logging.WARNING):
        ranker = Ranker.open(other, RuntimeSettings(AUTO))

    assert ranker.runtime == TORCH
    assert "away from torch's" in caplog.text


@pytest.mark.usefixtures("no_card")
def test_a_damaged_graph_is_passed_over(
    graphed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = written(tmp_path / "other", 0)
    content = (graphed / NETWORK).read_bytes()
    (other / NETWORK).write_bytes(content[: len(content) // 2])

    with caplog.at_level(logging.WARNING):
        ranker = Ranker.open(other, RuntimeSettings(AUTO))

    assert ranker.runtime == TORCH
    assert "ranker.onnx is not a network" in caplog.text


@pytest.mark.gpu
@pytest.mark.skipif(not has_gpu(), reason="torch sees no GPU here")
def test_a_card_is_taken_where_there_is_one(plain: Path) -> None:
    expected, found = Ranker.open(plain), Ranker.open(plain, RuntimeSettings(AUTO, recent=5))

    assert found.runtime == CUDA
    np.testing.assert_allclose(
        found.rank(*asked(1, 40)).logits, expected.rank(*asked(1, 40)).logits, atol=1e-4
    )


@pytest.mark.usefixtures("no_card")
def test_batched_requests_get_the_answers_that_they_get_alone(plain: Path) -> None:
    alone, batched = Ranker.open(plain), Ranker.open(plain, RuntimeSettings(batch_requests=4))
    calls = [asked(seed, 5 + seed) for seed in range(40)]

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda one: batched.rank(*one, 60_000.0), calls))

    for one, answer in each(zip(calls, found, strict=True)):
        np.testing.assert_allclose(answer.logits, alone.rank(*one).logits, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("no_card")
def test_a_ranker_on_the_processor_has_no_queue_unless_asked(plain: Path) -> None:
    assert Ranker.open(plain, RuntimeSettings(AUTO))._opened.queue is None
    assert isinstance(
        Ranker.open(plain, RuntimeSettings(batch_requests=2))._opened.queue, BatchingRuntime
    )


@pytest.mark.usefixtures("no_card")
def test_a_rank_call_whose_time_is_over_in_the_queue_says_so(
    plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranker = Ranker.open(plain, RuntimeSettings(batch_requests=2))
    monkeypatch.setattr(ranker._opened.queue, "_busy", True)

    with pytest.raises(TooLate):
        ranker.rank(*asked(1, 5), 1.0)
