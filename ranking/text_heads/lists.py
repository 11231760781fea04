"""What a head looks at: one query, its candidates, their match features and word pieces."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float16, Float32
from torch import Tensor

from ranking.text_heads.match_features import ProductRead, QueryRead, Rarity, match
from retrieval.encoders.text import TokenVectors

MOST_PIECES = 48  # of a text; the rest is not looked at


class TextList(NamedTuple):
    """One query and its candidates, as they were read; half precision, because they are many."""

    features: Float32[np.ndarray, "c f"]
    query: Float16[np.ndarray, "q d"]  # one vector a word piece
    titles: tuple[Float16[np.ndarray, "_ d"], ...]  # one matrix a candidate


class JudgedList(NamedTuple):
    """A list with the truth: how relevant each candidate is, in [0, 1]."""

    asked: TextList
    relevance: Float32[np.ndarray, "c"]


class ListBatch(NamedTuple):
    """Lists as tensors: pairs of a query and a title one after another, list after list."""

    features: Float[Tensor, "p f"]
    query: Float[Tensor, "p q d"]
    query_mask: Bool[Tensor, "p q"]  # True where there is a word piece
    title: Float[Tensor, "p t d"]
    title_mask: Bool[Tensor, "p t"]
    kept: Bool[Tensor, "l c"]  # True where a list has a candidate: as many as there are pairs

    def by_list(self, values: Float[Tensor, "p"]) -> Float[Tensor, "l c"]:
        """Return the values of the pairs as padded lists; 0 where there is no candidate."""
        padded = values.new_zeros(self.kept.shape)
        return padded.masked_scatter(self.kept, values)


def read_list(query: QueryRead, products: Sequence[ProductRead], rarity: Rarity) -> TextList:
    """Return what heads look at of a query and its candidates, in the order of the candidates."""
    return TextList(
        match(query, products, rarity),
        _vectors(query.pieces),
        tuple(_vectors(product.title_pieces) for product in products),
    )


def collate(lists: Sequence[TextList]) -> ListBatch:
    """Pad lists of unequal length; there must be one at least, each with a candidate."""
    sizes = [len(asked.titles) for asked in lists]
    queries, query_mask = _padded([asked.query for asked in lists])
    title, title_mask = _padded([title for asked in lists for title in asked.titles])
    list_of = torch.repeat_interleave(torch.tensor(sizes))  # p
    return ListBatch(
        features=torch.from_numpy(np.concatenate([asked.features for asked in lists])),
        query=queries[list_of],
        query_mask=query_mask[list_of],
        title=title,
        title_mask=title_mask,
        kept=torch.arange(max(sizes)) < torch.tensor(sizes)[:, None],
    )


def _vectors(text: TokenVectors) -> Float16[np.ndarray, "_ d"]:
    """Return the first word pieces; a text without any reads as one piece that is like nothing."""
    if not len(text.pieces):
        return np.zeros((1, len(text.whole)), np.float16)
    return text.tokens[:MOST_PIECES].astype(np.float16)


def _padded(
    texts: Sequence[Float16[np.ndarray, "_ d"]],
) -> tuple[Float[Tensor, "n t d"], Bool[Tensor, "n t"]]:
    lengths = torch.tensor([len(text) for text in texts])
    padded = np.zeros((len(texts), int(lengths.max()), texts[0].shape[1]), np.float32)
    for place, text in enumerate(texts):
        padded[place, : len(text)] = text
    return torch.from_numpy(padded), torch.arange(padded.shape[1]) < lengths[:, None]
