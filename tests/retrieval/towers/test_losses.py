import math

import pytest
import torch
from torch import Tensor

from retrieval.towers.losses import LOSSES, MARGIN, in_batch_softmax, margin, matryoshka, mse

NOBODY = torch.zeros(2, 3, dtype=torch.bool)
RIGHT = torch.tensor([[True, False, False], [False, True, False]])
EVEN = torch.zeros(3)


def similar() -> Tensor:
    return torch.tensor([[0.9, 0.1, 0.3], [0.2, 0.4, 0.6]])


def test_softmax_is_the_cross_entropy_when_one_column_is_right_and_none_is_frequent() -> None:
    found = in_batch_softmax(similar(), RIGHT, NOBODY, EVEN, 0.1)

    expected = torch.nn.functional.cross_entropy(similar() / 0.1, torch.tensor([0, 1]))
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


def test_two_right_columns_are_not_held_against_each_other() -> None:
    both = torch.tensor([[True, True, False]])

    found = in_batch_softmax(torch.tensor([[1.0, 1.0, 0.0]]), both, NOBODY[:1], EVEN, 1.0)

    assert found.item() == pytest.approx(math.log(1 + math.exp(-1)), rel=1e-6)


def test_an_ignored_column_changes_nothing() -> None:
    ignored = torch.tensor([[False, False, True], [False, False, True]])
    far, near = similar(), similar()
    near[:, 2] = 1.0

    found = [in_batch_softmax(s, RIGHT, ignored, EVEN, 0.1).item() for s in (far, near)]

    assert found[0] == found[1]


def test_a_frequent_wrong_column_counts_less() -> None:
    rare = in_batch_softmax(similar(), RIGHT, NOBODY, EVEN, 1.0)
    often = in_batch_softmax(similar(), RIGHT, NOBODY, torch.tensor([0.0, 0.0, 2.0]), 1.0)

    assert often < rare


def test_with_the_correction_the_best_similarity_is_the_probability_and_not_its_frequency() -> None:
    random = torch.Generator().manual_seed(0)
    chances = torch.tensor(
        [0.5, 0.3, 0.2]
    )  # of being bought, which is also how often they are drawn
    logits = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.Adam([logits], 0.02)
    for _ in range(1500):
        bought = torch.multinomial(chances, 64, replacement=True, generator=random)
        columns = torch.unique(bought)
        right = bought[:, None] == columns
        counts = (1 - (1 - chances[columns]) ** 64).log()
        nobody = torch.zeros_like(right)
        loss = in_batch_softmax(logits[columns].expand(64, -1), right, nobody, counts, 1.0)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()

    learnt = torch.softmax(logits.detach(), 0)

    assert torch.allclose(learnt, chances, atol=0.05)


def test_the_margin_is_kept_from_every_wrong_column() -> None:
    found = margin(similar(), RIGHT, NOBODY, EVEN)

    second = ((MARGIN - 0.4 + 0.2) + (MARGIN - 0.4 + 0.6)) / 2  # the first leads by more than that
    assert found.item() == pytest.approx((0 + second) / 2, rel=1e-6)


def test_a_margin_from_a_single_wrong_column_counts_in_full() -> None:
    right = torch.tensor([[True, False]])

    found = margin(torch.tensor([[0.4, 0.6]]), right, NOBODY[:1, :2], EVEN[:2])

    assert found.item() == pytest.approx(MARGIN - 0.4 + 0.6, rel=1e-6)


def test_the_usual_temperature_is_a_twentieth() -> None:
    found = in_batch_softmax(similar(), RIGHT, NOBODY, EVEN)

    assert found == in_batch_softmax(similar(), RIGHT, NOBODY, EVEN, 0.05)


def test_right_and_wrong_columns_are_half_of_the_mse_each_and_ignored_ones_none() -> None:
    ignored = torch.tensor([[False, True, False], [False, False, False]])

    found = mse(similar(), RIGHT, ignored, EVEN)

    right = (0.1**2 + 0.6**2) / 2
    wrong = (0.3**2 + (0.2**2 + 0.6**2) / 2) / 2
    assert found.item() == pytest.approx((right + wrong) / 2, rel=1e-6)


def test_mse_is_nothing_when_right_is_one_and_wrong_is_zero() -> None:
    assert mse(RIGHT.float(), RIGHT, NOBODY, EVEN).item() == 0
    assert mse(similar(), RIGHT, NOBODY, EVEN).item() > 0


@pytest.mark.parametrize("name", LOSSES)
def test_a_query_without_an_answer_adds_nothing(name: str) -> None:
    unanswered = torch.cat([RIGHT, NOBODY[:1]])
    more = torch.cat([similar(), torch.tensor([[0.9, 0.8, 0.7]])])

    alone = LOSSES[name](similar(), RIGHT, NOBODY, EVEN, 0.1)
    beside = LOSSES[name](more, unanswered, torch.zeros(3, 3, dtype=torch.bool), EVEN, 0.1)

    assert beside.item() == pytest.approx(alone.item(), rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_the_order_of_the_columns_does_not_matter(name: str) -> None:
    order = torch.tensor([2, 0, 1])
    counts = torch.tensor([0.1, 0.7, 0.4])

    straight = LOSSES[name](similar(), RIGHT, NOBODY, counts, 0.1)
    mixed = LOSSES[name](similar()[:, order], RIGHT[:, order], NOBODY, counts[order], 0.1)

    assert mixed.item() == pytest.approx(straight.item(), rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_a_better_right_column_lowers_the_loss(name: str) -> None:
    better = similar()
    better[1, 1] = 0.7

    losses = [LOSSES[name](s, RIGHT, NOBODY, EVEN, 0.1) for s in (similar(), better)]

    assert losses[1] < losses[0]


def test_matryoshka_is_the_mean_over_the_lengths() -> None:
    asked: list[int] = []

    def compare(dim: int) -> Tensor:
        asked.append(dim)
        return torch.full((1, 1), float(dim))

    found = matryoshka(lambda similarities: similarities.sum(), compare, (4, 2))

    assert (found.item(), asked) == (3.0, [4, 2])
