"""Fuses several tokens into one vector; a missing token is masked, never a zero vector."""

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

FEED_FORWARD = 2  # times the width


class Pool(nn.Module):
    """Attention with one learnt query: each token is weighed by what it says."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.to_weight = nn.Linear(dim, 1, bias=False)
        nn.init.zeros_(self.to_weight.weight)  # untrained: the mean

    def forward(
        self, tokens: Float[Tensor, "b t d"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b d"]:
        """Return a convex combination of the tokens that are there; zero where none is."""
        weights = masked_softmax(rearrange(self.to_weight(tokens), "b t 1 -> b t"), mask)
        return torch.einsum("bt,btd->bd", weights, tokens)


class Block(nn.Module):
    """One pre-norm transformer layer (Xiong et al., ICML 2020) of its own width."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)
        self.to_out = nn.Linear(width, width, bias=False)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, FEED_FORWARD * width),
            nn.GELU(),
            nn.Linear(FEED_FORWARD * width, width),
        )

    def forward(
        self, tokens: Float[Tensor, "b t w"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b t w"]:
        """Return the tokens after each has looked at those that are there."""
        q, k, v = self.to_qkv(self.norm(tokens)).chunk(3, dim=-1)
        q, k, v = (rearrange(x, "b t (h w) -> b h t w", h=self.heads) for x in (q, k, v))
        seen = mask | ~mask.any(dim=1, keepdim=True)  # nothing there: no NaN, and no gain either
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=seen[:, None, None, :])
        mixed: Tensor = tokens + self.to_out(rearrange(attended, "b h t w -> b t (h w)"))
        deepened: Tensor = mixed + self.feed_forward(mixed)
        return deepened


class Average(nn.Module):
    """The weighted average, one learnt weight a kind of token."""

    def __init__(self, dim: int, kinds: int, width: int, heads: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(kinds))

    def forward(
        self, tokens: Float[Tensor, "b t d"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b d"]:
        """Return the average of the tokens that are there, their weights summing to 1."""
        weights = masked_softmax(self.weights.expand(mask.shape), mask)
        return torch.einsum("bt,btd->bd", weights, tokens)


class Concatenation(nn.Module):
    """All tokens side by side through one matrix; a kind that is missing has a learnt stand-in."""

    def __init__(self, dim: int, kinds: int, width: int, heads: int) -> None:
        super().__init__()
        self.absent = nn.Parameter(torch.zeros(kinds, dim))
        self.mix = nn.Linear(kinds * dim, dim)
        with torch.no_grad():  # untrained: the mean of the kinds
            self.mix.weight.copy_(torch.eye(dim).repeat(1, kinds) / kinds)
            self.mix.bias.zero_()

    def forward(
        self, tokens: Float[Tensor, "b t d"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b d"]:
        """Return one mixture of all kinds."""
        filled = torch.where(mask[..., None], tokens, self.absent)
        mixed: Tensor = self.mix(rearrange(filled, "b t d -> b (t d)"))
        return mixed


class Attention(nn.Module):
    """The average, corrected by what the tokens say to each other.

    A transformer layer over the tokens, narrower than they are, pools them with a learnt query;
    its answer is added to the weighted average through a matrix that starts at zero, so that the
    untrained fusion is the average.
    """

    def __init__(self, dim: int, kinds: int, width: int, heads: int) -> None:
        super().__init__()
        self.average = Average(dim, kinds, width, heads)
        self.narrow = nn.Linear(dim, width)
        self.kinds = nn.Parameter(torch.randn(kinds, width) * 0.02)
        self.block = Block(width, heads)
        self.pool = Pool(width)
        self.widen = silent(width, dim)

    def forward(
        self, tokens: Float[Tensor, "b t d"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b d"]:
        """Return the corrected average of the tokens that are there."""
        told = self.block(self.narrow(tokens) + self.kinds, mask)
        fused: Tensor = self.average(tokens, mask) + self.widen(self.pool(told, mask))
        return fused


FUSIONS: dict[str, type[nn.Module]] = {
    "attention": Attention,
    "average": Average,
    "concatenation": Concatenation,
}


def silent(width: int, dim: int) -> nn.Sequential:
    """Return a matrix over normalised tokens that says nothing before it is trained."""
    matrix = nn.Linear(width, dim, bias=False)
    nn.init.zeros_(matrix.weight)
    return nn.Sequential(nn.LayerNorm(width), matrix)


def masked_softmax(
    logits: Float[Tensor, "*b t"], mask: Bool[Tensor, "*b t"]
) -> Float[Tensor, "*b t"]:
    """Return weights that sum to 1 over what is there, and 0 everywhere where nothing is."""
    weights = torch.softmax(logits.masked_fill(~mask, torch.finfo(logits.dtype).min), dim=-1)
    return weights.masked_fill(~mask, 0.0)


def unit(vectors: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
    """Return vectors of length 1; a zero vector stays zero."""
    return F.normalize(vectors, dim=-1)
