"""Says why a candidate stands where it stands: what it looked at, and which features moved it."""

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ranking.answers import Explanation
from ranking.network.batch import Inputs
from ranking.network.cross_attention import CrossAttention, CrossAttentionRanker

STEPS = 32  # of the way from the average to the candidate


def explain(
    network: CrossAttentionRanker, inputs: Inputs, outcome: int, places: Int64[np.ndarray, "k"]
) -> Explanation:
    """Explain the logits of one outcome for the candidates at these places.

    Features are weighed by integrated gradients (Sundararajan, Taly and Yan, ICML 2017) on the way
    from the request's average features to the candidate's own, the rest of the list as it is: a
    row of `moved` sums to what the logit gains on that way.
    """
    chosen = torch.from_numpy(places)
    own = inputs._replace(
        candidates=inputs.candidates[:, chosen],
        features=inputs.features[:, chosen],
        kept=inputs.kept[:, chosen],
    )
    return Explanation(
        attention(network, own).numpy(), gradients(network, inputs, own, outcome).numpy()
    )


@torch.no_grad()
def attention(network: CrossAttentionRanker, inputs: Inputs) -> Float[Tensor, "k t"]:
    """Return how much each candidate looks at each context token, mean over layers and heads."""
    x = network.drop(inputs.candidates) + network.from_features(inputs.features)
    shares = []
    for layer in network.attend:
        assert isinstance(layer, CrossAttention)
        shares.append(layer.attention(x, inputs.context, inputs.context_mask)[0])
        x = layer(x, inputs.context, inputs.context_mask)
    return torch.stack(shares).mean(dim=0)


def gradients(
    network: CrossAttentionRanker, whole: Inputs, own: Inputs, outcome: int
) -> Float[Tensor, "k f"]:
    """Return the integrated gradients of the candidates in `own`, by the midpoint rule."""
    with torch.no_grad():
        average = whole.features.mean(dim=1, keepdim=True)
        met = network.met(whole.candidates, whole.features, whole.context, whole.context_mask)
        seen = network.across.sum_up(met, whole.kept) if network.across is not None else None
    way = own.features - average
    total = torch.zeros_like(way)
    for step in range(STEPS):
        at = (average + (step + 0.5) / STEPS * way).requires_grad_()
        x = network.met(own.candidates, at, own.context, own.context_mask)
        if network.across is not None and seen is not None:
            x = network.across.look(x, seen)
        [slope] = torch.autograd.grad(network.to_logits(x)[..., outcome].sum(), at)
        total += slope
    return (way * total / STEPS)[0]
