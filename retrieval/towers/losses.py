"""What the towers are trained to lower: pure functions of similarities, and a choice of them.

All take the inner products of `b` query vectors with `c` product vectors, the columns:

    similarities  in [-1, 1] for unit vectors
    right         True where the column is a right answer to the query
    ignored       True where the column is not held against the query: what may well be right, too
    log_counts    the logarithm of how many columns like this one a batch is expected to hold

A query without a right column adds nothing; with none at all the loss is 0.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

MARGIN = 0.2  # of the cosine, by which a right product should lead a wrong one

Loss = Callable[
    [Float[Tensor, "b c"], Bool[Tensor, "b c"], Bool[Tensor, "b c"], Float[Tensor, "c"], float],
    Float[Tensor, ""],
]


def in_batch_softmax(
    similarities: Float[Tensor, "b c"],
    right: Bool[Tensor, "b c"],
    ignored: Bool[Tensor, "b c"],
    log_counts: Float[Tensor, "c"],
    temperature: float = 0.05,
) -> Float[Tensor, ""]:
    """Return the cross entropy of finding each right column among all that are wrong.

    With `l = similarity / temperature - log_count`, a query's loss is the mean over its right
    columns `p` of `-l[p] + log(exp(l[p]) + sum over wrong n of exp(l[n]))`. The other right
    columns of the query take no part in the sum. `log_count` is the logQ correction (Yi et al.,
    RecSys 2019): what is bought often stands in many batches, and would be pushed away for it.
    With it the similarity tends to `temperature * log p(product | query)`, up to a constant.

    Needs: two columns or more. The larger the batch, the better the estimate.
    """
    logits = similarities / temperature - log_counts
    wrong = (~right) & (~ignored)
    others = logits.masked_fill(~wrong, -torch.inf).logsumexp(dim=1, keepdim=True)
    return _mean_over_queries(torch.logaddexp(logits, others) - logits, right)


def margin(
    similarities: Float[Tensor, "b c"],
    right: Bool[Tensor, "b c"],
    ignored: Bool[Tensor, "b c"],
    log_counts: Float[Tensor, "c"],
    temperature: float = 0.05,
) -> Float[Tensor, ""]:
    """Return by how much right columns fail to lead the wrong ones by MARGIN.

    `max(0, MARGIN - similarity[p] + similarity[n])`, the mean over the wrong columns `n`, then
    over the right columns `p` of a query: the pairwise hinge of WSABIE (Weston et al., IJCAI 2011)
    without its weights. Neither frequency nor temperature matters.
    """
    wrong = (~right) & (~ignored)
    asking, columns = right.nonzero(as_tuple=True)
    lead = similarities[asking, columns][:, None] - similarities[asking]
    missed = F.relu(MARGIN - lead).masked_fill(~wrong[asking], 0.0)
    lost = torch.zeros_like(similarities)
    lost[asking, columns] = missed.sum(dim=1) / wrong[asking].sum(dim=1).clamp(min=1)
    return _mean_over_queries(lost, right)


def mse(
    similarities: Float[Tensor, "b c"],
    right: Bool[Tensor, "b c"],
    ignored: Bool[Tensor, "b c"],
    log_counts: Float[Tensor, "c"],
    temperature: float = 0.05,
) -> Float[Tensor, ""]:
    """Return the squared distance of similarities from 1 where right and from 0 where wrong.

    Right and wrong columns weigh half each in a query, however many there are of either.
    """
    wrong = (~right) & (~ignored)
    missed = _mean_over_queries((1 - similarities) ** 2, right)
    asked = right.any(dim=1, keepdim=True)
    return (missed + _mean_over_queries(similarities**2, wrong & asked)) / 2


LOSSES: dict[str, Loss] = {"softmax": in_batch_softmax, "margin": margin, "mse": mse}


def matryoshka(
    loss: Callable[[Float[Tensor, "b c"]], Float[Tensor, ""]],
    compare: Callable[[int], Float[Tensor, "b c"]],
    dims: Sequence[int],
) -> Float[Tensor, ""]:
    """Return the mean loss over vectors cut to each of `dims` (Kusupati et al., NeurIPS 2022).

    `compare(dim)` gives the similarities of the first `dim` numbers, made unit vectors again.
    Vectors that are trained so can be cut to any of these lengths when they are served.
    """
    return torch.stack([loss(compare(dim)) for dim in dims]).mean()


def _mean_over_queries(
    values: Float[Tensor, "b c"], where: Bool[Tensor, "b c"]
) -> Float[Tensor, ""]:
    """Return the mean over queries of the mean over a query's columns; 0 where there is none."""
    counts = where.sum(dim=1)
    sums = values.masked_fill(~where, 0.0).sum(dim=1)
    means = sums / counts.clamp(min=1)
    total: Tensor = means.sum() / (counts > 0).sum().clamp(min=1)
    return total
