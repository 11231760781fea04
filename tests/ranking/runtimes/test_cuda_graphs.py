from collections.abc import Sequence
from threading import Thread

import numpy as np
import pytest
import torch

from ranking.rank_call import RankCall
from ranking.runtimes.cuda_graphs import GraphRuntime, exactly, has_gpu
from ranking.runtimes.torch_runtime import TorchRuntime
from tests.ranking.calls import (
    MOST_FACTS,
    MOST_RECENT,
    call,
    network,
    tokens,
    without_numbers,
)
from tests.ranking.shapes import SHAPE

WIDE = SHAPE._replace(dim=64, heads=4, head_dim=16, hidden=128, points=16)
LENGTHS = (1, 31, 32, 33, 64, 100)
BEYOND = 101  # candidates, and more than any recorded shape holds

on_a_card = pytest.mark.skipif(not has_gpu(), reason="torch sees no GPU here")
devices = pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, on_a_card])]
)


def opened(device: str) -> GraphRuntime:
    return GraphRuntime(
        network(WIDE),
        tokens(WIDE),
        candidates=(32, 64, 100),
        requests=(1, 2, 4),
        recent=MOST_RECENT,
        facts=MOST_FACTS,
        device=device,
    )


@pytest.fixture(scope="module")
def runtimes() -> dict[str, GraphRuntime]:
    return {device: opened(device) for device in ("cpu", "cuda") if device == "cpu" or has_gpu()}


@pytest.fixture(scope="module")
def plain() -> TorchRuntime:
    return TorchRuntime(network(WIDE), tokens(WIDE))


def asked(seed: int, count: int) -> RankCall:
    return call(seed, count, WIDE)


def assert_near(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@devices
@pytest.mark.parametrize("count", [*LENGTHS, BEYOND, 1_000])
def test_scores_are_those_of_the_processor_on_both_sides_of_each_recorded_length(
    runtimes: dict[str, GraphRuntime], plain: TorchRuntime, device: str, count: int
) -> None:
    for seed in (2, 3):
        calls = [asked(seed, count)]

        found = runtimes[device].logits(calls)

        assert_near(found, plain.logits(calls))


@devices
@pytest.mark.parametrize("together", [2, 3, 4, 5, 9])
def test_requests_side_by_side_score_as_alone(
    runtimes: dict[str, GraphRuntime], plain: TorchRuntime, device: str, together: int
) -> None:
    calls = [asked(seed, LENGTHS[seed % len(LENGTHS)]) for seed in range(together)]

    found = runtimes[device].logits(calls)

    assert_near(found, [plain.logits([one])[0] for one in calls])


@devices
def test_a_request_without_numbers_spoils_neither_its_neighbours_nor_the_next(
    runtimes: dict[str, GraphRuntime], plain: TorchRuntime, device: str
) -> None:
    runtime, healthy = runtimes[device], asked(3, 20)

    _, spoilt = runtime.logits([healthy, without_numbers(asked(5, 64))])
    beside, _ = runtime.logits([healthy, without_numbers(asked(5, 64))])
    after = runtime.logits([healthy, asked(4, 9)])

    assert np.isnan(spoilt).any()
    assert_near([beside], plain.logits([healthy]))
    assert_near(after, plain.logits([healthy, asked(4, 9)]))


@devices
def test_answers_do_not_change_when_the_next_request_is_answered(
    runtimes: dict[str, GraphRuntime], plain: TorchRuntime, device: str
) -> None:
    first = runtimes[device].logits([asked(3, 20)])
    runtimes[device].logits([asked(7, 20)])

    assert_near(first, plain.logits([asked(3, 20)]))


@devices
def test_many_threads_each_get_their_own_scores(
    runtimes: dict[str, GraphRuntime], plain: TorchRuntime, device: str
) -> None:
    found: dict[int, list[np.ndarray]] = {}

    def work(seed: int) -> None:
        for _ in range(5):
            found[seed] = runtimes[device].logits([asked(seed, 10 * seed + 1)])

    threads = [Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for seed in range(8):
        assert_near(found[seed], plain.logits([asked(seed, 10 * seed + 1)]))


def test_multiplication_is_exact_only_while_asked_for() -> None:
    before = torch.get_float32_matmul_precision()

    with exactly():
        inside = torch.get_float32_matmul_precision()

    assert inside == "highest"
    assert torch.get_float32_matmul_precision() == before
