"""The gradient of the ranker in its features, as plain operations that any runtime can do.

What a layer does to its input stands beside its pullback: given the gradient of some number in the
output of the layer, it returns the gradient of that number in the input. Autograd does the same,
but what it records cannot be exported.
"""

from collections.abc import Callable

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranking.network.cross_attention import (
    FARTHEST,
    CrossAttention,
    CrossAttentionRanker,
    FeatureTokens,
)

Pullback = Callable[[Tensor], Tensor]
Pulled = tuple[Tensor, Pullback]  # the output of a layer, and its pullback


def met(
    network: CrossAttentionRanker,
    candidates: Float[Tensor, "b c d"],
    features: Float[Tensor, "b c f"],
    context: Float[Tensor, "b t d"],
    context_mask: Bool[Tensor, "b t"],
) -> Pulled:
    """Return what `network.met` does, and its pullback to the features."""
    tokens, back = feature_tokens(network.from_features, features)
    x, backs = candidates + tokens, [back]
    for layer in network.attend:
        assert isinstance(layer, CrossAttention)
        x, back = cross_attention(layer, x, context, context_mask)
        backs.append(back)
    return x, _in_turn(backs)


def look(
    network: CrossAttentionRanker,
    candidates: Float[Tensor, "b c d"],
    seen: Float[Tensor, "b m d"] | None,
) -> Pulled:
    """Return what a candidate finds in the list, as `network.across.look`; None: it does not."""
    if network.across is None or seen is None:
        return candidates, lambda slope: slope
    everything = torch.ones_like(seen[..., 0], dtype=torch.bool)
    return cross_attention(network.across.spread, candidates, seen, everything)


def feature_tokens(layer: FeatureTokens, features: Float[Tensor, "b c f"]) -> Pulled:
    """Return the tokens of features; where a feature is cut, it has no slope."""
    scaled = (features - layer.mean) / layer.scale
    low, high = layer.edges[:, :-1], layer.edges[:, 1:]
    filled = (features[..., None] - low) / (high - low)
    pieces = torch.cat([scaled.clamp(-FARTHEST, FARTHEST)[..., None], filled.clamp(0, 1)], dim=-1)
    token, back = sequence(layer.mix, rearrange(pieces, "b c f p -> b c (f p)"))
    moves_scaled = (scaled.abs() <= FARTHEST) / layer.scale
    moves_filled = ((filled >= 0) & (filled <= 1)) / (high - low)
    moves = torch.cat([moves_scaled[..., None], moves_filled], dim=-1)

    def to_features(slope: Tensor) -> Tensor:
        each = rearrange(back(slope), "b c (f p) -> b c f p", p=moves.shape[-1])
        return (each * moves).sum(dim=-1)

    return token, to_features


def cross_attention(
    layer: CrossAttention,
    candidates: Float[Tensor, "b c d"],
    context: Float[Tensor, "b t d"],
    context_mask: Bool[Tensor, "b t"],
) -> Pulled:
    """Return what a layer does, and its pullback to the candidates; the context stays as it is."""
    found, back_found = _attended(layer, candidates, context, context_mask)
    mixed = candidates + found
    deeper, back_deeper = sequence(layer.feed_forward, mixed)

    def to_candidates(slope: Tensor) -> Tensor:
        slope = slope + back_deeper(slope)
        return slope + back_found(slope)

    return mixed + deeper, to_candidates


def _attended(layer: CrossAttention, candidates: Tensor, context: Tensor, mask: Tensor) -> Pulled:
    normed, back_normed = sequence(nn.Sequential(layer.norm_candidates, layer.to_q), candidates)
    k, v = layer.to_kv(layer.norm_context(context)).chunk(2, dim=-1)
    q, k, v = (rearrange(x, "b n (h e) -> b h n e", h=layer.heads) for x in (normed, k, v))
    scale = q.shape[-1] ** -0.5
    alike = (q @ k.transpose(-1, -2) * scale).masked_fill(~mask[:, None, None, :], -torch.inf)
    shares = alike.softmax(dim=-1)
    found = layer.to_out(rearrange(shares @ v, "b h c e -> b c (h e)"))

    def to_candidates(slope: Tensor) -> Tensor:
        inner = rearrange(slope @ layer.to_out.weight, "b c (h e) -> b h c e", h=layer.heads)
        of_shares = inner @ v.transpose(-1, -2)
        of_alike = shares * (of_shares - (of_shares * shares).sum(dim=-1, keepdim=True))
        return back_normed(rearrange(of_alike @ k * scale, "b h c e -> b c (h e)"))

    return found, to_candidates


def sequence(layers: nn.Sequential, x: Tensor) -> Pulled:
    """Return what layers do in turn, all of kinds that a ranker is made of."""
    backs = []
    for layer in layers:
        x, back = _plain(layer, x)
        backs.append(back)
    return x, _in_turn(backs)


def _plain(layer: nn.Module, x: Tensor) -> Pulled:
    match layer:
        case nn.Linear():
            return layer(x), lambda slope: slope @ layer.weight
        case nn.LayerNorm():
            return _layer_norm(layer, x)
        case nn.SiLU():
            gate = x.sigmoid()
            return x * gate, lambda slope: slope * gate * (1 + x * (1 - gate))
        case nn.Dropout():  # of a network that is not trained any more
            return x, lambda slope: slope
    raise TypeError(f"no pullback of {type(layer).__name__} is known")


def _layer_norm(layer: nn.LayerNorm, x: Tensor) -> Pulled:
    away = x - x.mean(dim=-1, keepdim=True)
    shrink = (away.square().mean(dim=-1, keepdim=True) + layer.eps).rsqrt()
    normed = away * shrink

    def to_input(slope: Tensor) -> Tensor:
        slope = slope * layer.weight
        along = (slope * normed).mean(dim=-1, keepdim=True)
        return shrink * (slope - slope.mean(dim=-1, keepdim=True) - normed * along)

    return normed * layer.weight + layer.bias, to_input


def _in_turn(backs: list[Pullback]) -> Pullback:
    """Return the pullback of layers that follow each other."""

    def back(slope: Tensor) -> Tensor:
        for one in reversed(backs):
            slope = one(slope)
        return slope

    return back
