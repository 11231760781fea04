"""Answers requests from one release: the whole walk of a request on one screen."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from jaxtyping import Float32, Int32, Int64

from index import Expression, FiltersItself, WordReader, parse, use_threads
from pipelines.config import Config, not_hidden
from pipelines.encoding.encoders import open_query_encoder
from pipelines.engine.cursors import PageRequest, page_request
from pipelines.engine.deadline import Deadline
from pipelines.engine.eligibility import Eligible, eligible_for, filtered_by, find
from pipelines.engine.facets import check_facets, count
from pipelines.engine.listing import (
    Listing,
    Matching,
    RankedCandidates,
    check_list,
    is_listed,
    listing,
    matching,
)
from pipelines.engine.ranking_log import LoggedRanking
from pipelines.engine.request import request_kind, scene_of, traits_of
from pipelines.errors import RequestError, UserError
from pipelines.live.base import Base
from pipelines.live.catch_up import follow, follow_on
from pipelines.live.change_log import ChangeLog, Outcome
from pipelines.live.changes import Change
from pipelines.live.overlay import Overlay
from pipelines.live.snapshot import CatalogueSnapshot, now_of
from pipelines.release.manifest import config_of
from pipelines.release.parts import Parts, open_album, open_parts, open_ranker
from pipelines.release.retriever import retriever, with_interests
from pipelines.release.store import Release, open_release
from ranking.features.context import Context
from ranking.features.request import request_context, request_features
from ranking.ranker import MAX_CANDIDATES, UnfitLogits
from ranking.runtimes.choosing import RuntimeSettings
from ranking.runtimes.request_batching import TooLate
from ranking.slate.compose import Ordered, Page, Reasoning, compose
from retrieval import Candidates, Query, Slate, Stage
from retrieval.context_facts import facts_of, hashed_facts
from retrieval.encoded_query import EncodedQuery
from retrieval.encoders.query import QueryEncoder, UnreadablePicture
from retrieval.fusion.fusion import positions_by_score, positions_in, proposed, take
from retrieval.relevance_feedback import rocchio
from retrieval.retriever import Fusion, Retriever, searches
from retrieval.types import Placed, Reading, local_seconds

LATE_MS = 60_000.0  # for a ranking that cannot be left out
REMEMBERED_QUERIES = 4096
REMEMBERED_VIEWS = 2  # what is live now, and before
ASKED = "what was asked"  # the name of the query among what the ranker looks at
REMEMBERED_CANDIDATES = 1  # list: who ranks the same products for many shoppers gives it again
FIRST_SECOND, LAST_SECOND = (local_seconds(datetime(year, 1, 1)) for year in (1970, 2200))


RankingListener = Callable[[LoggedRanking], None]


class Depth(NamedTuple):
    """How far a request goes."""

    stage: Stage
    depth: int  # candidates
    late: bool = False  # rank, even if the time is over


class ChannelScores(NamedTuple):
    """What the channels say to one search, product by product."""

    ids: list[str]  # of all proposed products, by row; or of those that were given
    positions: dict[str, Int32[np.ndarray, "c"]]  # in each channel's list, from 1; 0: not in it
    scores: dict[str, Float32[np.ndarray, "c"]]


class Engine:
    """Everything that one answer needs, opened once from one verified release."""

    def __init__(self, release: Release, config: Config) -> None:
        use_threads(config.threads)
        self._watch: RankingListener | None = None
        self.release = release.manifest.name
        self._release = release
        self._config = config
        self._parts = open_parts(release.path)
        self._album = open_album(release.path)
        self._encoder = open_query_encoder(release.path, release.manifest.fingerprints, config)
        self._retriever = retriever(self._parts, self._parts.behaviour, config)
        self._depth = config.retrieval.candidates
        self._words = WordReader(config.retrieval.language)
        self._ranker = open_ranker(release.path, how_of(config))
        fingerprint, fields = release.manifest.fingerprints["text"], config.encoders.text.fields
        self._live = Overlay(Base(self._parts, self._encoder, fingerprint, fields))
        self._log: ChangeLog | None = None
        self._rows_of = lru_cache(REMEMBERED_CANDIDATES)(find)
        self._stage_of = lru_cache(REMEMBERED_VIEWS)(self._over)
        self._shown = not_hidden(config)
        self._live.view().allowed(self._shown)  # refuses what cannot be read
        self._written = lru_cache(REMEMBERED_QUERIES)(parse)
        self._text_vector = lru_cache(REMEMBERED_QUERIES)(self._encode_text)

    @classmethod
    def open(
        cls,
        releases: Path,
        name: str | None = None,
        watch: RankingListener | None = None,
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

    def take_over(self, before: "Engine") -> None:
        """Take over the log and the watcher of an engine of another release.

        From then on both know every change, until `before` retires.
        """
        if before._log is not None:
            follow_on(before._log, self._live, self._release.manifest)
        self._log, self._watch = before._log, before._watch

    def detach(self) -> None:
        """Hear of no more changes: another engine answers."""
        if self._log is not None:
            self._log.unsubscribe(self._live.apply)

    def answer(self, query: Query, stage: Stage = Stage.RANKING) -> Slate:
        """Return a page for this request, or a RequestError that names the field.

        Ranking begins only while there is time; the slate says which stage answered.
        """
        clock = Deadline(query.deadline_ms)
        if is_listed(query):
            return self._listed(query, stage, clock)
        with clock.timer("filter"):
            scope = self._scope(query, self._live.view())
        aim = Depth(stage, max(self._depth, query.k))
        walked = self._walk(query, scope, aim, clock)
        with clock.timer("compose"):
            placed = self._placed(query, scope, walked, Page.top(walked.ordered, query.k))
        return self._slate(query, scope, walked, placed, clock)

    def _listed(self, query: Query, stage: Stage, clock: Deadline) -> Slate:
        """Return one page of all that a request matches, with what is to be counted."""
        with clock.timer("filter"):
            check_list(query)
            check_facets(query.facets)
            step = page_request(query, stage, self.release)
            scope = self._scope(step.query, self._live.view())
        view, query = scope.view, step.query
        made: Listing | None = view.lists.get(step.key(step.stage))
        if made is None:
            made = self._list(step, scope, clock)
            view.lists.keep(step.key(made.walked.stage), made, len(made.rows))
        with clock.timer("count"):
            facets = count(query, partial(self._matched, step, made, view), view.columns)
        with clock.timer("compose"):
            placed = self._placed(query, scope, made.walked, made.page(step.offset, query.k))
        return msgspec.structs.replace(
            self._slate(query, scope, made.walked, placed, clock),
            matched=made.summary(facets, stale=step.is_stale(view.sequence)),
            cursor=step.next(len(made.rows), made.walked.stage, self.release, view.sequence),
        )

    def _list(self, step: PageRequest, scope: Eligible, clock: Deadline) -> Listing:
        """Return the whole list; one that was ranked when it began is ranked again, if late."""
        walked = self._walk(step.query, scope, Depth(step.stage, self._depth, step.goes_on), clock)
        step.refuse_another(walked.stage)
        with clock.timer("list"):
            found = matching(
                walked.ordered.candidates, scope, searched=walked.searched, limit=self._depth
            )
            return listing(step.query, walked, found, scope.view.columns)

    def _matched(
        self, step: PageRequest, made: Listing, view: CatalogueSnapshot, where: str
    ) -> Matching:
        """Return what the request of a list matches under a filter, its own or another."""
        query = msgspec.structs.replace(step.query, filter=where)
        scope, walked = self._scope(query, view), made.walked
        candidates = walked.ordered.candidates
        if where != step.query.filter and walked.searched and scope.given is None:
            candidates = self._retrieve(self._ask(query, scope), scope, self._depth)
        return matching(candidates, scope, searched=walked.searched, limit=self._depth)

    def _walk(self, query: Query, scope: Eligible, aim: Depth, clock: Deadline) -> RankedCandidates:
        """Encode, retrieve and, where there is time, rank."""
        with clock.timer("encode"):
            ask = self._ask(query, scope)
        with clock.timer("retrieve"):
            candidates = self._retrieve(ask, scope, aim.depth)
        if aim.stage is Stage.RANKING and (aim.late or clock.left_ms() > 0):
            with clock.timer("rank"):
                left_ms = LATE_MS if aim.late else clock.left_ms()
                walked = self._rank(query, ask, candidates, scope.view, left_ms)
            if walked is not None:
                return walked
        ordered = Ordered(candidates, candidates.fused, None, {})
        return RankedCandidates(ordered, Stage.RETRIEVAL, searches(ask))

    def _placed(
        self, query: Query, scope: Eligible, walked: RankedCandidates, page: Page
    ) -> tuple[Placed, ...]:
        ordered = walked.ordered
        if query.explain and walked.reasons is not None:
            ranked = page.places[(page.places >= 0) & (page.places < MAX_CANDIDATES)]
            ordered = ordered._replace(reasoning=walked.reasons(ranked))
        return compose(ordered, partial(_look_up, scope.view), page, explain=query.explain)

    def _slate(
        self,
        query: Query,
        scope: Eligible,
        walked: RankedCandidates,
        placed: tuple[Placed, ...],
        clock: Deadline,
    ) -> Slate:
        candidates = walked.ordered.candidates
        return Slate(
            products=placed,
            stage=walked.stage,
            release=self.release,
            timings_ms=clock.timings_ms,
            missing=scope.missing,
            filtered=filtered_by(scope, candidates) if query.explain else None,
            readings=self._readings(query.text) if query.explain else (),
        )

    def complete(self, text: str, k: int) -> list[str]:
        """Return at most `k` searches that begin as this one does, the likeliest first.

        Phrases and past searches come first, then words that products have beside those before
        the last one.
        """
        key = " ".join(self._words.folded(text)) + " " * text[-1:].isspace()
        if not key.strip():
            return []
        known = self._parts.completions
        found = [] if known is None else known.starting_with(key, k + 1)
        if len(found) < k and not key.endswith(" "):
            before, _, last = key.rpartition(" ")
            words = self._parts.lexical.last_words(before, last, k)
            found += [f"{before} {word}".strip() for word in words]
        return [one for one in dict.fromkeys(found) if self._says_more(one, key)][:k]

    def _says_more(self, text: str, key: str) -> bool:
        return " ".join(self._words.folded(text)) != key.strip()

    @property
    def fusion(self) -> Fusion:
        """How searches are fused."""
        return self._config.retrieval.fusion

    @property
    def rrf_k(self) -> float:
        """The constant of fusion by position."""
        return self._config.retrieval.rrf_k

    @property
    def weights(self) -> Mapping[str, float]:
        """How much each channel counts."""
        return self._parts.weights or msgspec.to_builtins(self._config.retrieval.weights)

    def channel_scores(self, query: Query) -> ChannelScores:
        """Return what each channel says to a search, before it is fused."""
        scope = self._scope(query, self._live.view())
        ask = self._ask(query, scope)
        stage = self._stage_of(scope.view)
        if scope.given is not None:
            scores = stage.scores(ask, scope.given)
            positions = {name: positions_by_score(column) for name, column in scores.items()}
            return ChannelScores(scope.view.ids_of(scope.given), positions, scores)
        said, scores = stage.judged(ask, max(self._depth, query.k))
        rows = proposed(said)
        return ChannelScores(scope.view.ids_of(rows), positions_in(said, rows), scores)

    @property
    def parts(self) -> Parts:
        """What the release holds, to be measured."""
        return self._parts

    @property
    def encoder(self) -> QueryEncoder:
        """What brings queries into the spaces of the release."""
        return self._encoder

    def forget(self) -> None:
        """Forget the vectors of earlier queries, so that the next one costs what a new one does."""
        self._text_vector.cache_clear()

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

    def _readings(self, text: str) -> tuple[Reading, ...]:
        if "lexical" not in self._config.retrieval.channels:
            return ()
        told = self._parts.lexical.read(text.strip()).told
        return tuple(Reading(asked=one.asked, read_as=one.read_as, why=one.why) for one in told)

    def ranks(self, query: Query) -> bool:
        """Tell whether such a request is ranked: where that was measured to be better.

        Nobody has measured it for products like others, so they stay as they were retrieved.
        """
        if self._ranker is None or query.liked:
            return False
        return self._ranker.is_better(request_kind(query))

    def _scope(self, query: Query, view: CatalogueSnapshot) -> Eligible:
        return eligible_for(view, query, self._shown, self._rows_of)

    def _over(self, view: CatalogueSnapshot) -> Retriever:
        return view.over(self._retriever)

    def _ask(self, query: Query, scope: Eligible) -> EncodedQuery:
        text = query.text.strip()
        at_seconds = local_seconds(query.scene.at or datetime.now())
        if not FIRST_SECOND <= at_seconds < LAST_SECOND:
            raise RequestError("scene.at", f"{query.scene.at} is not between 1970 and 2200")
        ask = EncodedQuery(
            text=text,
            joined_vector=self._text_vector(text) if text else None,
            image_vector=None if query.image is None else self._encode_picture(query.image),
            history=self._parts.behaviour.history(query.user, at_seconds),
            at_seconds=at_seconds,
            allowed=None if scope.allowed.all() else scope.allowed,
            where=self._where(query.filter, scope.view),
            facts=hashed_facts(at_seconds, self._traits(query.user), scene_of(query)),
        )
        return self._with_marks(ask, scope)

    def _where(self, text: str, view: CatalogueSnapshot) -> Expression | None:
        """Return the filter of a request with that of every window, for an index that reads it.

        None where products have changed since: the columns it holds are those of the release.
        """
        asked = [part for part in (text.strip(), self._shown) if part]
        if (
            not asked
            or not view.unchanged
            or not isinstance(self._parts.joined_index, FiltersItself)
        ):
            return None
        written: Expression = self._written(" AND ".join(f"({part})" for part in asked))
        return written

    def _with_marks(self, ask: EncodedQuery, scope: Eligible) -> EncodedQuery:
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
        return ask._replace(joined_vector=rocchio(ask.joined_vector, vectors, marked.weights))

    def _retrieve(self, ask: EncodedQuery, scope: Eligible, depth: int) -> Candidates:
        stage = self._stage_of(scope.view)
        return stage.retrieve(ask, depth) if scope.given is None else stage.order(ask, scope.given)

    def _rank(
        self,
        query: Query,
        ask: EncodedQuery,
        candidates: Candidates,
        view: CatalogueSnapshot,
        left_ms: float,
    ) -> RankedCandidates | None:
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
        context = request_context(
            ask, self._traits(query.user), scene_of(query), self._config.ranking.recent_products
        )
        try:
            ranked = self._ranker.rank(rows, features, context, left_ms)
        except (UnfitLogits, TooLate):
            return None
        logits = ranked.logits
        if self._watch is not None and view.unchanged and self._may_be_kept(query):
            names = self._parts.products.ids_of(best.rows)
            self._watch(LoggedRanking(self.release, query, ask.at_seconds, names, features, logits))
        order = np.argsort(-logits, kind="stable")
        behind = np.arange(len(best.rows), count)
        floor = float(logits.min()) - 1 - np.arange(len(behind), dtype=np.float32)
        ordered = Ordered(
            take(candidates, np.concatenate([order, behind])),
            np.concatenate([logits[order], floor]).astype(np.float32),
            features[order],
            {outcome: column[order] for outcome, column in ranked.probabilities.items()},
        )
        facts = facts_of(ask.at_seconds, self._traits(query.user), scene_of(query))
        reasons = partial(self._reasoning, facts, context, rows[order], features[order])
        return RankedCandidates(ordered, Stage.RANKING, searches(ask), reasons)

    def _may_be_kept(self, query: Query) -> bool:
        """Tell whether a ranking may be logged: unmoved by marks, of a shopper who allows it."""
        if query.disliked:
            return False
        rows = self._parts.users.rows_of([query.user] if query.user else []).rows
        return all(record["consent"]["train"] for record in self._parts.users.records(rows))

    def _reasoning(
        self,
        facts: Sequence[str],
        context: Context,
        rows: Int64[np.ndarray, "c"],
        features: Float32[np.ndarray, "c f"],
        places: Int64[np.ndarray, "k"],
    ) -> Reasoning:
        assert self._ranker is not None
        recent = context.recent[context.recent >= 0]
        titles = (str(record["title"]) for record in self._parts.products.records(recent))
        explained = self._ranker.explain(rows, features, context, places)
        return Reasoning((ASKED, *titles, *facts), explained, places)

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


def _look_up(view: CatalogueSnapshot, rows: Int64[np.ndarray, "k"]) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in record.items() if value is not None}
        for record in view.records(rows)
    ]


def how_of(config: Config) -> RuntimeSettings:
    """Return how the ranker of a release is to be run when it serves."""
    ranking = config.ranking
    return RuntimeSettings(
        ranking.runtime, config.threads, ranking.recent_products, ranking.batch_requests
    )
