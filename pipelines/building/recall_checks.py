"""What an index finds of the true neighbours: checks of the gate, and the refusal of a trial."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32

from index import ExactIndex, VectorIndex, recall_of_each
from pipelines.building.steps.indexes import test_queries
from pipelines.config.sections import Config, IndexConfig
from pipelines.engine.engine import Engine
from pipelines.engine.request import traits_of
from pipelines.errors import ReleaseError
from pipelines.evaluation.pinned_queries import Pinned
from pipelines.metrics.intervals import mean_interval
from pipelines.release.layout import JOINED, PICTURE, TOWERS
from pipelines.release.verdict import Check, at_least, by_chance
from retrieval import Scene
from retrieval.context_facts import hashed_facts
from retrieval.encoded_query import EncodedQuery
from retrieval.encoders.joined_space import has_vector
from retrieval.types import local_seconds

RECALL = "_recall_at_"  # between the name of a space and k, in what a build measured


def measured_recalls(measured: Mapping[str, Any], settings: IndexConfig) -> Iterator[Check]:
    """Yield the recall that the build measured of each index, on the queries it was tuned on.

    Chance is no excuse here: the effort was chosen on these very queries.
    """
    for name, recall in measured.items():
        space, found, k = name.partition(RECALL)
        if found:
            yield at_least(
                f"recall@{k}, {space}, measured by the build", recall, settings.recall_target
            )


def refuse_low_recall(measured: Mapping[str, Any], settings: IndexConfig) -> None:
    """Raise ReleaseError where an index finds less of the true neighbours than it has to."""
    for check in measured_recalls(measured, settings):
        if not check.passed:
            raise ReleaseError(
                f"{check.name} is {check.value:.3f}, below the target {check.limit:.3f} of "
                f"index.recall_target; leave index.factory={settings.factory!r} out, or lower "
                "the target"
            )


def recalls(engine: Engine, pinned: Sequence[Pinned], config: Config) -> Iterator[Check]:
    """Yield recall@k of each index against exact search, on the pinned queries.

    Where none of these has a text, words of titles stand in for the indexes that texts search. An
    index is tuned on other queries, so a miss counts only where it is beyond chance: where the
    95 % interval ends below the target.
    """
    for space, index, vectors, queries in _spaces(engine, pinned, config.seed):
        if not len(queries):
            continue
        rows = np.flatnonzero(has_vector(vectors))
        k = config.index.recall_k
        truth = ExactIndex(vectors[rows] if len(rows) < len(vectors) else vectors)
        shares = recall_of_each(index, queries, truth.search(queries, k))
        if not len(shares):
            continue
        [found] = mean_interval(shares[:, None])
        told = f"{len(queries)} queries"
        name, target = f"recall@{k}, {space}", config.index.recall_target
        check = at_least(name, found.mean, target, told)
        yield by_chance(check, found) if found.high >= target else check


def _spaces(
    engine: Engine, pinned: Sequence[Pinned], seed: int
) -> Iterator[tuple[str, VectorIndex, np.ndarray, np.ndarray]]:
    """Yield each space that is searched: its name, index, vectors and some queries.

    The queries are others than those that the index was tuned on.
    """
    parts = engine.probe.parts
    asked = list(dict.fromkeys(one.text for one in pinned if one.text.strip()))
    joined = engine.probe.encoder.texts(asked or test_queries(parts.products, seed + 1))
    yield JOINED, parts.joined_index, parts.joined_vectors, joined
    if parts.picture_index is not None and parts.picture_vectors is not None:
        seen = joined[:, joined.shape[1] - parts.picture_vectors.shape[1] :]
        yield PICTURE, parts.picture_index, parts.picture_vectors, _unit(seen)
    if parts.trained is not None:
        queries = _interests(engine, pinned)
        yield TOWERS, parts.trained.nearest, parts.trained.vectors, queries


def _interests(engine: Engine, pinned: Sequence[Pinned]) -> Float32[np.ndarray, "q d"]:
    """Return what the towers make of the shoppers of pinned recommendations."""
    parts = engine.probe.parts
    assert parts.trained is not None
    found = [np.empty((0, parts.trained.vectors.shape[1]), np.float32)]
    scene = Scene(country=engine.place.country)
    for one in pinned:
        if one.user is None or one.at is None:
            continue
        at = local_seconds(engine.place.local(one.at))
        traits, history = traits_of(parts.users, one.user), parts.behaviour.history(one.user, at)
        asked = EncodedQuery(history=history, at_seconds=at, facts=hashed_facts(at, traits, scene))
        found.append(parts.trained.query.interests(asked, parts.trained.vectors))
    return np.concatenate(found)


def _unit(vectors: Float32[np.ndarray, "q d"]) -> Float32[np.ndarray, "q d"]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray((vectors / np.maximum(lengths, 1e-9))[lengths[:, 0] > 0], np.float32)
