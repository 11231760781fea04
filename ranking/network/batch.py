"""Lays requests of unequal length side by side; what is unused takes no part in any score."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from ranking.network.cross_attention import CrossAttentionRanker
from ranking.network.shape import RankerShape
from ranking.rank_call import RankCall

TokensOf = Callable[[Tensor], Tensor]  # rows [*s] -> tokens [*s d]; any token for an unused row


class Sizes(NamedTuple):
    """How many places a batch has."""

    requests: int
    candidates: int
    recent: int
    facts: int


class Memory(NamedTuple):
    """All that a batch holds, so that it goes to another device in two copies."""

    floats: Float32[Tensor, "x"]
    integers: Int64[Tensor, "y"]


class Batch(NamedTuple):
    """Requests side by side; unused rows are -1, and all else that is unused is 0."""

    rows: Int64[Tensor, "b c"]
    features: Float32[Tensor, "b c f"]
    query: Float32[Tensor, "b v"]
    asked: Int64[Tensor, "b 1"]  # 1 where there is a query
    recent: Int64[Tensor, "b r"]
    recent_facts: Float32[Tensor, "b r 2"]
    facts: Int64[Tensor, "b g"]


class Inputs(NamedTuple):
    """What the network takes."""

    candidates: Float[Tensor, "b c d"]
    features: Float[Tensor, "b c f"]
    kept: Bool[Tensor, "b c"]
    context: Float[Tensor, "b t d"]
    context_mask: Bool[Tensor, "b t"]


def sizes_of(calls: Sequence[RankCall]) -> Sizes:
    """Return the least places that these requests need."""
    return Sizes(
        len(calls),
        max(len(call.rows) for call in calls),
        max(int((call.context.recent >= 0).sum()) for call in calls),
        max(int((call.context.facts > 0).sum()) for call in calls),
    )


def memory(
    sizes: Sizes, shape: RankerShape, device: torch.device | str = "cpu", *, pinned: bool = False
) -> Memory:
    """Return room for a batch; pinned memory is read by a card without the processor's help."""
    b, c, r, g = sizes
    floats = b * (c * shape.num_features + shape.vector_dim + 2 * r)
    return Memory(
        torch.zeros(floats, device=device, pin_memory=pinned),
        torch.zeros(b * (c + 1 + r + g), dtype=torch.int64, device=device, pin_memory=pinned),
    )


def batch_in(held: Memory, sizes: Sizes, shape: RankerShape) -> Batch:
    """Return the parts of this memory; writing to one writes there."""
    b, c, r, g = sizes
    features, query, recent_facts = torch.split(
        held.floats, [b * c * shape.num_features, b * shape.vector_dim, 2 * b * r]
    )
    rows, asked, recent, facts = torch.split(held.integers, [b * c, b, b * r, b * g])
    return Batch(
        rows=rearrange(rows, "(b c) -> b c", b=b),
        features=rearrange(features, "(b c f) -> b c f", b=b, c=c),
        query=rearrange(query, "(b v) -> b v", b=b),
        asked=rearrange(asked, "b -> b 1"),
        recent=rearrange(recent, "(b r) -> b r", b=b),
        recent_facts=rearrange(recent_facts, "(b r two) -> b r two", b=b, two=2),
        facts=rearrange(facts, "(b g) -> b g", b=b),
    )


def fill(batch: Batch, calls: Sequence[RankCall]) -> None:
    """Write these requests into a batch on the processor; nothing of earlier ones is left.

    A number that is none, left in an unused place, would spoil its request: 0 times it is none.
    """
    for part in batch:
        part.zero_()
    batch.rows.fill_(-1)
    batch.recent.fill_(-1)
    written: list[np.ndarray] = [part.numpy() for part in batch]
    for place, call in enumerate(calls):
        for array, values in zip(written, _values(call), strict=True):
            array[place, : len(values)] = values


def _values(call: RankCall) -> tuple[Sequence[int] | np.ndarray, ...]:
    """Return what a call puts into the parts of a batch, in their order."""
    rows, features, context = call
    recent = context.recent[context.recent >= 0]
    return (
        rows,
        features,
        () if context.query is None else context.query,
        (int(context.query is not None),),
        recent,
        context.recent_facts[: len(recent)],
        context.facts[context.facts > 0],
    )


def batch_of(calls: Sequence[RankCall], shape: RankerShape) -> Batch:
    """Return these requests as the smallest batch that holds them."""
    sizes = sizes_of(calls)
    batch = batch_in(memory(sizes, shape), sizes, shape)
    fill(batch, calls)
    return batch


def inputs(network: CrossAttentionRanker, batch: Batch, tokens_of: TokensOf) -> Inputs:
    """Return what the network takes of a batch: the query, the recent products and the facts."""
    context = network.context(batch.query, tokens_of(batch.recent), batch.recent_facts, batch.facts)
    mask = torch.cat([batch.asked > 0, batch.recent >= 0, batch.facts > 0], dim=1)
    return Inputs(tokens_of(batch.rows), batch.features, batch.rows >= 0, context, mask)
