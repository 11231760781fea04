import math
from itertools import permutations

import pytest
import torch

from ranking.network.losses import (
    ORDER_LOSSES,
    VALUE_LOSSES,
    cross_entropy,
    lambda_loss,
    listwise,
    mse,
    pairwise,
)

LOSSES = [*ORDER_LOSSES.values(), *VALUE_LOSSES.values()]


@pytest.mark.parametrize("padding", [0.0, 1.0])
@pytest.mark.parametrize("loss", LOSSES)
def test_padding_does_not_change_a_loss(loss, padding: float) -> None:  # type: ignore[no-untyped-def]
    """Padding has the label 0, and whatever logit the network makes of it."""
    logits, labels = torch.randn(2, 4), torch.tensor([[1.0, 0, 0, 1], [0, 1, 0, 0]])
    wide = torch.cat([logits, torch.full((2, 3), 50.0)], dim=1)
    wide_labels = torch.cat([labels, torch.full((2, 3), padding)], dim=1)
    weights = torch.cat([torch.ones(2, 4), torch.zeros(2, 3)], dim=1)

    torch.testing.assert_close(
        loss(logits, labels, torch.ones(2, 4)), loss(wide, wide_labels, weights)
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_a_list_of_which_nothing_is_known_costs_nothing(loss) -> None:  # type: ignore[no-untyped-def]
    logits = torch.randn(1, 4, requires_grad=True)

    found = loss(logits, torch.ones(1, 4), torch.zeros(1, 4))
    torch.autograd.backward(found)

    assert found.item() == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


def test_losses_are_what_the_formulas_say() -> None:
    logits, labels = torch.zeros(1, 4), torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    ones = torch.ones(1, 4)

    assert listwise(logits, labels, ones).item() == pytest.approx(math.log(4))
    assert pairwise(logits, labels, ones).item() == pytest.approx(math.log(2))
    assert cross_entropy(logits, labels, ones).item() == pytest.approx(math.log(2))
    assert mse(logits, labels, ones).item() == pytest.approx(0.25)


def test_what_was_seldom_seen_counts_as_often_as_it_would_have_been() -> None:
    logits, labels = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    twice = torch.tensor([[2.0, 1.0, 0.0, 2.0]])
    as_two = cross_entropy(twice, torch.tensor([[1.0, 1.0, 0.0, 1.0]]), torch.ones(1, 4))

    weighed = cross_entropy(logits, labels, torch.tensor([[2.0, 1.0, 1.0]]))

    torch.testing.assert_close(weighed, as_two)


def test_a_swap_costs_what_it_changes_of_ndcg() -> None:
    logits, ones = torch.tensor([[3.0, 2.0, 1.0, 0.0]]), torch.ones(1, 4)
    discounts = [1 / math.log2(place + 2) for place in range(4)]
    wanted = torch.tensor([[0.0, 0.0, 1.0, 0.0]])
    by_hand = sum(
        math.log1p(math.exp(logits[0, other] - logits[0, 2])) * abs(discounts[2] - discounts[other])
        for other in (0, 1, 3)
    )

    found = lambda_loss(logits, wanted, ones)

    assert found.item() == pytest.approx(by_hand / discounts[0], rel=1e-5)


def test_a_list_in_its_best_order_costs_less_than_any_other() -> None:
    labels, ones = torch.tensor([[1.0, 0.5, 0.0]]), torch.ones(1, 3)
    orders = [torch.tensor([[a, b, 3 - a - b]]).float() for a, b in permutations(range(3), 2)]

    costs = {tuple(o[0].tolist()): lambda_loss(o, labels, ones).item() for o in orders}

    assert min(costs, key=costs.__getitem__) == (2.0, 1.0, 0.0)


@pytest.mark.parametrize("loss", ORDER_LOSSES.values())
def test_a_candidate_of_unknown_outcome_changes_no_order_loss(loss) -> None:  # type: ignore[no-untyped-def]
    logits, labels = torch.tensor([[0.5, 2.0, 1.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    known = torch.tensor([[1.0, 0.0, 1.0]])

    found, other = (loss(torch.tensor([[0.5, at, 1.0]]), labels, known) for at in (2.0, -9.0))

    torch.testing.assert_close(found, other)
    torch.testing.assert_close(found, loss(logits[:, [0, 2]], labels[:, [0, 2]], torch.ones(1, 2)))


def test_what_was_wanted_has_the_place_of_the_whole_list_in_a_thinned_one() -> None:
    """Nine wrong products before it, of which three are left that stand for three each."""
    whole = torch.cat([torch.linspace(9, 1, 9), torch.tensor([0.0])])[None]
    wanted = torch.tensor([[0.0] * 9 + [1.0]])
    kept = [1, 4, 7, 9]
    weights = torch.tensor([[3.0, 3.0, 3.0, 1.0]])
    discounts = [1 / math.log2(place + 2) for place in range(10)]
    by_hand = sum(
        3 * math.log1p(math.exp(whole[0, other])) * (discounts[other] - discounts[9])
        for other in (1, 4, 7)
    )

    thin = lambda_loss(whole[:, kept], wanted[:, kept], weights)

    assert thin.item() == pytest.approx(by_hand, rel=1e-5)  # the best possible DCG is 1
