"""Losses of a list: the logits of its candidates and what came of each, in; one number, out.

All take logits, labels from 0 to 1 and weights, each [b c]; a weight of 0 leaves a candidate out,
be it padding or one of which the outcome is not known. The weight of what came to nothing is the
number of candidates that it stands for, of which the others were left out.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

DEEPEST = 60  # places that count for an order

Column = Float[Tensor, "b c"]
Loss = Callable[[Column, Column, Column], Float[Tensor, ""]]


def listwise(logits: Column, labels: Column, weights: Column) -> Float[Tensor, ""]:
    """Return the mean cross entropy between the labels and the softmax of the logits.

    ListNet's top-one loss (Cao et al., ICML 2007) with the wanted products sharing the target;
    a list in which nothing is wanted says nothing, another counts by the mean weight of what is.
    """
    kept = weights > 0
    gains = labels * weights
    targets = gains / gains.sum(dim=-1, keepdim=True).clamp(min=1e-9)
    log_shares = F.log_softmax(logits.masked_fill(~kept, torch.finfo(logits.dtype).min), dim=-1)
    losses = -(targets * log_shares.masked_fill(~kept, 0)).sum(dim=-1)
    wanted = (labels * kept).sum(dim=-1)
    return _mean(losses, gains.sum(dim=-1) / wanted.clamp(min=1e-9))


def pairwise(logits: Column, labels: Column, weights: Column) -> Float[Tensor, ""]:
    """Return the mean logistic loss over pairs of a list of which one has the higher label.

    RankNet (Burges et al., ICML 2005), each pair with the product of its weights.
    """
    better = _wanted(labels, weights)
    pairs = (_of(labels, better) > labels[:, None, :]) * _of(weights, better) * weights[:, None, :]
    return _mean(F.softplus(logits[:, None, :] - _of(logits, better)), pairs)


def lambda_loss(logits: Column, labels: Column, weights: Column) -> Float[Tensor, ""]:
    """Return RankNet's loss with each pair by what it would change of nDCG if it swapped places.

    LambdaRank (Burges et al., NIPS 2006) in the form of Wang et al. (CIKM 2018): |G_i - G_j| times
    |D_i - D_j| over the best possible DCG, the gains G linear, the discounts D 1 / log2(1 + place)
    of the first `DEEPEST` places, as the logits order the list now. Places are those of the whole
    list: what stands for several fills as many of them, and has the one in their middle.
    """
    kept = weights > 0
    discounts = _discounts(_places(logits, torch.where(labels > 0, kept, weights)))
    best = (labels * kept).sort(dim=-1, descending=True).values
    ideal = (best * _discounts(torch.arange(best.shape[-1]).to(best).expand_as(best))).sum(dim=-1)
    better = _wanted(labels, weights)
    swaps = (_of(labels, better) - labels[:, None, :]).clamp(min=0)
    swaps = swaps * (_of(discounts, better) - discounts[:, None, :]).abs()
    swaps = swaps * _of(weights, better) * weights[:, None, :]
    losses = (F.softplus(logits[:, None, :] - _of(logits, better)) * swaps).sum(dim=(1, 2))
    return _mean(losses / ideal.clamp(min=1e-9), (ideal > 0).to(losses.dtype))


def cross_entropy(logits: Column, labels: Column, weights: Column) -> Float[Tensor, ""]:
    """Return the mean binary cross entropy, so that a sigmoid of the logit is a probability."""
    losses = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return _mean(losses, weights)


def mse(logits: Column, labels: Column, weights: Column) -> Float[Tensor, ""]:
    """Return the mean squared difference between the sigmoid and the label (Brier, 1950)."""
    return _mean((logits.sigmoid() - labels).square(), weights)


def none(logits: Column, labels: Column, weights: Column) -> Float[Tensor, ""]:
    """Return 0, for a training that does without."""
    return logits.sum() * 0


ORDER_LOSSES: dict[str, Loss] = {
    "lambda": lambda_loss,
    "listwise": listwise,
    "pairwise": pairwise,
    "none": none,
}
VALUE_LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "mse": mse, "none": none}
LOSSES = {name: loss for name, loss in (ORDER_LOSSES | VALUE_LOSSES).items() if name != "none"}


def _wanted(labels: Column, weights: Column) -> Int[Tensor, "b w"]:
    """Return where the labels above 0 stand: only they can be the better one of a pair."""
    wanted = (labels > 0) & (weights > 0)
    most = max(int(wanted.sum(dim=-1).max()), 1)
    return torch.where(wanted, labels, -1.0).topk(most, dim=-1).indices


def _places(logits: Column, stands_for: Column) -> Column:
    """Return the place of each candidate from 0 on, by falling logit; it fills `stands_for`."""
    order = logits.detach().argsort(dim=-1, descending=True)
    filled = stands_for.gather(-1, order)
    middles = filled.cumsum(dim=-1) - (filled + 1) / 2
    return torch.empty_like(middles).scatter(-1, order, middles)


def _of(column: Column, places: Int[Tensor, "b w"]) -> Float[Tensor, "b w 1"]:
    return column.gather(-1, places)[:, :, None]


def _discounts(places: Column) -> Column:
    return torch.where(places < DEEPEST, 1 / torch.log2(places + 2.0), 0.0)


def _mean(losses: Float[Tensor, "*s"], weights: Float[Tensor, "*s"]) -> Float[Tensor, ""]:
    return (losses * weights).sum() / weights.sum().clamp(min=1e-9)
