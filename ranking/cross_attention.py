"""Scores candidates by letting each attend to the query, the shopper and the scene."""

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

FARTHEST = 6.0  # standard deviations; a feature beyond is cut, so that no outlier rules a list


class CrossAttention(nn.Module):
    """Candidates are the attention queries; the context gives keys and values."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim={dim} cannot be split evenly among heads={heads}")
        self.heads = heads
        self.norm_candidates = nn.LayerNorm(dim)
        self.norm_context = nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_kv = nn.Linear(dim, 2 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim, bias=False)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.SiLU(), nn.Linear(2 * dim, dim)
        )

    def forward(
        self,
        candidates: Float[Tensor, "b c d"],
        context: Float[Tensor, "b t d"],
        context_mask: Bool[Tensor, "b t"],
    ) -> Float[Tensor, "b c d"]:
        """Return the candidates, each with what it found. True in the mask: a real token."""
        q = self.to_q(self.norm_candidates(candidates))
        k, v = self.to_kv(self.norm_context(context)).chunk(2, dim=-1)
        q, k, v = (rearrange(x, "b n (h d) -> b h n d", h=self.heads) for x in (q, k, v))
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=context_mask[:, None, None, :])
        mixed: Tensor = candidates + self.to_out(rearrange(attended, "b h c d -> b c (h d)"))
        deepened: Tensor = mixed + self.feed_forward(mixed)
        return deepened


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


class CrossAttentionRanker(nn.Module):
    """Product tokens and dynamic features in, one purchase logit a candidate out."""

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(
        self, *, dim: int, heads: int, layers: int, vector_dim: int, num_features: int, facts: int
    ) -> None:
        super().__init__()
        self.register_buffer("feature_mean", torch.zeros(num_features))
        self.register_buffer("feature_scale", torch.ones(num_features))
        self.from_features = nn.Sequential(
            nn.Linear(num_features, 2 * dim),
            nn.SiLU(),
            nn.Linear(2 * dim, dim),
        )
        self.from_query = nn.Linear(vector_dim, dim)
        self.from_recent = nn.Linear(2, dim)
        self.from_fact = nn.Embedding(facts, dim)
        nn.init.normal_(self.from_fact.weight, std=0.02)  # a fact never seen says next to nothing
        self.kinds = nn.Parameter(torch.zeros(3, dim))  # query, recent product, fact
        self.attend = nn.ModuleList(CrossAttention(dim, heads) for _ in range(layers))
        self.to_logit = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 1))

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
        context: Float[Tensor, "b t d"],
        context_mask: Bool[Tensor, "b t"],
    ) -> Float[Tensor, "b c"]:
        """Return one logit a candidate. True in the mask means: a real token."""
        known = (features - self.feature_mean) / self.feature_scale
        x = candidates + self.from_features(known.clamp(-FARTHEST, FARTHEST))
        for layer in self.attend:
            x = layer(x, context, context_mask)
        logits: Tensor = self.to_logit(x)
        return rearrange(logits, "b c 1 -> b c")
