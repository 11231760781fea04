import math

import pytest
import torch

from ranking.losses import ORDER_LOSSES, VALUE_LOSSES, cross_entropy, listwise, mse, pairwise

LOSSES = [*ORDER_LOSSES.values(), *VALUE_LOSSES.values()]


@pytest.mark.parametrize("loss", LOSSES)
def test_padding_does_not_change_a_loss(loss) -> None:  # type: ignore[no-untyped-def]
    logits, labels = torch.randn(2, 4), torch.tensor([[1.0, 0, 0, 1], [0, 1, 0, 0]])
    wide = torch.cat([logits, torch.full((2, 3), 50.0)], dim=1)
    wide_labels = torch.cat([labels, torch.ones(2, 3)], dim=1)
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
