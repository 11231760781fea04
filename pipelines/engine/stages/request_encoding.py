"""Encodes a request into the vectors, words and history that channels and ranker read."""

from datetime import datetime
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from index import Expression, FiltersItself, LexicalIndex, parse, read_operators
from index.columns.bounded_cache import BoundedCache
from pipelines.config.place import ShopPlace
from pipelines.engine.request import scene_of
from pipelines.engine.stages.eligibility import Eligible
from pipelines.engine.stages.faults import StageFault
from pipelines.engine.stages.shopper_history import ShopperHistory
from pipelines.errors import RequestError
from pipelines.live.snapshot import CatalogueSnapshot
from pipelines.release.parts import Parts
from pipelines.release.retriever import with_interests
from retrieval import Query, Scene
from retrieval.context_facts import hashed_facts
from retrieval.encoded_query import EncodedQuery
from retrieval.encoders.query import QueryEncoder, UnreadablePicture
from retrieval.query_rewriting import query_vectors
from retrieval.relevance_feedback import rocchio
from retrieval.types import local_seconds

CACHED_QUERIES = 4096  # with their vectors, for all threads
CACHED_BYTES = 16_000_000
CACHED_SECONDS = 3_600.0
NOTHING = np.empty(0, np.float32)
FIRST_SECOND, LAST_SECOND = (local_seconds(datetime(year, 1, 1)) for year in (1970, 2200))


class EncodedRequest(NamedTuple):
    """A request, with what was computed from it once for all stages."""

    query: Query
    encoded: EncodedQuery  # what the channels read
    scene: Scene
    traits: dict[str, str]  # of the shopper


class RequestEncoder:
    """Encodes requests with the encoders and the history of one release."""

    def __init__(
        self,
        parts: Parts,
        encoder: QueryEncoder,
        visible: str,
        place: ShopPlace,
        history: ShopperHistory,
        *,
        searches_words: bool,
    ) -> None:
        """Join `visible`, the filter of every answer, to the filter that an index reads.

        Where words are searched, the encoder reads a query as they do: without operators, its
        misspelt words corrected, and with its synonyms.
        """
        self._parts = parts
        self._encoder = encoder
        self._visible = visible
        self._place = place
        self._history = history
        self._parsed = lru_cache(CACHED_QUERIES)(parse)
        words = parts.lexical if searches_words else None
        self._searches_words = searches_words
        self._encode_text = partial(_text_vector, encoder, words)
        self._text_vectors: BoundedCache[Float32[np.ndarray, d]] = BoundedCache(
            CACHED_QUERIES, CACHED_BYTES, CACHED_SECONDS
        )

    def encode(self, query: Query, eligible: Eligible, *, by_words: bool = False) -> EncodedRequest:
        """Return the request encoded, or RequestError where its picture or moment is unfit.

        With `by_words` no model is asked: the request has its words, and no vector.
        """
        query = self._place.localised(query)
        text, at_seconds = self._looked_for(query.text.strip()), self._moment(query)
        traits = self._history.traits(query)
        scene = scene_of(query)
        history, visit = self._history.of(query, at_seconds)
        encoded = EncodedQuery(
            text=text,
            joined_vector=self._text_vector(text) if text and not by_words else None,
            image_vector=(
                None if by_words or query.image is None else self._image_vector(query.image)
            ),
            history=history,
            visit=visit,
            at_seconds=at_seconds,
            allowed=None if eligible.allowed.all() else eligible.allowed,
            where=self._where(query, eligible.snapshot),
            facts=hashed_facts(at_seconds, traits, scene),
        )
        if not by_words:
            encoded = self._with_marks(encoded, eligible)
        return EncodedRequest(query, encoded, scene, traits)

    def forget(self) -> None:
        """Forget the vectors of earlier queries, so that the next one costs what a new one does."""
        self._text_vectors.clear()

    def _looked_for(self, text: str) -> str:
        """Return the text of a search; "" for one that only excludes, which looks for nothing."""
        return "" if self._searches_words and read_operators(text).only_exclude else text

    def _text_vector(self, text: str) -> Float32[np.ndarray, "d"] | None:
        """Return the vector of a text; None where words are searched, and the model knows none."""
        vector = self._text_vectors.of(
            text, lambda: self._encode_text(text), lambda vector: vector.nbytes + len(text)
        )
        return vector if len(vector) else None

    def _where(self, query: Query, snapshot: CatalogueSnapshot) -> Expression | None:
        """Return the filter of a request with that of every answer, for an index that reads it.

        None where products have changed since: the columns it holds are those of the release; and
        where words exclude products.
        """
        filters = [part for part in (query.filter.strip(), self._visible) if part]
        if (
            not filters
            or not snapshot.unchanged
            or read_operators(query.text).only_exclude
            or not isinstance(self._parts.joined_index, FiltersItself)
        ):
            return None
        parsed: Expression = self._parsed(" AND ".join(f"({part})" for part in filters))
        return parsed

    def _moment(self, query: Query) -> int:
        at_seconds = local_seconds(query.scene.at or self._place.now())
        if not FIRST_SECOND <= at_seconds < LAST_SECOND:
            raise RequestError("scene.at", f"{query.scene.at} is not between 1970 and 2200")
        return at_seconds

    def _with_marks(self, encoded: EncodedQuery, eligible: Eligible) -> EncodedQuery:
        """Add the towers' vectors of the request, and move the query by the marked products."""
        marked = eligible.marked
        is_search = encoded.joined_vector is not None or encoded.image_vector is not None
        if not is_search and not (marked.weights > 0).any():
            return with_interests(encoded, self._parts.trained)
        built = marked.rows < self._parts.products.size  # the towers know no others
        encoded = encoded._replace(marked=marked.rows[built], marks=marked.weights[built])
        encoded = with_interests(encoded, self._parts.trained)
        if not len(marked.rows) or (is_search and encoded.joined_vector is None):
            return encoded
        vectors = eligible.snapshot.vectors(marked.rows)
        moved = rocchio(encoded.joined_vector, vectors, marked.weights)
        return encoded._replace(joined_vector=moved)

    def _image_vector(self, picture: bytes) -> Float32[np.ndarray, "p"]:
        if self._parts.picture_index is None:
            raise RequestError(
                "image", "this release holds no pictures, so none can be searched by"
            )
        try:
            return np.asarray(self._encoder.pictures([picture])[0])
        except UnreadablePicture as e:
            raise RequestError("image", str(e)) from None


def _text_vector(
    encoder: QueryEncoder, words: LexicalIndex | None, text: str
) -> Float32[np.ndarray, "d"]:
    if words is not None and not encoder.knows(text):
        return NOTHING
    vector = np.asarray(query_vectors(encoder, words, [text])[0])
    if not np.isfinite(vector).all():
        raise StageFault("encode")  # before it is cached
    return vector
