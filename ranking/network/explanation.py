"""Says why a candidate stands where it stands: what it looked at, and which features moved it."""

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int64
from torch import Tensor

from ranking.answers import Explanation
from ranking.network import pullbacks
from ranking.network.batch import Inputs
from ranking.network.cross_attention import CrossAttention, CrossAttentionRanker

STEPS = 32  # of the way from the average to the candidate


@torch.no_grad()
def explain(
    network: CrossAttentionRanker, inputs: Inputs, outcome: int, places: Int64[np.ndarray, "k"]
) -> Explanation:
    """Explain the logits of one outcome for the candidates at these places."""
    attended, moved = explained(
        network, inputs, torch.tensor([outcome]), torch.from_numpy(np.asarray(places))
    )
    return Explanation(attended.numpy(), moved.numpy())


def explained(
    network: CrossAttentionRanker,
    inputs: Inputs,
    outcome: Int64[Tensor, "1"],
    places: Int64[Tensor, "k"],
) -> tuple[Float[Tensor, "k t"], Float[Tensor, "k f"]]:
    """Return what candidates of one request attended to, and what moved their logits.

    Features are weighed by integrated gradients (Sundararajan, Taly and Yan, ICML 2017) on the way
    from the request's average features to the candidate's own, the rest of the list as it is: a
    row of what moved it sums to what the logit gains on that way.
    """
    own = inputs._replace(
        candidates=inputs.candidates[:, places],
        features=inputs.features[:, places],
        kept=inputs.kept[:, places],
    )
    return attention(network, own), gradients(network, inputs, own, outcome)


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
    network: CrossAttentionRanker, whole: Inputs, own: Inputs, outcome: Int64[Tensor, "1"]
) -> Float[Tensor, "k f"]:
    """Return the integrated gradients of the candidates in `own`, by the midpoint rule.

    The steps of all candidates are candidates of one call: with the list as it is, no candidate
    depends on another.
    """
    average = whole.features.mean(dim=1, keepdim=True)
    list_met = network.met(whole.candidates, whole.features, whole.context, whole.context_mask)
    seen = None if network.across is None else network.across.sum_up(list_met, whole.kept)
    way = own.features - average
    shares = rearrange((torch.arange(STEPS) + 0.5) / STEPS, "s -> s 1 1")
    at = rearrange(average + shares * way, "s k f -> 1 (s k) f")
    candidates = rearrange(own.candidates.expand(STEPS, -1, -1), "s k d -> 1 (s k) d")
    x, to_features = pullbacks.met(network, candidates, at, own.context, own.context_mask)
    x, to_met = pullbacks.look(network, x, seen)
    logits, to_looked = pullbacks.sequence(network.to_logits, x)
    asked = torch.arange(logits.shape[-1]) == outcome
    slope = to_features(to_met(to_looked(asked.to(x.dtype).expand_as(logits))))
    return (way * rearrange(slope, "1 (s k) f -> s k f", s=STEPS).mean(dim=0))[0]
