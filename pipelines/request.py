"""What the ranker gets to see of a request: one definition for training and for serving."""

import numpy as np
from jaxtyping import Float32

from pipelines.config import Config
from pipelines.parts import RECOMMENDATION, SEARCH, Trained
from ranking.catalogue_words import NOTHING
from ranking.context import Context, context
from ranking.features import Catalogue, Matches, compute, shopper
from retrieval import Candidates, Scene
from retrieval.ask import Ask
from retrieval.behaviour import Behaviour
from retrieval.retriever import searches
from retrieval.towers.model import interests


def with_interests(ask: Ask, trained: Trained | None) -> Ask:
    """Return the request with its vectors in the space of the towers, where they are asked."""
    window = SEARCH if searches(ask) else RECOMMENDATION
    if trained is None or window not in trained.windows:
        return ask
    return ask._replace(interests=interests(trained.towers, ask, trained.vectors))


def request_features(
    behaviour: Behaviour, catalogue: Catalogue, ask: Ask, candidates: Candidates
) -> Float32[np.ndarray, "c f"]:
    """Return one row a candidate, one column a feature."""
    rows = candidates.rows
    person = shopper(catalogue, ask.history, ask.at_seconds)
    words = catalogue.words.match(ask.text, rows) if catalogue.words else NOTHING
    return compute(behaviour, catalogue, person, rows, Matches(len(rows), candidates.scores, words))


def request_context(ask: Ask, traits: dict[str, str], scene: Scene, config: Config) -> Context:
    """Return the tokens that candidates attend to: query, recent products, profile, scene."""
    return context(
        ask.history,
        ask.at_seconds,
        traits,
        scene,
        ask.joined_vector,
        config.ranking.recent_products,
    )
