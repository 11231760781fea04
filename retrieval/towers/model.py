"""The two-tower model: initialised over the encoders' spaces, saved, opened and applied."""

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from retrieval.behaviour.recent import recent_products
from retrieval.context_facts import EVERY_NUMBER, FACT_BUCKETS, FactVocabulary
from retrieval.encoded_query import EncodedQuery
from retrieval.towers.columns import CODE_BUCKETS, ONE, ProductBatch, TowerColumns, take
from retrieval.towers.product import ProductTower
from retrieval.towers.query import QueryBatch, QueryTower

ABOUT, WEIGHTS = "towers.json", "towers.safetensors"
AT_ONCE = 2_048  # products
SAMPLE = 20_000  # products by which the spaces are turned


class UnknownTowers(ValueError):
    """Towers that this version cannot build again; says what differs."""


class TowerShape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is needed to build both towers again before their weights are read."""

    widths: dict[str, int]  # numbers of a vector, by kind of dense token
    text_dim: int  # of a query's words, in the joined space
    picture_dim: int  # of a query's picture; 0: no pictures
    num_own: int
    num_popularity: int
    dim: int = 256  # of the vectors that are compared
    width: int = 128  # of the attention over the tokens
    heads: int = 4
    fusion: str = "attention"
    interests: int = 4
    recent: int = 24  # products that a query looks back on
    temperature: float = 0.05  # of the softmax that they are trained with
    code_buckets: int = CODE_BUCKETS
    fact_buckets: int = FACT_BUCKETS
    facts: tuple[int, ...] | None = None  # codes of those that they learnt; None: given as numbers


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
        self.facts = EVERY_NUMBER if shape.facts is None else FactVocabulary(shape.facts)
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
        try:
            shape = msgspec.json.decode((folder / ABOUT).read_bytes(), type=TowerShape)
        except msgspec.DecodeError as e:
            raise UnknownTowers(f"this version does not know such towers: {e}") from None
        if (shape.code_buckets, shape.fact_buckets) != (CODE_BUCKETS, FACT_BUCKETS):
            raise UnknownTowers(
                f"the towers number attributes and facts to {shape.code_buckets} and "
                f"{shape.fact_buckets}, this version to {CODE_BUCKETS} and {FACT_BUCKETS}; "
                "build again"
            )
        if shape.facts is None:
            raise UnknownTowers("the towers do not say which facts they learnt; build again")
        towers = cls(shape)
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
    shape = towers.shape
    recent, recent_facts = recent_products(ask.history, ask.at_seconds, shape.recent)
    kept = recent >= 0
    rows = np.concatenate([ask.marked, recent[kept]])
    near = torch.from_numpy(np.ascontiguousarray(vectors[rows], np.float32))
    places = torch.arange(len(rows))
    numbers = towers.facts.numbers(ask.facts)
    facts = numbers[numbers > 0]
    query = QueryBatch(
        text=_row(ask.joined_vector, shape.text_dim),
        picture=_row(ask.image_vector, max(shape.picture_dim, 1)),
        marked=places[None, : len(ask.marked)],
        marks=torch.from_numpy(ask.marks[None]),
        recent=places[None, len(ask.marked) :],
        recent_facts=torch.from_numpy(recent_facts[kept][None]),
        facts=torch.from_numpy(facts[None]),
    )
    found, meant = towers.query(query, near if len(near) else torch.zeros(1, shape.dim))
    meaning: np.ndarray = found[meant].numpy()
    return meaning[np.any(meaning != 0, axis=1)]


def _row(vector: Float32[np.ndarray, "v"] | None, dim: int) -> Float32[Tensor, "1 v"]:
    if vector is None:
        return torch.zeros(1, dim)
    return torch.from_numpy(np.array(vector, np.float32))[None]
