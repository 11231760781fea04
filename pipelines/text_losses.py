"""Losses on graded pairs of a query and a title, for vectors that may be cut."""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

SCALE = 10.0  # inverse temperature of cosines in the order within a query
TEACHING = 50.0  # weight of what is taught, so that both losses pull about alike
ORDER = 0.5  # weight of what was judged


def graded_loss(
    queries: Float[Tensor, "u d"],
    titles: Float[Tensor, "b d"],
    owner: Int64[Tensor, "b"],
    relevance: Float[Tensor, "b"],
    taught: Float[Tensor, "u b"],
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
        cosines = q @ t.T  # u b
        losses.append(
            TEACHING * as_taught(cosines, owner, taught)
            + ORDER * in_query_order(cosines, owner, relevance)
        )
    return torch.stack(losses).mean()


def as_taught(
    cosines: Float[Tensor, "u b"], owner: Int64[Tensor, "b"], taught: Float[Tensor, "u b"]
) -> Float[Tensor, ""]:
    """Return the mean squared gap to what is taught: of all pairs, and of each query's own titles.

    Only gaps within a query count, not how high its scores are: distillation of margins
    (Hofstätter et al. 2020, Improving efficient neural ranking models with cross-architecture
    knowledge distillation).
    """
    gap = cosines - taught
    own = gap[owner, torch.arange(len(owner))]  # b
    titles = torch.bincount(owner, minlength=len(gap)).clamp(min=1)  # u
    mean = torch.zeros(len(gap)).index_add(0, owner, own) / titles  # u
    return gap.var(dim=1, correction=0).mean() + (own - mean[owner]).square().mean()


def in_query_order(
    cosines: Float[Tensor, "u b"], owner: Int64[Tensor, "b"], relevance: Float[Tensor, "b"]
) -> Float[Tensor, ""]:
    """Return the mean logistic loss of pairs in the wrong order within a query; 0 without any.

    RankNet (Burges et al. 2005) on every two titles of one query that differ in relevance, weighed
    by how much they differ: a small difference is mostly the judges'.
    """
    own = SCALE * cosines[owner, torch.arange(len(owner))]  # b
    worse = relevance[:, None] - relevance  # b b: by how much the second is
    weight = torch.where(owner[:, None] == owner, worse.clamp(min=0), 0.0)
    if not weight.any():
        return cosines.sum() * 0.0
    return (weight * F.softplus(own - own[:, None])).sum() / weight.sum()
