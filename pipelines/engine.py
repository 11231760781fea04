"""Answers requests from one release: the whole walk of a request on one screen."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from jaxtyping import Bool, Float32, Int64

from index import (
    Columns,
    Expression,
    FilterError,
    FiltersItself,
    Found,
    parse,
    use_threads,
)
from pipelines.clock import Clock
from pipelines.config import Config
from pipelines.encoders import open_query_encoder
from pipelines.errors import ReleaseError, RequestError
from pipelines.parts import open_album, open_parts, open_ranker, retriever
from pipelines.rank_log import Ranking
from pipelines.release import Manifest, Release, open_release
from pipelines.request import request_context, request_features, with_interests
from ranking.batching import TooLate
from ranking.context import Context
from ranking.opening import How
from ranking.ranker import MAX_CANDIDATES, UnfitLogits, Window
from ranking.slate import Ordered, Reasoning, compose
from retrieval import Candidates, Placement, Query, Scene, Slate, Stage
from retrieval.ask import Ask
from retrieval.fusion import take
from retrieval.marks import moved
from retrieval.query_encoder import UnreadablePicture
from retrieval.scenes import fact_codes, facts_of
from retrieval.types import Filtered, local_seconds

REMEMBERED_QUERIES = 4096
REMEMBERED_FILTERS = 256
ASKED = "what was asked"  # the name of the query among what the ranker looks at
REMEMBERED_CANDIDATES = 1  # list: who ranks the same products for many shoppers gives it again
FIRST_SECOND, LAST_SECOND = (local_seconds(datetime(year, 1, 1)) for year in (1970, 2200))


Watch = Callable[[Ranking], None]


class Marked(NamedTuple):
    """Products that a request likes (above 0) or dislikes (below 0)."""

    rows: Int64[np.ndarray, "l"]
    weights: Float32[np.ndarray, "l"]
    missing: tuple[str, ...]


UNMARKED = Marked(np.empty(0, np.int64), np.empty(0, np.float32), ())


class Scope(NamedTuple):
    """What a request may be answered with."""

    allowed: Bool[np.ndarray, "n"]
    given: Int64[np.ndarray, "c"] | None  # "rank just these"
    missing: tuple[str, ...]  # named, but not in this release
    marked: Marked


class Engine:
    """Everything that one answer needs, opened once from one verified release."""

    def __init__(self, release: Release, config: Config) -> None:
        use_threads(config.threads)
        self._watch: Watch | None = None
        self.release = release.manifest.name
        self._release = release
        self._config = config
        self._parts = open_parts(release.path)
        self._album = open_album(release.path)
        self._encoder = open_query_encoder(release.path, release.manifest.fingerprints, config)
        self._retriever = retriever(self._parts, self._parts.behaviour, config)
        self._ranker = open_ranker(release.path, how_of(config))
        self._filtered = lru_cache(REMEMBERED_FILTERS)(self._parts.products.allowed)
        self._rows_of = lru_cache(REMEMBERED_CANDIDATES)(self._find)
        self._shown = self._filtered(not_hidden(config))
        self._written = lru_cache(REMEMBERED_FILTERS)(parse)
        self._text_vector = lru_cache(REMEMBERED_QUERIES)(self._encode_text)

    @classmethod
    def open(cls, releases: Path, name: str | None = None, watch: Watch | None = None) -> "Engine":
        """Open the current release, or the one named; every file is checked first.

        `watch` is told of what is ranked, from the thread that answers.
        """
        release = open_release(releases, name)
        engine = cls(release, config_of(release.manifest))
        engine.answer(Query(text="warm"))  # so that the first shopper does not wait for the models
        engine._watch = watch
        return engine

    def answer(self, query: Query, stage: Stage = Stage.RANKING) -> Slate:
        """Return a page for this request, or a RequestError that names the field.

        Ranking begins only while there is time; the slate says which stage answered.
        """
        clock = Clock(query.deadline_ms)
        with clock.stage("filter"):
            scope = self._scope(query)
        with clock.stage("encode"):
            ask = self._ask(query, scope)
        with clock.stage("retrieve"):
            candidates = self._retrieve(query, ask, scope)
        ordered = None
        if stage is Stage.RANKING and clock.left_ms() > 0:
            with clock.stage("rank"):
                ordered = self._rank(query, ask, candidates, clock)
        with clock.stage("compose"):
            shown = ordered or Ordered(candidates, candidates.fused, None, {})
            placed = compose(shown, self._look_up, query.k, explain=query.explain)
        return Slate(
            products=placed,
            stage=Stage.RANKING if ordered else Stage.RETRIEVAL,
            release=self.release,
            timings_ms=clock.timings_ms,
            missing=scope.missing,
            filtered=filtered_by(scope, candidates) if query.explain else None,
        )

    def picture(self, product_id: str) -> tuple[bytes, str] | None:
        """Return a product's picture and its media type, or None where there is none."""
        for row in self._parts.products.rows_of([product_id]).rows:
            place = self._album.picture_of[row]
            if place >= 0:
                [record] = self._album.pictures.records(np.array([place], np.int64))
                return record["image"], record["media_type"]
        return None

    def shoppers(self, limit: int) -> list[str]:
        """Return some known shoppers, those with declared traits first."""
        declared = self._parts.users.ids[:limit]
        known = self._parts.behaviour.user_ids[: 2 * limit].tolist()
        return list(dict.fromkeys([*declared, *known]))[:limit]

    def about(self) -> dict[str, Any]:
        """Return what the page says about the release."""
        manifest = self._release.manifest
        return {
            "name": manifest.shop["name"],
            "release": self.release,
            "products": self._parts.products.size,
            "pictures": manifest.shop["pictures"],
            "until": manifest.until,
            "days": self.days(),
            "quality": manifest.quality,
        }

    def days(self) -> tuple[str, str]:
        """Return the first and last day of the behaviour that the release has seen."""
        seconds = self._parts.behaviour.log.seconds
        ends = (seconds.min(), seconds.max()) if len(seconds) else (0, 0)
        first, last = (f"{datetime.fromtimestamp(int(s), UTC):%Y-%m-%d}" for s in ends)
        return first, last

    def ranks(self, query: Query) -> bool:
        """Tell whether such a request is ranked: where that was measured to be better.

        Nobody has measured it for products like others, so they stay as they were retrieved.
        """
        if self._ranker is None or query.liked:
            return False
        return self._ranker.is_better(window_of(query))

    def _scope(self, query: Query) -> Scope:
        chosen, marked = self._chosen(query.filter), self._marked(query)
        if query.candidates is None:
            allowed = self._shown if chosen is None else self._shown & chosen
            if len(marked.rows):
                allowed = allowed.copy()
                allowed[marked.rows] = False
            return Scope(allowed, None, marked.missing, marked)
        found = self._rows_of(query.candidates)
        given = found.rows if chosen is None else found.rows[chosen[found.rows]]
        return Scope(self._shown, given, (*found.missing, *marked.missing), marked)

    def _marked(self, query: Query) -> Marked:
        both = query.liked.keys() & query.disliked.keys()
        if both:
            raise RequestError("disliked", f"{min(both)!r} is liked as well; name it once")
        marks = {**query.liked, **{name: -mark for name, mark in query.disliked.items()}}
        if not marks:
            return UNMARKED
        found = self._parts.products.rows_of(list(marks))
        known = [name for name in marks if name not in set(found.missing)]
        weights = np.array([marks[name] for name in known], np.float32)
        return Marked(found.rows, weights, found.missing)

    def _find(self, candidates: tuple[str, ...]) -> Found:
        found = self._parts.products.rows_of(list(dict.fromkeys(candidates)))
        found.rows.setflags(write=False)  # others get it, too
        return found

    def _chosen(self, text: str) -> Bool[np.ndarray, "n"] | None:
        if not text.strip():
            return None
        try:
            return self._filtered(text)
        except FilterError as e:
            raise RequestError("filter", str(e)) from None

    def _ask(self, query: Query, scope: Scope) -> Ask:
        text = query.text.strip()
        at_seconds = local_seconds(query.scene.at or datetime.now())
        if not FIRST_SECOND <= at_seconds < LAST_SECOND:
            raise RequestError("scene.at", f"{query.scene.at} is not between 1970 and 2200")
        ask = Ask(
            text=text,
            joined_vector=self._text_vector(text) if text else None,
            image_vector=None if query.image is None else self._encode_picture(query.image),
            history=self._parts.behaviour.history(query.user, at_seconds),
            at_seconds=at_seconds,
            allowed=None if scope.allowed.all() else scope.allowed,
            where=self._where(query.filter),
            facts=fact_codes(at_seconds, self._traits(query.user), scene_of(query)),
        )
        return self._with_marks(ask, scope.marked)

    def _where(self, text: str) -> Expression | None:
        """Return the filter of a request with that of every window, for an index that reads it."""
        asked = [part for part in (text.strip(), not_hidden(self._config)) if part]
        if not asked or not isinstance(self._parts.joined_index, FiltersItself):
            return None
        return self._written(" AND ".join(f"({part})" for part in asked))

    def _with_marks(self, ask: Ask, marked: Marked) -> Ask:
        """Add what the towers make of the request, and let the marked products move the query."""
        asks = ask.joined_vector is not None or ask.image_vector is not None
        if not asks and not (marked.weights > 0).any():
            return with_interests(ask, self._parts.trained)
        ask = ask._replace(marked=marked.rows, marks=marked.weights)
        ask = with_interests(ask, self._parts.trained)
        if not len(marked.rows) or (asks and ask.joined_vector is None):
            return ask
        vectors = np.asarray(self._parts.joined_vectors[marked.rows])
        return ask._replace(joined_vector=moved(ask.joined_vector, vectors, marked.weights))

    def _retrieve(self, query: Query, ask: Ask, scope: Scope) -> Candidates:
        if scope.given is not None:
            return self._retriever.order(ask, scope.given)
        return self._retriever.retrieve(ask, max(self._config.retrieval.candidates, query.k))

    def _rank(self, query: Query, ask: Ask, candidates: Candidates, clock: Clock) -> Ordered | None:
        """Score the best candidates by cross-attention; the rest keep their order behind them.

        None where such requests are not ranked, when the ranker answers with something that is
        not a number, and when the time is over before it is free.
        """
        if self._ranker is None or not self.ranks(query) or not len(candidates.rows):
            return None
        count = len(candidates.rows)
        best = take(candidates, np.arange(min(count, MAX_CANDIDATES)))
        features = request_features(self._parts.behaviour, self._parts.catalogue, ask, best)
        context = request_context(ask, self._traits(query.user), scene_of(query), self._config)
        try:
            ranked = self._ranker.rank(best.rows, features, context, clock.left_ms())
        except (UnfitLogits, TooLate):
            return None
        logits = ranked.logits
        if self._watch is not None and self._may_be_kept(query):
            names = self._parts.products.ids_of(best.rows)
            self._watch(Ranking(self.release, query, ask.at_seconds, names, features, logits))
        order = np.argsort(-logits, kind="stable")
        behind = np.arange(len(best.rows), count)
        floor = float(logits.min()) - 1 - np.arange(len(behind), dtype=np.float32)
        return Ordered(
            take(candidates, np.concatenate([order, behind])),
            np.concatenate([logits[order], floor]).astype(np.float32),
            features[order],
            {outcome: column[order] for outcome, column in ranked.probabilities.items()},
            self._reasoning(query, ask, context, best.rows, features, order[: query.k])
            if query.explain
            else None,
        )

    def _may_be_kept(self, query: Query) -> bool:
        """Tell whether a ranking may be logged: unmoved by marks, of a shopper who allows it."""
        if query.disliked:
            return False
        rows = self._parts.users.rows_of([query.user] if query.user else []).rows
        return all(record["consent"]["train"] for record in self._parts.users.records(rows))

    def _reasoning(
        self,
        query: Query,
        ask: Ask,
        context: Context,
        rows: Int64[np.ndarray, "c"],
        features: Float32[np.ndarray, "c f"],
        places: Int64[np.ndarray, "k"],
    ) -> Reasoning:
        assert self._ranker is not None
        recent = context.recent[context.recent >= 0]
        tokens = (
            ASKED,
            *(str(record["title"]) for record in self._look_up(recent)),
            *facts_of(ask.at_seconds, self._traits(query.user), scene_of(query)),
        )
        return Reasoning(tokens, self._ranker.explain(rows, features, context, places))

    def _traits(self, user_id: str | None) -> dict[str, str]:
        return traits_of(self._parts.users, user_id) if user_id else {}

    def _look_up(self, rows: Int64[np.ndarray, "k"]) -> list[dict[str, Any]]:
        return [
            {name: value for name, value in record.items() if value is not None}
            for record in self._parts.products.records(rows)
        ]

    def _encode_text(self, text: str) -> Float32[np.ndarray, "d"]:
        return np.asarray(self._encoder.texts([text])[0])

    def _encode_picture(self, picture: bytes) -> Float32[np.ndarray, "p"]:
        if self._parts.picture_index is None:
            raise RequestError(
                "image", "this release holds no pictures, so none can be searched by"
            )
        try:
            return np.asarray(self._encoder.pictures([picture])[0])
        except UnreadablePicture as e:
            raise RequestError("image", str(e)) from None


