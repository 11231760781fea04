"""The product tower: fuses the tokens of a product into one unit vector."""

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from retrieval.towers.columns import DENSE, SEVERAL, ProductBatch
from retrieval.towers.fusing import FUSIONS, Pool, unit
from retrieval.towers.shape import CODE_BUCKETS

KINDS = (*DENSE, "attributes", "own", "price", "popularity")
NEXT_TO_NOTHING = 0.005  # spread of tokens that mean nothing before they are trained


class ProductTower(nn.Module):
    """One token a kind of knowledge, fused into one vector.

    `title` and `description` are one token each; pictures, frames of a video and attributes are
    several, and pooled by attention into one of their kind. `own` is an embedding of the very
    product, which only what was bought often enough has. Every token may be missing.
    """

    def __init__(  # noqa: PLR0913 - the shape of a network
        self,
        widths: dict[str, int],
        *,
        num_own: int,
        num_popularity: int,
        dim: int,
        width: int,
        heads: int,
        fusion: str,
    ) -> None:
        super().__init__()
        self.project = nn.ModuleDict(
            {name: nn.Linear(widths[name], dim, bias=False) for name in DENSE if name in widths}
        )
        several = [name for name in SEVERAL if name in widths]
        self.pool = nn.ModuleDict({name: Pool(dim) for name in (*several, "attributes")})
        self.codes = nn.Embedding(CODE_BUCKETS, dim, padding_idx=0)
        self.own = nn.Embedding(num_own + 1, dim, padding_idx=0)
        self.price = _curve(1, dim)
        self.popularity = _curve(num_popularity, dim)
        self.fuse = FUSIONS[fusion](dim, len(KINDS), width, heads)
        with torch.no_grad():
            for table in (self.codes, self.own):
                table.weight.normal_(std=NEXT_TO_NOTHING)
                table.weight[0] = 0

    def forward(self, products: ProductBatch) -> Float[Tensor, "b d"]:
        """Return one unit vector a product."""
        tokens, mask = self.tokens(products)
        return unit(self.fuse(tokens, mask))

    def tokens(self, products: ProductBatch) -> tuple[Float[Tensor, "b t d"], Bool[Tensor, "b t"]]:
        """Return one token of each of KINDS, and which are there."""
        size = len(products.own)
        nothing = self.codes.weight.new_zeros(size, self.codes.embedding_dim)
        missing = torch.zeros(size, dtype=torch.bool, device=nothing.device)
        made = self._dense(products)
        codes = self.codes(products.codes)
        there = products.codes > 0
        made["attributes"] = self.pool["attributes"](codes, there), there.any(dim=1)
        made["own"] = self.own(products.own), products.own > 0
        known = ~torch.isnan(products.price)
        price = torch.nan_to_num(products.price)
        made["price"] = self.price(rearrange(price, "b -> b 1")), known
        everywhere = torch.ones(size, dtype=torch.bool, device=nothing.device)
        made["popularity"] = self.popularity(products.popularity), everywhere
        tokens, masks = zip(*(made.get(kind, (nothing, missing)) for kind in KINDS), strict=True)
        return torch.stack(tokens, dim=1), torch.stack(masks, dim=1)

    def _dense(self, products: ProductBatch) -> dict[str, tuple[Tensor, Tensor]]:
        made = {}
        for name, project in self.project.items():
            if name not in products.dense:
                continue
            tokens, mask = project(products.dense[name]), products.dense_mask[name]
            one = self.pool[name](tokens, mask) if name in self.pool else tokens[:, 0]
            made[name] = one, mask.any(dim=1)
        return made


def _curve(inputs: int, dim: int) -> nn.Sequential:
    """Return a curve over a few numbers that says next to nothing before it is trained."""
    end = nn.Linear(32, dim)
    nn.init.normal_(end.weight, std=NEXT_TO_NOTHING)
    nn.init.zeros_(end.bias)
    return nn.Sequential(nn.Linear(inputs, 32), nn.GELU(), end)
