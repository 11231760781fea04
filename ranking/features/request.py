"""The ranker's input for a request: one definition for training and for serving."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64

from ranking.features.catalogue_words import NOTHING, CatalogueWords, ProductText, Words
from ranking.features.context import Context, context
from ranking.features.definitions import (
    FEATURES,
    NAMES,
    PAST,
    Catalogue,
    Matches,
    compute,
    shopper,
)
from retrieval import Candidates, Scene
from retrieval.behaviour.tables import Behaviour
from retrieval.encoded_query import EncodedQuery


class Now(NamedTuple):
    """What changed of the candidates since the tables of a release were made."""

    rows: Int64[np.ndarray, "c"]  # in those tables; of a new product, of the one most like it
    new: Bool[np.ndarray, "c"]
    texts: dict[int, ProductText]  # new ones, by place among the candidates


def request_features(
    behaviour: Behaviour,
    catalogue: Catalogue,
    ask: EncodedQuery,
    candidates: Candidates,
    now: Now | None = None,
) -> Float32[np.ndarray, "c f"]:
    """Return one row a candidate, one column a feature.

    A new product has the category of the one most like it, and no past.
    """
    rows = candidates.rows if now is None else now.rows
    person = shopper(catalogue, ask.history, ask.at_seconds)
    words = _words(catalogue.words, ask.text, rows, now)
    matches = Matches(len(rows), candidates.scores, words)
    features = compute(behaviour, catalogue, person, rows, matches)
    if now is None:
        return features
    for feature in FEATURES:
        if feature.name in PAST:
            features[now.new, NAMES.index(feature.name)] = feature.default
    return features


def _words(
    catalogue: CatalogueWords | None, text: str, rows: Int64[np.ndarray, "c"], now: Now | None
) -> Words:
    """Return how the words of products answer a text: of changed ones, those that they have now."""
    if catalogue is None:
        return NOTHING
    words = catalogue.match(text, rows)
    if now is None or not now.texts:
        return words
    places = np.array(list(now.texts), np.int64)
    fresh = catalogue.match_texts(text, list(now.texts.values()))
    words = {name: np.array(column) for name, column in words.items()}
    for name, column in fresh.items():
        words[name][places] = column
    return words


def request_context(
    ask: EncodedQuery, traits: dict[str, str], scene: Scene, num_recent: int
) -> Context:
    """Return the tokens that candidates attend to: query, recent products, profile, scene."""
    return context(
        ask.history,
        ask.at_seconds,
        traits,
        scene,
        ask.joined_vector,
        num_recent,
    )
