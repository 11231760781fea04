"""Heads that order judged texts: one interface, so that all can be compared on one list."""

from ranking.network.losses import LOSSES
from ranking.text_heads.lambdamart import LambdaMart, MissingLightGBM
from ranking.text_heads.lists import JudgedList, TextList, read_list
from ranking.text_heads.networks import READERS
from ranking.text_heads.training import NetworkRecipe
from ranking.text_heads.types import Head, Recipe

__all__ = [
    "LOSSES",
    "READERS",
    "Head",
    "JudgedList",
    "LambdaMart",
    "MissingLightGBM",
    "NetworkRecipe",
    "Recipe",
    "TextList",
    "read_list",
]
