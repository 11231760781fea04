"""Losses on graded pairs of a query and a title, for vectors that may be cut."""

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F

from retrieval.towers import losses as towers

SCALE = 20.0  # inverse temperature of cosines, as in sentence-transformers' ranking losses
RELEVANT = 0.66  # a title from this relevance on is a right answer
CLEARLY_LESS = 0.3  # a title of the same query this far below a right one is a wrong one


def graded_loss(
    queries: Float[Tensor, "u d"],
    titles: Float[Tensor, "b d"],
    owner: Int64[Tensor, "b"],
    relevance: Float[Tensor, "b"],
    dims: Iterable[int],
) -> Float[Tensor, ""]:
    """Return the mean over `dims` of both losses below, on vectors cut to so many numbers.

    `owner[i]` is the query that title i was judged for. Cutting as in Kusupati et al. 2022,
    Matryoshka Representation Learning.
    """
    losses = []
    for dim in dims:
        q = F.normalize(queries[:, :dim], dim=-1)  # u dim
        t = F.normalize(titles[:, :dim], dim=-1)  # b dim
        logits = SCALE * q @ t.T  # u b
        losses.append(
            in_batch_softmax(logits, owner, relevance) + in_query_order(logits, owner, relevance)
        )
    return torch.stack(losses).mean()


def in_batch_softmax(
    logits: Float[Tensor, "u b"], owner: Int64[Tensor, "b"], relevance: Float[Tensor, "b"]
) -> Float[Tensor, ""]:
    """Return the mean cross entropy of picking each relevant title for its query; 0 without any.

    The others to pick from are the titles of other queries and the clearly less relevant ones of
    the same query; multiple negatives ranking (Henderson et al. 2017) with graded hard negatives.
    """
    right = (relevance >= RELEVANT).nonzero().flatten()  # r
    if not len(right):
        return logits.sum() * 0.0
    wrong = wrong_answers(owner, relevance)[right]  # r b
    alone = F.one_hot(right, len(owner)).bool()  # r b: each right title has a row of its own
    equally_often = torch.zeros(len(owner), device=logits.device)
    return towers.in_batch_softmax(logits[owner[right]], alone, ~wrong, equally_often, 1.0)


def wrong_answers(owner: Int64[Tensor, "b"], relevance: Float[Tensor, "b"]) -> Bool[Tensor, "b b"]:
    """Tell of each title (row) which others (column) are wrong answers to its query."""
    foreign = owner[:, None] != owner
    return foreign | (relevance < relevance[:, None] - CLEARLY_LESS)


def in_query_order(
    logits: Float[Tensor, "u b"], owner: Int64[Tensor, "b"], relevance: Float[Tensor, "b"]
) -> Float[Tensor, ""]:
    """Return the mean logistic loss of pairs in the wrong order within a query; 0 without any.

    RankNet (Burges et al. 2005) on every two titles of one query that differ in relevance.
    """
    own = logits[owner, torch.arange(len(owner))]  # b
    worse = (owner[:, None] == owner) & (relevance[:, None] < relevance)  # b b
    if not worse.any():
        return logits.sum() * 0.0
    return F.softplus((own[:, None] - own)[worse]).mean()
