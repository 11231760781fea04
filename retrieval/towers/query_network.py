"""The query tower as a server runs it: on ONNX Runtime, one request a call, without torch."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32

from retrieval.behaviour.recent import recent_products
from retrieval.context_facts import EVERY_NUMBER, FactVocabulary
from retrieval.encoded_query import EncodedQuery
from retrieval.encoders.networks.onnx_network import OnnxNetwork
from retrieval.encoders.weights import EncoderError
from retrieval.towers.shape import TowerShape, UnknownTowers, read_shape

NETWORK = "query_tower.onnx"
INPUTS = ("text", "picture", "marked", "marks", "recent", "recent_facts", "facts")


class QueryNetwork:
    """The query tower of a release."""

    def __init__(self, shape: TowerShape, network: OnnxNetwork) -> None:
        self.shape = shape
        self._facts = facts_of(shape)
        self._network = network

    @classmethod
    def open(cls, folder: Path) -> "QueryNetwork":
        """Open what `write_query_network` wrote beside saved towers; else UnknownTowers."""
        shape = read_shape(folder)
        try:
            network = OnnxNetwork.open(folder / NETWORK)
        except EncoderError as e:
            raise UnknownTowers(f"{e}; build again") from None
        if network.inputs != INPUTS:
            raise UnknownTowers(
                f"{NETWORK} takes {', '.join(network.inputs)}, {', '.join(INPUTS)} were expected; "
                "build again"
            )
        return cls(shape, network)

    def interests(
        self, ask: EncodedQuery, vectors: Float32[np.ndarray, "n d"]
    ) -> Float32[np.ndarray, "m d"]:
        """Return the unit vectors of one request: one where something is asked, else several.

        `vectors` are those of all products.
        """
        found = self._network.run(request_inputs(self.shape, self._facts, ask, vectors))
        return found[np.any(found != 0, axis=1)]


def facts_of(shape: TowerShape) -> FactVocabulary:
    """Return the facts that towers have learnt."""
    return EVERY_NUMBER if shape.facts is None else FactVocabulary(shape.facts)


def request_inputs(
    shape: TowerShape,
    known: FactVocabulary,
    ask: EncodedQuery,
    vectors: Float32[np.ndarray, "n d"],
) -> dict[str, np.ndarray]:
    """Return what the query tower reads of one request, by the names of INPUTS.

    text [v] and picture [p], zeros where there is none; marked [l d] and recent [r d], vectors of
    products; marks [l]; recent_facts [r 2]; facts [f], numbers from 1 on.
    """
    recent, recent_facts = recent_products(ask.history, ask.at_seconds, shape.recent)
    kept = recent >= 0
    numbers = known.numbers(ask.facts)
    values = (
        _vector(ask.joined_vector, shape.text_dim),
        _vector(ask.image_vector, max(shape.picture_dim, 1)),
        np.asarray(vectors[ask.marked], np.float32),
        ask.marks,
        np.asarray(vectors[recent[kept]], np.float32),
        recent_facts[kept],
        numbers[numbers > 0],
    )
    return dict(zip(INPUTS, values, strict=True))


def _vector(vector: Float32[np.ndarray, "v"] | None, dim: int) -> Float32[np.ndarray, "v"]:
    return np.zeros(dim, np.float32) if vector is None else np.asarray(vector, np.float32)
