import math
from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
import torch
from torch import Tensor

from ranking.network.losses import (
    ORDER_LOSSES,
    VALUE_LOSSES,
    cross_entropy,
    lambda_loss,
    listwise,
    mse,
    pairwise,
)

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]  # of logits, labels and weights
COUNTED = 60  # places of an order
LOSSES = [*ORDER_LOSSES.values(), *VALUE_LOSSES.values()]


@pytest.mark.parametrize("padding", [0.0, 1.0])
@pytest.mark.parametrize("loss", LOSSES)
def test_padding_does_not_change_a_loss(loss: Loss, padding: float) -> None:
    """Padding has the label 0, and whatever logit the network makes of it."""
    logits, labels = torch.randn(2, 4), torch.tensor([[1.0, 0, 0, 1], [0, 1, 0, 0]])
    wide = torch.cat([logits, torch.full((2, 3), 50.0)], dim=1)
    wide_labels = torch.cat([labels, torch.full((2, 3), padding)], dim=1)
    weights = torch.cat([torch.ones(2, 4), torch.zeros(2, 3)], dim=1)

    torch.testing.assert_close(
        loss(logits, labels, torch.ones(2, 4)), loss(wide, wide_labels, weights)
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_a_list_of_which_nothing_is_known_costs_nothing(loss: Loss) -> None:
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
def test_a_candidate_of_unknown_outcome_changes_no_order_loss(loss: Loss) -> None:
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


def lists(random: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return three lists, longer than what counts for an order: of the last came nothing."""
    logits = random.normal(size=(3, COUNTED + 9))
    labels = random.choice([0.0, 0.0, 0.25, 0.5, 1.0], logits.shape)
    weights = random.choice([0.0, 0.5, 1.0, 3.0], logits.shape)
    labels[1:] = 0.0
    labels[1, 7], weights[1, 7] = 0.25, 0.5
    return torch.tensor(logits), torch.tensor(labels), torch.tensor(weights)


def places(logits: list[float], labels: list[float], weights: list[float]) -> list[float]:
    """Return the place of each candidate of the whole list, from 0 on, by looking at all others."""
    fills = [
        float(weight > 0) if label > 0 else weight
        for label, weight in zip(labels, weights, strict=True)
    ]
    return [
        sum(fill for fill, other in zip(fills, logits, strict=True) if other > logit)
        + (own - 1) / 2
        for own, logit in zip(fills, logits, strict=True)
    ]


def discount(place: float) -> float:
    return 1 / math.log2(place + 2) if place < COUNTED else 0.0


def lambda_by_hand(logits: list[float], labels: list[float], weights: list[float]) -> float | None:
    gains = [label for label, weight in zip(labels, weights, strict=True) if weight]
    best = sum(gain * discount(at) for at, gain in enumerate(sorted(gains, reverse=True)))
    discounts = [discount(place) for place in places(logits, labels, weights)]
    lost = sum(
        weights[i]
        * weights[j]
        * (labels[i] - labels[j])
        * abs(discounts[i] - discounts[j])
        * math.log1p(math.exp(logits[j] - logits[i]))
        for i in range(len(logits))
        for j in range(len(logits))
        if labels[i] > labels[j]
    )
    return lost / best if best else None


@pytest.mark.parametrize("seed", range(3))
def test_the_lambda_loss_is_the_mean_of_lists_worked_out_pair_by_pair(seed: int) -> None:
    given = lists(np.random.default_rng(seed))

    found = lambda_loss(*given)

    by_hand = [lambda_by_hand(*one) for one in zip(*(part.tolist() for part in given), strict=True)]
    known = [one for one in by_hand if one is not None]
    assert len(known) == 2
    assert found.item() == pytest.approx(sum(known) / 2, rel=1e-9)


def test_a_place_too_deep_to_count_is_the_first_behind_the_deepest() -> None:
    logits = -torch.arange(COUNTED + 1.0)[None]
    labels = torch.zeros_like(logits)
    labels[0, -1] = 1.0  # a swap with the first place gains all of its discount

    found = lambda_loss(logits, labels, torch.ones_like(logits))

    by_hand = sum(
        math.log1p(math.exp(COUNTED - place)) / math.log2(place + 2) for place in range(COUNTED)
    )
    assert found.item() == pytest.approx(by_hand, rel=1e-5)


def test_pairs_count_by_the_product_of_their_weights() -> None:
    logits, labels, weights = lists(np.random.default_rng(3))

    found = pairwise(logits, labels, weights)

    pairs = [
        (weights[b, i] * weights[b, j], math.log1p(math.exp(logits[b, j] - logits[b, i])))
        for b, i, j in np.ndindex(*logits.shape, logits.shape[1])
        if labels[b, i] > labels[b, j]
    ]
    by_hand = sum(weight * loss for weight, loss in pairs) / sum(weight for weight, _ in pairs)
    assert found.item() == pytest.approx(float(by_hand), rel=1e-9)


def test_a_list_counts_by_the_mean_weight_of_what_was_wanted_of_it() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 0.0], [5.0, 1.0, 0.0]])
    labels = torch.tensor([[0.5, 0.0, 0.25], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    weights = torch.tensor([[0.2, 1.0, 0.6], [3.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    shares = torch.log_softmax(logits[0], dim=0)
    first = -(0.1 * shares[0] + 0.15 * shares[2]) / 0.25
    second = math.log(1 + math.exp(-1))

    found = listwise(logits, labels, weights)

    weight = 0.25 / 0.75  # of the gains 0.1 and 0.15, over the labels 0.5 and 0.25
    assert found.item() == pytest.approx(float((weight * first + 3 * second) / (weight + 3)))


def test_little_weight_is_a_weight() -> None:
    logits, labels, quarter = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), torch.full((1, 2), 0.1)

    assert listwise(logits, labels, quarter).item() == pytest.approx(math.log(2))
    assert pairwise(logits, labels, quarter).item() == pytest.approx(math.log(2))
    assert cross_entropy(logits, labels, quarter).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("loss", ORDER_LOSSES.values())
def test_a_list_of_one_has_no_order(loss: Loss) -> None:
    for label in (0.0, 1.0):
        found = loss(torch.tensor([[2.0]]), torch.tensor([[label]]), torch.ones(1, 1))

        assert found.item() == 0
