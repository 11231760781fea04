"""How the towers learn."""

from typing import NamedTuple

from retrieval.encoders.networks.precision import Precision


class TowerTrainingSettings(NamedTuple):
    """How the towers learn."""

    epochs: int = 3
    batch_size: int = 256  # requests, over all processes
    learning_rate: float = 1e-3
    temperature: float = 0.05
    loss: str = "softmax"
    dims: tuple[int, ...] = (256, 128, 64)  # the vectors can be cut to these
    hard_negatives: int = 1  # mined a request
    precision: Precision = "auto"  # of products of matrices; auto: bfloat16 where that is native
    drop_own: float = 0.2  # chance that a product's own embedding is not seen
    patience: int = 2  # epochs without a gain
    max_seconds: float = 0.0  # 0: no end
    seed: int = 0
