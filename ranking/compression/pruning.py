"""Makes a smaller ranker of a trained one: the heads and hidden units that matter least go."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Float, Float16, Int64
from torch import Tensor, nn

from ranking.network.cross_attention import CrossAttention, CrossAttentionRanker
from ranking.network.examples import Example, ExampleBatch, RankedProducts, collate
from ranking.network.model import RankerSettings
from ranking.network.shape import RankerShape
from ranking.network.training import loss

HEADS, HIDDEN = "heads", "hidden"  # of an attention, and of the feed-forward behind it


class PruneError(ValueError):
    """More, or fewer, heads or units are to be kept than there can be."""


class Gates(NamedTuple):
    """A factor on each head and each hidden unit of one attention; 1: as it is, 0: gone."""

    heads: Float[Tensor, "h"]
    hidden: Float[Tensor, "u"]


class PrunedShape(NamedTuple):
    """The heads and hidden units of one attention that stay, ascending."""

    heads: Int64[np.ndarray, "h"]
    hidden: Int64[np.ndarray, "u"]


def attentions(network: CrossAttentionRanker) -> dict[str, CrossAttention]:
    """Return every attention of a ranker by its name in the weights."""
    return {n: m for n, m in network.named_modules() if isinstance(m, CrossAttention)}


def ones(network: CrossAttentionRanker) -> dict[str, Gates]:
    """Return gates that change nothing, for each attention."""
    shape = network.shape
    return {
        name: Gates(torch.ones(shape.heads), torch.ones(shape.hidden))
        for name in attentions(network)
    }


def without_others(
    network: CrossAttentionRanker, kept: Mapping[str, PrunedShape]
) -> dict[str, Gates]:
    """Return gates that shut whatever is not kept."""
    gates = ones(network)
    for name, gate in gates.items():
        for factor, stays in zip(gate, kept[name], strict=True):
            shut = torch.ones_like(factor, dtype=torch.bool)
            shut[torch.from_numpy(stays)] = False
            factor[shut] = 0
    return gates


@contextmanager
def gated(network: CrossAttentionRanker, gates: Mapping[str, Gates]) -> Iterator[None]:
    """Multiply each head's and each unit's output by its gate, as long as this is open."""
    with ExitStack() as stack:
        for name, attention in attentions(network).items():
            of_heads = repeat(gates[name].heads, "h -> (h e)", e=network.shape.head_dim)
            for layer, factor in (
                (attention.to_out, of_heads),
                (_last(attention), gates[name].hidden),
            ):
                stack.callback(layer.register_forward_pre_hook(_times(factor)).remove)
        yield


def importances(
    network: CrossAttentionRanker,
    tokens: Float16[np.ndarray, "n d"],
    examples: Sequence[Example],
    settings: RankerSettings,
) -> dict[str, Gates]:
    """Return how much the loss would change, to first order, without each head and unit.

    The mean of |dL / dg| over requests, g being the gate at 1, which is the sum of activation
    times gradient (Michel et al., NeurIPS 2019, eq. 2; Molchanov et al., CVPR 2019).
    """
    network.eval()
    sums = {
        name: Gates(*(torch.zeros_like(g) for g in gate)) for name, gate in ones(network).items()
    }
    for example in examples:
        gates = {
            name: Gates(*(factor.requires_grad_() for factor in gate))
            for name, gate in ones(network).items()
        }
        batch = collate([example], _silent(network))
        with gated(network, gates):
            found = loss(logits(network, tokens, batch), batch, settings)
        flat = [factor for gate in gates.values() for factor in gate]
        grads = iter(torch.autograd.grad(found, flat))
        for name in gates:
            for total in sums[name]:
                total += next(grads).abs() / len(examples)
    return sums


def logits(
    network: CrossAttentionRanker, tokens: Float16[np.ndarray, "n d"], batch: ExampleBatch
) -> Float[Tensor, "b c o"]:
    """Return the logits of a batch, from the tokens that a release keeps."""

    def of(rows: Int64[Tensor, "b n"]) -> Float[Tensor, "b n d"]:
        return torch.from_numpy(tokens[rows.clamp(min=0).numpy()]).float()

    context = network.context(batch.query, of(batch.recent), batch.recent_facts, batch.facts)
    answer: Tensor = network(
        of(batch.rows), batch.features, batch.kept, context, batch.context_mask
    )
    return answer


def strongest(importance: Mapping[str, Gates], heads: int, hidden: int) -> dict[str, PrunedShape]:
    """Return the most important heads and units, as many in each attention."""
    return {
        name: PrunedShape(_best(gates.heads, heads, HEADS), _best(gates.hidden, hidden, HIDDEN))
        for name, gates in importance.items()
    }


def prune(network: CrossAttentionRanker, kept: Mapping[str, PrunedShape]) -> CrossAttentionRanker:
    """Return a ranker of what is kept; it scores as the whole one with the rest shut off."""
    [(heads, hidden)] = {(len(one.heads), len(one.hidden)) for one in kept.values()}
    smaller = CrossAttentionRanker(network.shape._replace(heads=heads, hidden=hidden))
    weights = dict(network.state_dict())
    for name in attentions(network):
        weights |= _cut(weights, name, kept[name], network.shape)
    smaller.load_state_dict(weights)
    return smaller.eval()


def _cut(
    weights: Mapping[str, Tensor], name: str, kept: PrunedShape, shape: RankerShape
) -> dict[str, Tensor]:
    """Return the weights of one attention without the heads and units that go."""
    heads, units = torch.from_numpy(kept.heads), torch.from_numpy(kept.hidden)
    split = {"h": shape.heads, "e": shape.head_dim}
    of_q = rearrange(weights[f"{name}.to_q.weight"], "(h e) d -> h e d", **split)
    of_kv = rearrange(weights[f"{name}.to_kv.weight"], "(t h e) d -> t h e d", t=2, **split)
    of_out = rearrange(weights[f"{name}.to_out.weight"], "d (h e) -> d h e", **split)
    first, last = f"{name}.feed_forward.1", f"{name}.feed_forward.3"
    return {
        f"{name}.to_q.weight": rearrange(of_q[heads], "h e d -> (h e) d"),
        f"{name}.to_kv.weight": rearrange(of_kv[:, heads], "t h e d -> (t h e) d"),
        f"{name}.to_out.weight": rearrange(of_out[:, heads], "d h e -> d (h e)"),
        f"{first}.weight": weights[f"{first}.weight"][units],
        f"{first}.bias": weights[f"{first}.bias"][units],
        f"{last}.weight": weights[f"{last}.weight"][:, units],
    }


def _best(importance: Float[Tensor, "u"], count: int, what: str) -> Int64[np.ndarray, "k"]:
    if not 1 <= count <= len(importance):
        raise PruneError(
            f"{count} {what} are to be kept of {len(importance)}; keep 1 to {len(importance)}"
        )
    order = np.argsort(-importance.numpy(), kind="stable")
    return np.sort(order[:count])


def _last(attention: CrossAttention) -> nn.Module:
    return attention.feed_forward[3]


def _times(factor: Tensor) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0] * factor,)

    return hook


def _silent(network: CrossAttentionRanker) -> RankedProducts:
    """Return no products, of the width that queries have."""
    return RankedProducts(
        np.empty((0, network.shape.vector_dim), np.float32), np.empty(0, np.int32)
    )
