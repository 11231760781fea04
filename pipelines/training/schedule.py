"""The learning rate over a training: a linear rise, then half a cosine."""

import math

WARM_UP = 0.1  # share of the training in which the learning rate rises
LONGEST_GRADIENT = 1.0


def learning_rate_at(progress: float) -> float:
    """Return the share of the highest rate: a linear rise, then half a cosine down to zero."""
    if progress < WARM_UP:
        return max(progress, WARM_UP / 100) / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))
