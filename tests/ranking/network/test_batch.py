from collections.abc import Sequence

import numpy as np
import pytest
import torch

from ranking.network.batch import Sizes, batch_in, batch_of, fill, inputs, memory, sizes_of
from ranking.rank_call import RankCall
from ranking.runtimes.torch_runtime import TorchRuntime
from tests.assertions import each
from tests.ranking.calls import call, network, tokens, without_numbers
from tests.ranking.shapes import SHAPE

LENGTHS = (1, 9, 200, 33)


@pytest.fixture(scope="module")
def runtime() -> TorchRuntime:
    return TorchRuntime(network(), tokens())


@pytest.fixture(scope="module")
def calls() -> list[RankCall]:
    return [call(seed, count) for seed, count in enumerate(LENGTHS)]


def test_a_request_scores_the_same_alone_and_beside_others(
    runtime: TorchRuntime, calls: list[RankCall]
) -> None:
    together = runtime.logits(calls)

    for one, found in each(zip(calls, together, strict=True)):
        [alone] = runtime.logits([one])
        np.testing.assert_allclose(found, alone, rtol=1e-4, atol=1e-5)


def test_a_request_without_numbers_spoils_itself_alone(
    runtime: TorchRuntime, calls: list[RankCall]
) -> None:
    expected = runtime.logits(calls)

    found = runtime.logits([calls[0], without_numbers(calls[1]), *calls[2:]])

    assert np.isnan(found[1]).any()
    for place in (0, 2, 3):
        np.testing.assert_allclose(found[place], expected[place], rtol=1e-4, atol=1e-5)


def test_unused_places_change_nothing(runtime: TorchRuntime, calls: list[RankCall]) -> None:
    sizes = Sizes(6, 256, 7, 24)

    found = logits_in(sizes, calls)

    for place, one in enumerate(runtime.logits(calls)):
        np.testing.assert_allclose(found[place, : len(one)], one, rtol=1e-4, atol=1e-5)


def test_nothing_of_an_earlier_batch_is_left_in_unused_places() -> None:
    sizes = Sizes(2, 64, 5, 6)
    held = memory(sizes, SHAPE)
    batch = batch_in(held, sizes, SHAPE)
    fill(batch, [without_numbers(call(1, 64)), without_numbers(call(3, 64))])

    fill(batch, [call(5, 9)])

    fresh = memory(sizes, SHAPE)
    fill(batch_in(fresh, sizes, SHAPE), [call(5, 9)])
    for part, expected in each(zip(held, fresh, strict=True)):
        torch.testing.assert_close(part, expected, rtol=0, atol=0)


def test_a_batch_is_as_small_as_its_requests_allow(calls: list[RankCall]) -> None:
    sizes = sizes_of(calls)

    assert sizes[:2] == (4, 200)
    assert sizes.recent == max(int((c.context.recent >= 0).sum()) for c in calls)
    assert [tuple(part.shape[:1]) for part in batch_of(calls, SHAPE)] == [(4,)] * 7


def logits_in(sizes: Sizes, calls: Sequence[RankCall]) -> np.ndarray:
    """Return the logits of a batch that has more places than it needs."""
    ranker, table = network(), torch.from_numpy(tokens())
    batch = batch_in(memory(sizes, SHAPE), sizes, SHAPE)
    fill(batch, calls)
    with torch.inference_mode():
        taken = inputs(ranker, batch, lambda rows: table[rows.clamp(min=0)].float())
        answer: np.ndarray = ranker(*taken).numpy()
    return answer
