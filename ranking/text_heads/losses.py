"""Losses of a list of logits against graded relevance: pure functions, chosen by name."""

from collections.abc import Callable

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from ranking.training import list_loss, point_loss

Loss = Callable[
    [Float[Tensor, "l c"], Float[Tensor, "l c"], Bool[Tensor, "l c"]], Float[Tensor, ""]
]


def pairwise_loss(
    logits: Float[Tensor, "l c"], relevance: Float[Tensor, "l c"], kept: Bool[Tensor, "l c"]
) -> Float[Tensor, ""]:
    """Return the mean of log(1 + exp(worse - better)) over pairs, a wider gap counting more.

    RankNet (Burges et al., ICML 2005), each pair weighed by its difference in relevance.
    """
    gaps = (relevance[:, :, None] - relevance[:, None, :]).clamp(min=0)  # l better worse
    gaps = gaps * (kept[:, :, None] & kept[:, None, :])
    losses = F.softplus(logits[:, None, :] - logits[:, :, None])
    return (losses * gaps).sum() / gaps.sum().clamp(min=1e-9)


def squared_loss(
    logits: Float[Tensor, "l c"], relevance: Float[Tensor, "l c"], kept: Bool[Tensor, "l c"]
) -> Float[Tensor, ""]:
    """Return the mean squared error of the logistic of the logit against the relevance."""
    errors = (logits.sigmoid() - relevance).square()
    return (errors * kept).sum() / kept.sum()


LOSSES: dict[str, Loss] = {
    "softmax": list_loss,
    "pairwise": pairwise_loss,
    "cross_entropy": point_loss,
    "squared": squared_loss,
}
