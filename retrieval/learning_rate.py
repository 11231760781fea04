"""The learning-rate schedule of every training: a linear warm-up, then half a cosine."""

import math
from typing import NamedTuple

from torch.optim import Optimizer


class Schedule(NamedTuple):
    """A curve of the learning rate over a training, as shares of the highest rate."""

    warm_up: float = 0.1  # share of the training in which the rate rises
    start: float = 0.0  # where the rise begins
    least: float = 0.0  # no lower than this while it rises
    floor: float = 0.0  # where the cosine ends
    cosine_from: float = 0.1  # where the cosine is 1; before `warm_up`, the rate jumps down there

    def at(self, progress: float) -> float:
        """Return the share of the highest rate at a progress from 0 to 1."""
        if progress < self.warm_up:
            return max(self.start + (1 - self.start) * progress / self.warm_up, self.least)
        angle = math.pi * (min(progress, 1.0) - self.cosine_from) / (1 - self.cosine_from)
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(angle))


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Let every group of parameters learn at this rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate
