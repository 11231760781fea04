"""The shape of a ranker's network, and what its logits tell; nothing here loads torch."""

from typing import NamedTuple

OUTCOMES = ("click", "cart", "purchase", "relevance")  # what a logit can be asked of


class RankerShape(NamedTuple):
    """What the parameters of a ranker look like."""

    dim: int  # width of a token
    heads: int
    head_dim: int
    hidden: int  # units of a feed-forward
    layers: int
    points: int  # through which candidates see each other; 0: they do not
    vector_dim: int  # of the joined space
    num_features: int
    bins: int  # that a feature is parted into
    num_facts: int
    dropout: float = 0.0  # share of the units that a training step leaves out