def filtered_by(scope: Scope, candidates: Candidates) -> Filtered | None:
    """Return how many products might be shown and how they were searched; None: all might."""
    if scope.given is not None or scope.allowed.all():
        return None
    return Filtered(
        passed=int(np.count_nonzero(scope.allowed)),
        of=len(scope.allowed),
        exact=all(searched.exactness == 1 for searched in candidates.searched.values()),
        channels=candidates.searched,
    )


def window_of(query: Query) -> Window:
    """Return which kind of request this is, to the ranker."""
    if query.image is not None:
        return "picture"
    return "search" if query.is_search else "recommendation"


def scene_of(query: Query) -> Scene:
    """Return the scene; a search that does not say where it was made was made in the search."""
    if query.is_search and query.scene.placement is Placement.HOME:
        return msgspec.structs.replace(query.scene, placement=Placement.SEARCH)
    return query.scene


def config_of(manifest: Manifest) -> Config:
    """Return the configuration that a release was built with."""
    try:
        return msgspec.convert(manifest.config, Config)
    except msgspec.ValidationError as e:
        raise ReleaseError(
            f"release {manifest.name} was built with a configuration that this version does not "
            f"know: {e}; build it again"
        ) from None


def how_of(config: Config) -> How:
    """Return how the ranker of a release is to be run when it serves."""
    ranking = config.ranking
    return How(ranking.runtime, config.threads, ranking.recent_products, ranking.batch_requests)


def not_hidden(config: Config) -> str:
    """Return the filter that every window is under, unless candidates are given."""
    tags = ", ".join(f'"{tag}"' for tag in config.retrieval.hidden_tags)
    return f"NOT tags: ANY({tags})" if tags else ""


def traits_of(users: Columns, user_id: str) -> dict[str, str]:
    """Return what is declared of a shopper; nothing of a stranger."""
    rows = users.rows_of([user_id]).rows
    return dict(users.records(rows)[0]["traits"]) if len(rows) else {}
