"""The two-tower model: initialised over the encoders' spaces, saved, opened and applied."""

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from retrieval.encoded_query import EncodedQuery
from retrieval.towers.columns import ONE, ProductBatch, TowerColumns, take
from retrieval.towers.product import ProductTower
from retrieval.towers.query import QueryBatch, QueryTower
from retrieval.towers.query_network import facts_of, request_inputs
from retrieval.towers.shape import ABOUT, TowerShape, UnknownTowers, read_shape

WEIGHTS = "towers.safetensors"
AT_ONCE = 2_048  # products
SAMPLE = 20_000  # products by which the spaces are turned


class Spaces(NamedTuple):
    """How the untrained encoders join title and picture, which the towers start from."""

    joined: Float32[np.ndarray, "n v"]  # vectors of the products
    picture_dim: int  # how many of the numbers are the picture's; they stand last
    picture_weight: float  # share of the picture


class Towers(nn.Module):
    """A product tower and a query tower that meet in one space of unit vectors."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.shape = shape
        self.facts = facts_of(shape)
        self.product = ProductTower(
            shape.widths,
            num_own=shape.num_own,
            num_popularity=shape.num_popularity,
            dim=shape.dim,
            width=shape.width,
            heads=shape.heads,
            fusion=shape.fusion,
        )
        self.query = QueryTower(
            shape.text_dim,
            shape.picture_dim,
            dim=shape.dim,
            width=shape.width,
            heads=shape.heads,
            interests=shape.interests,
        )

    def forward(
        self, queries: QueryBatch, products: ProductBatch, table: Float[Tensor, "n d"]
    ) -> tuple[Float[Tensor, "b m d"], Bool[Tensor, "b m"], Float[Tensor, "c d"]]:
        """Return query vectors, which of them are meant, and product vectors."""
        vectors, meant = self.query(queries, table)
        return vectors, meant, self.product(products)

    def save(self, folder: Path) -> None:
        """Write the weights and what is needed to open them."""
        folder.mkdir(parents=True, exist_ok=True)
        shape = msgspec.structs.replace(self.shape, facts=self.facts.codes)
        (folder / ABOUT).write_bytes(msgspec.json.encode(shape))
        state = {name: t.detach().cpu().contiguous() for name, t in self.state_dict().items()}
        save_file(state, folder / WEIGHTS)

    @classmethod
    def open(cls, folder: Path) -> "Towers":
        """Read a folder of `save`; the caller has checked its checksums."""
        towers = cls(read_shape(folder))
        try:
            towers.load_state_dict(load_file(folder / WEIGHTS))
        except RuntimeError as e:
            raise UnknownTowers(f"the weights do not fit {ABOUT}: {str(e)[:200]}") from None
        return towers.eval()


@torch.no_grad()
def start(towers: Towers, spaces: Spaces) -> None:
    """Turn untrained towers so that they compare as the encoders do.

    The joined vectors are projected onto the directions in which the products differ most (the
    uncentred principal axes, so that inner products are kept as well as `dim` numbers can), in
    both towers by the same matrix. The axes stand in order of their weight, so that the vectors
    can be cut before anything is trained.
    """
    sample = spaces.joined[:: 1 + len(spaces.joined) // SAMPLE].astype(np.float64)
    axes = np.linalg.eigh(sample.T @ sample)[1][:, ::-1][:, : towers.shape.dim]
    turn = torch.zeros(towers.shape.dim, spaces.joined.shape[1])
    turn[: axes.shape[1]] = torch.from_numpy(axes.T.astype(np.float32))
    texts = spaces.joined.shape[1] - spaces.picture_dim
    towers.query.from_text.weight.copy_(turn)
    share = 1 - spaces.picture_weight if spaces.picture_dim else 1.0
    for name, weights in towers.product.project.named_parameters():
        kind = name.removesuffix(".weight")
        if kind in ONE:
            weights.copy_(turn[:, :texts] * share**0.5)
        elif spaces.picture_dim:
            weights.copy_(turn[:, texts:] * (1 - share) ** 0.5)
    if spaces.picture_dim:
        towers.query.from_picture.weight.copy_(turn[:, texts:])


@torch.inference_mode()
def embed_products(
    towers: Towers, columns: TowerColumns, rows: Int64[np.ndarray, "m"] | None = None
) -> Float32[np.ndarray, "m d"]:
    """Return the vectors of these products, or of all."""
    rows = np.arange(columns.size) if rows is None else rows
    was_training = towers.training
    towers.eval()
    vectors = np.zeros((len(rows), towers.shape.dim), np.float32)
    for at in range(0, len(rows), AT_ONCE):
        part = take(columns, rows[at : at + AT_ONCE])
        vectors[at : at + AT_ONCE] = towers.product(part).numpy()
    towers.train(was_training)
    return vectors


@torch.inference_mode()
def interests(
    towers: Towers, ask: EncodedQuery, vectors: Float32[np.ndarray, "n d"]
) -> Float32[np.ndarray, "m d"]:
    """Return the unit vectors of one request: one where something is asked, else several."""
    inputs = request_inputs(towers.shape, towers.facts, ask, vectors)
    text, picture, marked, marks, recent, recent_facts, facts = (
        torch.from_numpy(np.array(one)) for one in inputs.values()
    )
    places = torch.arange(len(marked) + len(recent))
    query = QueryBatch(
        text=text[None],
        picture=picture[None],
        marked=places[None, : len(marked)],
        marks=marks[None],
        recent=places[None, len(marked) :],
        recent_facts=recent_facts[None],
        facts=facts[None],
    )
    found, meant = towers.query(query, torch.cat([marked, recent]))
    meaning: np.ndarray = found[meant].numpy()
    return meaning[np.any(meaning != 0, axis=1)]
