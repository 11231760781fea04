import numpy as np
import pytest
import torch

from ranking.network.batch import Inputs
from ranking.network.cross_attention import FARTHEST, CrossAttentionRanker
from ranking.network.explanation import STEPS, explain
from tests.ranking.shapes import SHAPE

PLACES = np.array([4, 0])


@pytest.fixture(params=[0, 3], ids=["alone", "across"])
def network(request: pytest.FixtureRequest) -> CrossAttentionRanker:
    torch.manual_seed(0)
    return CrossAttentionRanker(SHAPE._replace(points=request.param)).eval()


@pytest.fixture
def inputs() -> Inputs:
    torch.manual_seed(1)
    return Inputs(
        torch.randn(1, 6, 8),
        torch.randn(1, 6, 3),
        torch.ones(1, 6, dtype=torch.bool),
        torch.randn(1, 4, 8),
        torch.tensor([[False, True, True, True]]),
    )


def test_attention_is_shared_out_among_real_tokens(
    network: CrossAttentionRanker, inputs: Inputs
) -> None:
    attended = explain(network, inputs, 0, PLACES).attended

    np.testing.assert_allclose(attended.sum(axis=1), 1, rtol=1e-5)
    assert (attended[:, 0] == 0).all()
    assert (attended[:, 1:] > 0).all()


def test_what_moved_it_adds_up_to_what_the_logit_gained(
    network: CrossAttentionRanker, inputs: Inputs
) -> None:
    moved = explain(network, inputs, 2, PLACES).moved

    with torch.no_grad():
        whole = network(*inputs)[0, :, 2]
        met = network.met(inputs.candidates, inputs.features, inputs.context, inputs.context_mask)
        average = inputs.features.mean(dim=1, keepdim=True).expand_as(inputs.features)
        start = network.met(inputs.candidates, average, inputs.context, inputs.context_mask)
        if network.across is not None:
            start = network.across.look(start, network.across.sum_up(met, inputs.kept))
        gained = whole - network.to_logits(start)[0, :, 2]
    np.testing.assert_allclose(moved.sum(axis=1), gained[PLACES].numpy(), atol=2e-3)


def test_what_moved_it_is_the_mean_of_the_gradients_of_autograd(
    network: CrossAttentionRanker, inputs: Inputs
) -> None:
    far = inputs._replace(features=10 * inputs.features)  # many are cut on their way

    moved = explain(network, far, 1, np.arange(6)).moved

    average = far.features.mean(dim=1, keepdim=True)
    way, total = far.features - average, torch.zeros_like(far.features)
    for step in range(STEPS):
        at = (average + (step + 0.5) / STEPS * way).requires_grad_()
        x = network.met(far.candidates, at, far.context, far.context_mask)
        if network.across is not None:
            met = network.met(far.candidates, far.features, far.context, far.context_mask)
            x = network.across.look(x, network.across.sum_up(met, far.kept))
        total += torch.autograd.grad(network.to_logits(x)[..., 1].sum(), at)[0]
    assert (far.features.abs() > FARTHEST).sum() > 5
    np.testing.assert_allclose(moved, (way * total / STEPS)[0].numpy(), atol=1e-5)


def test_a_feature_at_its_average_moved_nothing(
    network: CrossAttentionRanker, inputs: Inputs
) -> None:
    features = inputs.features.clone()
    features[..., 1] = 0.5

    moved = explain(network, inputs._replace(features=features), 0, PLACES).moved

    assert np.abs(moved[:, 1]).max() < 1e-6
    assert np.abs(moved[:, 0]).max() > 1e-6
