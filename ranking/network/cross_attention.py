"""Scores candidates by letting each attend to the query, the shopper, the scene and the list."""

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from ranking.network.shape import OUTCOMES, RankerShape

FARTHEST = 6.0  # standard deviations; a feature beyond is cut, so that no outlier rules a list


class CrossAttention(nn.Module):
    """Candidates are the attention queries; the context gives keys and values."""

    def __init__(
        self, dim: int, heads: int, *, head_dim: int, hidden: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        inner = heads * head_dim
        self.heads = heads
        self.norm_candidates = nn.LayerNorm(dim)
        self.norm_context = nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, inner, bias=False)
        self.to_kv = nn.Linear(dim, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, dim, bias=False)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.SiLU(), nn.Linear(hidden, dim)
        )
        self.drop = nn.Dropout(dropout)

    def forward(
        self,
        candidates: Float[Tensor, "b c d"],
        context: Float[Tensor, "b t d"],
        context_mask: Bool[Tensor, "b t"],
    ) -> Float[Tensor, "b c d"]:
        """Return the candidates, each with what it found. True in the mask: a real token."""
        q, k, v = self._parts(candidates, context)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=context_mask[:, None, None, :])
        found = self.to_out(rearrange(attended, "b h c d -> b c (h d)"))
        mixed: Tensor = candidates + self.drop(found)
        deepened: Tensor = mixed + self.drop(self.feed_forward(mixed))
        return deepened

    def attention(
        self,
        candidates: Float[Tensor, "b c d"],
        context: Float[Tensor, "b t d"],
        context_mask: Bool[Tensor, "b t"],
    ) -> Float[Tensor, "b c t"]:
        """Return how much each candidate looks at each token, mean over heads; rows sum to 1."""
        q, k, _ = self._parts(candidates, context)
        alike = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        alike = alike.masked_fill(~context_mask[:, None, None, :], -torch.inf)
        shares: Tensor = alike.softmax(-1).mean(1)
        return shares

    def _parts(
        self, candidates: Float[Tensor, "b c d"], context: Float[Tensor, "b t d"]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, [b h n e] each."""
        q = self.to_q(self.norm_candidates(candidates))
        k, v = self.to_kv(self.norm_context(context)).chunk(2, dim=-1)
        q, k, v = (rearrange(x, "b n (h e) -> b h n e", h=self.heads) for x in (q, k, v))
        return q, k, v


def attention_of(shape: RankerShape) -> CrossAttention:
    """Return a layer of a ranker of this shape."""
    return CrossAttention(
        shape.dim,
        shape.heads,
        head_dim=shape.head_dim,
        hidden=shape.hidden,
        dropout=shape.dropout,
    )


class AttentionAcross(nn.Module):
    """Candidates see each other through a few learnt points, so the cost is linear in the list.

    The induced set attention of the Set Transformer (Lee et al., ICML 2019): the points attend to
    all candidates, then each candidate to the points. The order of the candidates says nothing.
    """

    def __init__(self, shape: RankerShape) -> None:
        super().__init__()
        self.points = nn.Parameter(0.5 * torch.randn(shape.points, shape.dim))
        self.gather = attention_of(shape)
        self.spread = attention_of(shape)

    def forward(
        self, candidates: Float[Tensor, "b c d"], kept: Bool[Tensor, "b c"]
    ) -> Float[Tensor, "b c d"]:
        """Return the candidates, each with what it found in the list. False: padding."""
        return self.look(candidates, self.sum_up(candidates, kept))

    def sum_up(
        self, candidates: Float[Tensor, "b c d"], kept: Bool[Tensor, "b c"]
    ) -> Float[Tensor, "b m d"]:
        """Return what the points make of the list."""
        points = self.points.expand(len(candidates), -1, -1)
        seen: Tensor = self.gather(points, candidates, kept)
        return seen

    def look(
        self, candidates: Float[Tensor, "b c d"], seen: Float[Tensor, "b m d"]
    ) -> Float[Tensor, "b c d"]:
        """Return the candidates, each with what it found in the points."""
        everything = seen.new_ones(seen.shape[:2], dtype=torch.bool)
        found: Tensor = self.spread(candidates, seen, everything)
        return found


class ProductTokens(nn.Module):
    """A product as one token: its vector in the joined space, and its category."""

    def __init__(self, vector_dim: int, num_categories: int, dim: int) -> None:
        super().__init__()
        self.from_vector = nn.Linear(vector_dim, dim)
        self.from_category = nn.Embedding(num_categories, dim)
        nn.init.normal_(self.from_category.weight, std=0.02)

    def forward(
        self, vectors: Float[Tensor, "*s v"], categories: Int[Tensor, "*s"]
    ) -> Float[Tensor, "*s d"]:
        """Return one token a product; they are computed once a release."""
        tokens: Tensor = self.from_vector(vectors) + self.from_category(categories)
        return tokens


class FeatureTokens(nn.Module):
    """The numbers about a candidate as one token.

    Each number is given as it is and once more in pieces: how much of each of its quantile bins
    it fills, so that the network can bend at any of them as trees do (piecewise linear encoding,
    Gorishniy et al., NeurIPS 2022).
    """

    mean: Tensor
    scale: Tensor
    edges: Tensor

    def __init__(self, shape: RankerShape) -> None:
        super().__init__()
        count, dim = shape.num_features, shape.dim
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("scale", torch.ones(count))
        self.register_buffer("edges", torch.linspace(-3, 3, shape.bins + 1).repeat(count, 1))
        self.mix = nn.Sequential(
            nn.Linear(count * (shape.bins + 1), 2 * dim),
            nn.SiLU(),
            nn.Dropout(shape.dropout),
            nn.Linear(2 * dim, dim),
        )

    def forward(self, features: Float[Tensor, "b c f"]) -> Float[Tensor, "b c d"]:
        """Return one token a candidate."""
        known = ((features - self.mean) / self.scale).clamp(-FARTHEST, FARTHEST)
        low, high = self.edges[:, :-1], self.edges[:, 1:]
        filled = ((features[..., None] - low) / (high - low)).clamp(0, 1)
        pieces = torch.cat([known[..., None], filled], dim=-1)
        token: Tensor = self.mix(rearrange(pieces, "b c f p -> b c (f p)"))
        return token

    def fit(self, sample: Float[Tensor, "s f"]) -> None:
        """Measure means, deviations and quantiles, so that the network sees numbers near 1."""
        spread = sample.std(dim=0)
        self.mean.copy_(sample.mean(dim=0))
        # A feature that never moved in training must not decide anything when it moves later.
        moves = spread > 1e-4
        self.scale.copy_(torch.where(moves, spread, 1e4))
        shares = torch.linspace(0, 1, self.edges.shape[1])
        edges = torch.quantile(sample, shares, dim=0).T
        # Edges that fall together are a step, as narrow as the numbers can tell apart.
        width = torch.maximum(1e-4 * spread, 1e-5 * edges.abs().amax(dim=1)).clamp(min=1e-6)
        width = torch.where(moves, width, 1e4)
        self.edges.copy_(edges + torch.arange(self.edges.shape[1]) * width[:, None])


class CrossAttentionRanker(nn.Module):
    """Product tokens and dynamic features in, one logit a candidate and outcome out.

    With c candidates, t context tokens, m points, width d, f features in b bins, l layers and
    queries of v numbers, a request costs

        2 (c (2 f (b + 1) d + 2 d²) + l (6 c d² + 2 c t d + 2 t d²) + 8 (c + m) d² + 4 c m d + v d)

    multiplications and additions, and reads 2 c d bytes of tokens beside the
    4 (2 f (b + 1) d + v d + (2 + 8 (l + 2)) d²) of the weights, with heads that share the width
    and 2 d hidden units. Keys and values of the context are computed once, whatever c is;
    `benchmarks/ranking/rank_latency.py` compares with what is counted.
    """

    def __init__(self, shape: RankerShape) -> None:
        super().__init__()
        dim, self.shape = shape.dim, shape
        self.from_features = FeatureTokens(shape)
        self.from_query = nn.Linear(shape.vector_dim, dim)
        self.from_recent = nn.Linear(2, dim)
        self.from_fact = nn.Embedding(shape.num_facts, dim)
        nn.init.normal_(self.from_fact.weight, std=0.02)  # a fact never seen says next to nothing
        self.kinds = nn.Parameter(torch.zeros(3, dim))  # query, recent product, fact
        self.attend = nn.ModuleList(attention_of(shape) for _ in range(shape.layers))
        self.across = AttentionAcross(shape) if shape.points else None
        self.drop = nn.Dropout1d(shape.dropout)  # of whole tokens: a new product has to do, too
        self.to_logits = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, len(OUTCOMES)))

    def context(
        self,
        query: Float[Tensor, "b v"],
        recent_tokens: Float[Tensor, "b r d"],
        recent_facts: Float[Tensor, "b r 2"],
        facts: Int[Tensor, "b f"],
    ) -> Float[Tensor, "b t d"]:
        """Return the context tokens: one for the query, one a recent product, one a fact."""
        of_query, of_recent, of_fact = self.kinds
        return torch.cat(
            [
                rearrange(self.from_query(query) + of_query, "b d -> b 1 d"),
                recent_tokens + self.from_recent(recent_facts) + of_recent,
                self.from_fact(facts) + of_fact,
            ],
            dim=1,
        )

    def forward(
        self,
        candidates: Float[Tensor, "b c d"],
        features: Float[Tensor, "b c f"],
        kept: Bool[Tensor, "b c"],
        context: Float[Tensor, "b t d"],
        context_mask: Bool[Tensor, "b t"],
    ) -> Float[Tensor, "b c o"]:
        """Return one logit a candidate and outcome. True in a mask means: no padding."""
        x = self.met(candidates, features, context, context_mask)
        if self.across is not None:
            x = self.across(x, kept)
        logits: Tensor = self.to_logits(x)
        return logits

    def met(
        self,
        candidates: Float[Tensor, "b c d"],
        features: Float[Tensor, "b c f"],
        context: Float[Tensor, "b t d"],
        context_mask: Bool[Tensor, "b t"],
    ) -> Float[Tensor, "b c d"]:
        """Return the candidates after they have met the context, before they meet each other."""
        x: Tensor = self.drop(candidates) + self.from_features(features)
        for layer in self.attend:
            x = layer(x, context, context_mask)
        return x
