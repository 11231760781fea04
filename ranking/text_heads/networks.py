"""Networks over word pieces of a query and a title: convolution, LSTM and cross-attention.

What they read is added to a linear function of the match features, which is strong by itself and
the same in another shop.
"""

from collections.abc import Callable

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Float32
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from ranking.network.cross_attention import FARTHEST, CrossAttention
from ranking.text_heads.lists import ListBatch

HEADS = 4
WINDOW = 3  # word pieces that a convolution sees at once
DROPOUT = 0.2
STILL = 1e-4  # deviation of a feature that says nothing


class PairTokens(nn.Module):
    """Word pieces made smaller, each with how near the other side comes to it."""

    def __init__(self, token_dim: int, dim: int) -> None:
        super().__init__()
        self.from_piece = nn.Linear(token_dim, dim, bias=False)
        self.from_nearest = nn.Linear(1, dim)
        self.sides = nn.Parameter(torch.zeros(2, dim))  # query, title
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, batch: ListBatch) -> tuple[Float[Tensor, "p q k"], Float[Tensor, "p t k"]]:
        """Return the pieces of both sides; what is padding means nothing."""
        near = torch.einsum("p q d, p t d -> p q t", batch.query, batch.title)
        real = rearrange(batch.query_mask, "p q -> p q 1") & rearrange(
            batch.title_mask, "p t -> p 1 t"
        )
        near = near.masked_fill(~real, -1)
        of_query, of_title = self.sides
        return (
            self._read(batch.query, near.amax(dim=2)) + of_query,
            self._read(batch.title, near.amax(dim=1)) + of_title,
        )

    def _read(
        self, pieces: Float[Tensor, "p t d"], nearest: Float[Tensor, "p t"]
    ) -> Float[Tensor, "p t k"]:
        nearness = self.from_nearest(rearrange(nearest, "p t -> p t 1"))
        read: Tensor = self.dropout(self.from_piece(pieces)) + nearness
        return read


class PairReader(nn.Module):
    """Makes one vector of length `dim` of each pair."""

    dim: int

    def __init__(self, token_dim: int, dim: int) -> None:
        super().__init__()
        self.tokens = PairTokens(token_dim, dim)


class ConvolutionReader(PairReader):
    """The strongest answer of each filter over windows of each side (Kim, EMNLP 2014)."""

    def __init__(self, token_dim: int, dim: int) -> None:
        super().__init__(token_dim, dim)
        self.windows = nn.Conv1d(dim, dim, WINDOW, padding=WINDOW // 2)
        self.dim = 2 * dim

    def forward(self, batch: ListBatch) -> Float[Tensor, "p r"]:
        """Return one vector a pair."""
        query, title = self.tokens(batch)
        sides = (query, batch.query_mask), (title, batch.title_mask)
        return torch.cat([self._strongest(*side) for side in sides], dim=1)

    def _strongest(
        self, pieces: Float[Tensor, "p t k"], mask: Bool[Tensor, "p t"]
    ) -> Float[Tensor, "p k"]:
        real = rearrange(mask, "p t -> p 1 t")
        channels = rearrange(pieces, "p t k -> p k t").masked_fill(~real, 0)  # as beyond the edge
        strongest: Tensor = self.windows(channels).relu().masked_fill(~real, 0).amax(dim=2)
        return strongest


class LstmReader(PairReader):
    """The last states of an LSTM that reads each side in both directions."""

    def __init__(self, token_dim: int, dim: int) -> None:
        super().__init__(token_dim, dim)
        self.lstm = nn.LSTM(dim, dim // 2, batch_first=True, bidirectional=True)
        self.dim = 2 * dim

    def forward(self, batch: ListBatch) -> Float[Tensor, "p r"]:
        """Return one vector a pair."""
        query, title = self.tokens(batch)
        sides = (query, batch.query_mask), (title, batch.title_mask)
        return torch.cat([self._last(*side) for side in sides], dim=1)

    def _last(
        self, pieces: Float[Tensor, "p t k"], mask: Bool[Tensor, "p t"]
    ) -> Float[Tensor, "p k"]:
        lengths = mask.sum(dim=1).cpu()
        packed = pack_padded_sequence(pieces, lengths, batch_first=True, enforce_sorted=False)
        _, (last, _) = self.lstm(packed)
        states: Tensor = rearrange(last, "directions p k -> p (directions k)")
        return states


class AttentionReader(PairReader):
    """The mean of the title's pieces after each has looked at the query's."""

    def __init__(self, token_dim: int, dim: int) -> None:
        super().__init__(token_dim, dim)
        self.attend = CrossAttention(dim, HEADS, head_dim=dim // HEADS, hidden=2 * dim)
        self.dim = dim

    def forward(self, batch: ListBatch) -> Float[Tensor, "p r"]:
        """Return one vector a pair."""
        query, title = self.tokens(batch)
        seen = self.attend(title, query, batch.query_mask)
        real = rearrange(batch.title_mask, "p t -> p t 1")
        mean: Tensor = seen.masked_fill(~real, 0).sum(dim=1) / real.sum(dim=1)
        return mean


READERS: dict[str, Callable[[int, int], PairReader]] = {
    "cnn": ConvolutionReader,
    "lstm": LstmReader,
    "cross_attention": AttentionReader,
}


class TextNetwork(nn.Module):
    """A linear function of the match features, plus what a reader makes of the word pieces."""

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(
        self, features: Float32[np.ndarray, "n f"], reader: PairReader | None = None
    ) -> None:
        """Measure the features, so that what is learnt of each counts in its own deviations."""
        super().__init__()
        spread = features.std(axis=0)
        # A feature that never moved in training must not decide anything when it moves later.
        scale = np.where(spread > STILL, spread, 1 / STILL).astype(np.float32)
        self.register_buffer("feature_mean", torch.from_numpy(features.mean(axis=0)))
        self.register_buffer("feature_scale", torch.from_numpy(scale))
        self.from_features = nn.Linear(features.shape[1], 1)
        self.reader = reader
        if reader is not None:
            last = nn.Linear(reader.dim, 1, bias=False)
            nn.init.zeros_(last.weight)  # training starts from the features alone
            self.from_reader = nn.Sequential(nn.LayerNorm(reader.dim), nn.Dropout(DROPOUT), last)

    def forward(self, batch: ListBatch) -> Float[Tensor, "p"]:
        """Return one logit a pair."""
        known = (batch.features - self.feature_mean) / self.feature_scale
        logits: Tensor = self.from_features(known.clamp(-FARTHEST, FARTHEST))
        if self.reader is not None:
            logits = logits + self.from_reader(self.reader(batch))
        return rearrange(logits, "p 1 -> p")
