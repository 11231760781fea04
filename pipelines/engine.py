"""Answers requests from one release: the whole walk of a request on one screen."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from jaxtyping import Bool, Float32, Int64

from index import Columns, FilterError, Found, use_threads
from pipelines.clock import Clock
from pipelines.config import Config
from pipelines.encoders import open_query_encoder
from pipelines.errors import ReleaseError, RequestError, UserError
from pipelines.live.changes import Change
from pipelines.live.follow import follow
from pipelines.live.log import ChangeLog, Outcome
from pipelines.live.overlay import Base, Overlay, View
from pipelines.parts import open_album, open_parts, open_ranker, retriever
from pipelines.rank_log import Ranking
from pipelines.release import Manifest, Release, open_release
from pipelines.request import now_of, request_context, request_features, with_interests
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
from retrieval.retriever import Retriever
from retrieval.scenes import fact_codes, facts_of
from retrieval.types import Filtered, local_seconds

REMEMBERED_QUERIES = 4096
REMEMBERED_VIEWS = 2  # what is live now, and before
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

    view: View  # the products as they are while it is answered
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
        fingerprint, fields = release.manifest.fingerprints["text"], config.encoders.text.fields
        self._live = Overlay(Base(self._parts, self._encoder, fingerprint, fields))
        self._log: ChangeLog | None = None
        self._rows_of = lru_cache(REMEMBERED_CANDIDATES)(self._find)
        self._stage_of = lru_cache(REMEMBERED_VIEWS)(self._over)
        self._shown = not_hidden(config)
        self._live.view().allowed(self._shown)  # refuses what cannot be read
        self._text_vector = lru_cache(REMEMBERED_QUERIES)(self._encode_text)

    @classmethod
    def open(
        cls,
        releases: Path,
        name: str | None = None,
        watch: Watch | None = None,
        live: Path | None = None,
    ) -> "Engine":
        """Open the current release, or the one named; every file is checked first.

        `watch` is told of what is ranked, from the thread that answers. With `live`, the changes
        of that folder's log that the release does not hold are made, and more are taken.
        """
        release = open_release(releases, name)
        engine = cls(release, config_of(release.manifest))
        if live is not None:
            engine._log = follow(live, engine._live, release.manifest)
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
                ordered = self._rank(query, ask, candidates, scope.view, clock)
        with clock.stage("compose"):
            shown = ordered or Ordered(candidates, candidates.fused, None, {})
            placed = compose(shown, partial(_look_up, scope.view), query.k, explain=query.explain)
        return Slate(
            products=placed,
            stage=Stage.RANKING if ordered else Stage.RETRIEVAL,
            release=self.release,
            timings_ms=clock.timings_ms,
            missing=scope.missing,
            filtered=filtered_by(scope, candidates) if query.explain else None,
        )

    def change(self, changes: Sequence[Change]) -> "Future[list[Outcome]]":
        """Take changes; what comes is for each its number in the log, or why it was not taken.

        When it comes they are on the disk, and every answer from then on knows them.
        """
        if self._log is None:
            raise UserError("this engine was opened without a log of changes")
        return self._log.submit(changes)

    def close(self) -> None:
        """Write the changes that wait, and take no more."""
        if self._log is not None:
            self._log.close()

    def picture(self, product_id: str) -> tuple[bytes, str] | None:
        """Return a product's picture and its media type, or None where there is none."""
        for row in self._live.view().rows_of([product_id]).rows:
            place = self._album.picture_of[row] if row < self._parts.products.size else -1
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
            "products": self._live.view().num_products,
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
        view = self._live.view()
        chosen, marked = _chosen(view, query.filter), _marked(view, query)
        shown = view.allowed(self._shown)
        if query.candidates is None:
            allowed = shown if chosen is None else shown & chosen
            if len(marked.rows):
                allowed = allowed.copy()
                allowed[marked.rows] = False
            return Scope(view, allowed, None, marked.missing, marked)
        found = self._rows_of(view, query.candidates)
        given = found.rows if chosen is None else found.rows[chosen[found.rows]]
        return Scope(view, shown, given, (*found.missing, *marked.missing), marked)

    def _find(self, view: View, candidates: tuple[str, ...]) -> Found:
        found = view.rows_of(list(dict.fromkeys(candidates)))
        found.rows.setflags(write=False)  # others get it, too
        return found

    def _over(self, view: View) -> Retriever:
        return view.over(self._retriever)

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
            facts=fact_codes(at_seconds, self._traits(query.user), scene_of(query)),
        )
        return self._with_marks(ask, scope)

    def _with_marks(self, ask: Ask, scope: Scope) -> Ask:
        """Add what the towers make of the request, and let the marked products move the query."""
        marked = scope.marked
        asks = ask.joined_vector is not None or ask.image_vector is not None
        if not asks and not (marked.weights > 0).any():
            return with_interests(ask, self._parts.trained)
        built = marked.rows < self._parts.products.size  # the towers know no others
        ask = ask._replace(marked=marked.rows[built], marks=marked.weights[built])
        ask = with_interests(ask, self._parts.trained)
        if not len(marked.rows) or (asks and ask.joined_vector is None):
            return ask
        vectors = scope.view.vectors(marked.rows)
        return ask._replace(joined_vector=moved(ask.joined_vector, vectors, marked.weights))

    def _retrieve(self, query: Query, ask: Ask, scope: Scope) -> Candidates:
        if scope.given is not None:
            return self._stage_of(scope.view).order(ask, scope.given)
        return self._stage_of(scope.view).retrieve(
            ask, max(self._config.retrieval.candidates, query.k)
        )

    def _rank(
        self, query: Query, ask: Ask, candidates: Candidates, view: View, clock: Clock
    ) -> Ordered | None:
        """Score the best candidates by cross-attention; the rest keep their order behind them.

        None where such requests are not ranked, when the ranker answers with something that is
        not a number, and when the time is over before it is free.
        """
        if self._ranker is None or not self.ranks(query) or not len(candidates.rows):
            return None
        count = len(candidates.rows)
        best = take(candidates, np.arange(min(count, MAX_CANDIDATES)))
        rows = view.known_rows(best.rows)  # of which there are tokens
        features = request_features(
            self._parts.behaviour, self._parts.catalogue, ask, best, now_of(view, best.rows, rows)
        )
        context = request_context(ask, self._traits(query.user), scene_of(query), self._config)
        try:
            ranked = self._ranker.rank(rows, features, context, clock.left_ms())
        except (UnfitLogits, TooLate):
            return None
        logits = ranked.logits
        if self._watch is not None and view.still and self._may_be_kept(query):
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
            self._reasoning(query, ask, context, rows, features, order[: query.k])
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
            *(str(record["title"]) for record in self._parts.products.records(recent)),
            *facts_of(ask.at_seconds, self._traits(query.user), scene_of(query)),
        )
        return Reasoning(tokens, self._ranker.explain(rows, features, context, places))

    def _traits(self, user_id: str | None) -> dict[str, str]:
        return traits_of(self._parts.users, user_id) if user_id else {}

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


def _chosen(view: View, text: str) -> Bool[np.ndarray, "n"] | None:
    if not text.strip():
        return None
    try:
        return view.allowed(text)
    except FilterError as e:
        raise RequestError("filter", str(e)) from None


def _marked(view: View, query: Query) -> Marked:
    both = query.liked.keys() & query.disliked.keys()
    if both:
        raise RequestError("disliked", f"{min(both)!r} is liked as well; name it once")
    marks = {**query.liked, **{name: -mark for name, mark in query.disliked.items()}}
    if not marks:
        return UNMARKED
    found = view.rows_of(list(marks))
    known = [name for name in marks if name not in set(found.missing)]
    weights = np.array([marks[name] for name in known], np.float32)
    return Marked(found.rows, weights, found.missing)


def _look_up(view: View, rows: Int64[np.ndarray, "k"]) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in record.items() if value is not None}
        for record in view.records(rows)
    ]


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
