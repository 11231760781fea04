"""The query tower: encodes text, user and time as unit vectors in the products' space."""

from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor, nn

from retrieval.context_facts import FACT_BUCKETS
from retrieval.towers.fusing import Block, masked_softmax, silent, unit

TEXT, PICTURE, MARKED, RECENT, FACT = range(5)
# How loud each kind of token is before training, as the logarithm of its share: what is asked
# speaks first, what was bought next, and a scene says nothing by itself.
LOUDNESS = (3.0, 3.0, 2.0, 0.0, -6.0)
FORGETTING = 0.3  # of the share of a recent product, a logarithm of days


class QueryBatch(NamedTuple):
    """Some requests, padded. Rows are places in a table of product vectors; -1: unused."""

    text: Float32[Tensor, "b v"]  # in the joined space of the encoders; zeros: no words
    picture: Float32[Tensor, "b p"]  # in the picture space; zeros: no picture
    marked: Int64[Tensor, "b l"]  # products that are liked or disliked
    marks: Float32[Tensor, "b l"]  # how much: in (0, 1] liked, in [-1, 0) disliked
    recent: Int64[Tensor, "b r"]  # bought last, newest first
    recent_facts: Float32[Tensor, "b r 2"]  # log days since, log times bought
    facts: Int64[Tensor, "b f"]  # numbers of facts about shopper and scene; 0: unused


class QueryTower(nn.Module):
    """Tokens for all that is known of a request, pooled into one vector or several.

    A request that says or shows something has one vector: slot 0. Without that it has the
    `interests` of the shopper, one a slot (Cen et al., ComiRec, KDD 2020): people want bread and
    batteries, and the mean of the two is neither. A product's score is its best one.

    Each slot is a convex combination of the tokens, plus a correction by what they say to each
    other, through a matrix that starts at zero. Untrained, words are therefore compared as the
    encoders compare them, and a shopper is the mean of what was bought.
    """

    def __init__(
        self,
        text_dim: int,
        picture_dim: int,
        *,
        dim: int,
        width: int,
        heads: int,
        interests: int,
    ) -> None:
        super().__init__()
        self.interests = interests
        self.from_text = nn.Linear(text_dim, dim, bias=False)
        self.from_picture = nn.Linear(max(picture_dim, 1), dim, bias=False)
        self.from_recent = nn.Linear(2, width)
        self.from_fact = nn.Embedding(FACT_BUCKETS, dim, padding_idx=0)
        nn.init.normal_(self.from_fact.weight, std=0.005)
        self.loudness = nn.Parameter(torch.tensor(LOUDNESS))
        self.forgetting = nn.Parameter(torch.tensor([-FORGETTING, 0.5]))
        self.narrow = nn.Linear(dim, width)
        self.kinds = nn.Parameter(torch.randn(len(LOUDNESS), width) * 0.02)
        self.block = Block(width, heads)
        self.to_shares = nn.Linear(width, 1 + interests, bias=False)
        nn.init.normal_(self.to_shares.weight, std=0.05)
        self.widen = silent(width, dim)

    def forward(
        self, queries: QueryBatch, products: Float[Tensor, "n d"]
    ) -> tuple[Float[Tensor, "b m d"], Bool[Tensor, "b m"]]:
        """Return the unit vectors of each request, and which of them are meant.

        `products` are the vectors of all products. A request about which nothing is known has
        vectors of whatever the scene says.
        """
        tokens, kinds, mask, shares = self._tokens(queries, products)
        told = self.narrow(tokens) + self.kinds[kinds]
        told[:, self._recent_places(queries)] += self.from_recent(queries.recent_facts)
        told = self.block(told, mask)
        logits = rearrange(self.to_shares(told), "b t m -> b m t") + shares[:, None]
        weights = masked_softmax(logits, mask[:, None].expand(logits.shape))
        pooled = torch.einsum("bmt,btd->bmd", weights, tokens)
        told_pooled = torch.einsum("bmt,btw->bmw", weights, told)
        vectors = unit(pooled + self.widen(told_pooled))
        asked = self.asks(queries)
        slots = torch.arange(1 + self.interests, device=asked.device)
        return vectors, (slots == 0) == asked[:, None]

    @staticmethod
    def asks(queries: QueryBatch) -> Bool[Tensor, "b"]:
        """Tell which requests say, show or mark something."""
        said = queries.text.any(dim=1) | queries.picture.any(dim=1)
        # Not `any`: of no places at all, an exported network would say that there are some.
        return said | ((queries.marked >= 0).sum(dim=1) > 0)

    def _tokens(
        self, queries: QueryBatch, products: Float[Tensor, "n d"]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return tokens, their kinds, which are there, and the logarithm of how loud each is."""
        text = rearrange(self.from_text(queries.text), "b d -> b 1 d")
        picture = rearrange(self.from_picture(queries.picture), "b d -> b 1 d")
        marked = products[queries.marked.clamp(min=0)] * queries.marks.sign()[..., None]
        recent = products[queries.recent.clamp(min=0)]
        facts = self.from_fact(queries.facts)
        parts = [text, picture, marked, recent, facts]
        masks = [
            queries.text.any(dim=1, keepdim=True),
            queries.picture.any(dim=1, keepdim=True),
            queries.marked >= 0,
            queries.recent >= 0,
            queries.facts > 0,
        ]
        louder = [torch.zeros_like(mask, dtype=text.dtype) for mask in masks]
        louder[MARKED] = queries.marks.abs().clamp(min=1e-6).log()
        louder[RECENT] = queries.recent_facts @ self.forgetting
        kinds = torch.cat(
            [torch.full((part.shape[1],), kind) for kind, part in enumerate(parts)]
        ).to(text.device)
        shares = torch.cat(louder, dim=1) + self.loudness[kinds]
        return torch.cat(parts, dim=1), kinds, torch.cat(masks, dim=1), shares

    @staticmethod
    def _recent_places(queries: QueryBatch) -> slice:
        start = 2 + queries.marked.shape[1]
        return slice(start, start + queries.recent.shape[1])
