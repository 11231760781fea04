"""Trains a smaller ranker on what a bigger one says, beside what came of each request."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float32

from ranking.network.examples import Example, RankedProducts
from ranking.network.model import RankerSettings
from ranking.network.shape import OUTCOMES
from ranking.network.training import TrainedRanker, train

Teacher = Callable[[Example], Float32[np.ndarray, "c"]]  # one logit a candidate


def distil(  # noqa: PLR0913 - those of a training, and the teacher
    teacher: Teacher,
    outcome: str,
    examples: Sequence[Example],
    validation: Sequence[Example],
    products: RankedProducts,
    settings: RankerSettings,
    *,
    share: float = 0.5,
    tell: Callable[[Iterator[int]], Iterator[int]] = iter,
) -> TrainedRanker:
    """Return a ranker of these settings; `share` of each label is the teacher's opinion.

    Its order is judged on what really came of the validation requests (Hinton et al. 2015).
    """
    softened = [soften(one, teacher(one), outcome, share) for one in examples]
    return train(softened, validation, products, settings, tell)


def soften(
    example: Example, logits: Float32[np.ndarray, "c"], outcome: str, share: float
) -> Example:
    """Mix the sigmoid of a teacher's logits into the labels of an outcome, where it is known."""
    if not 0 <= share <= 1:
        raise ValueError(f"the teacher's share is {share}; give one from 0 to 1")
    labels = example.labels.copy()
    column = OUTCOMES.index(outcome)
    opinion = 1 / (1 + np.exp(-logits))
    labels[:, column] = (1 - share) * labels[:, column] + share * opinion
    return example._replace(labels=labels)
