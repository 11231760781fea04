"""The shape of a ranker that is small enough to check by hand."""

from ranking.network.shape import RankerShape

SHAPE = RankerShape(
    dim=8,
    heads=2,
    head_dim=4,
    hidden=16,
    layers=2,
    points=3,
    vector_dim=6,
    num_features=3,
    bins=4,
    num_facts=16,
)
