"""Replay: ranks logged requests again on the path of training, and compares every number."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from pipelines.encoding.release_encoders import open_query_encoder
from pipelines.engine.ranking_log import MOST_LINE_BYTES, LoggedRanking, decode, files_of
from pipelines.engine.request import scene_of, traits_of
from pipelines.errors import ReleaseError, UserError
from pipelines.progress import Track
from pipelines.release.manifest import config_of
from pipelines.release.parts import open_parts, open_ranker
from pipelines.release.retriever import retriever
from pipelines.release.store import Release, open_release
from ranking.features.definitions import NAMES
from ranking.features.request import request_context, request_features
from retrieval.encoded_query import EncodedQuery
from retrieval.query_rewriting import query_vectors

ROUNDING = 1e-4  # of a logit: another number of threads adds up in another order


class Replayed(NamedTuple):
    """The result of a replay: how many features are equal, and how far logits differ."""

    requests: int
    other_releases: int  # left out
    candidates: int
    same_features: int  # candidates whose every feature is the same, bit for bit
    different: dict[str, int]  # candidates by the feature that differs
    furthest: float  # largest distance between two logits

    @property
    def agrees(self) -> bool:
        """Whether features are equal and logits are, but for rounding."""
        return self.same_features == self.candidates and self.furthest <= ROUNDING

    def text(self) -> str:
        """Return it in words."""
        lines = [
            f"{self.requests:,} requests ranked again, {self.other_releases:,} of other releases "
            "left out",
            f"{self.same_features:,} of {self.candidates:,} candidates have the same features",
            f"logits differ by {self.furthest:.2g} at most",
        ]
        lines += [f"{name} differs for {count:,}" for name, count in self.different.items()]
        return "\n".join(lines)


class Replayer:
    """Ranks a logged request as training does: habits, first stage, features, context, network."""

    def __init__(self, release: Release) -> None:
        self.release = release.manifest.name
        self._config = config_of(release.manifest)
        self._parts = open_parts(release.path)
        ranker = open_ranker(release.path)
        if ranker is None:
            raise ReleaseError(f"release {self.release} has no ranker")
        self._ranker = ranker
        fingerprints = release.manifest.fingerprints
        self._encoder = open_query_encoder(release.path, fingerprints, self._config)
        searches_words = "lexical" in self._config.retrieval.channels
        self._words = self._parts.lexical if searches_words else None
        plain = self._parts._replace(trained=None)
        self._stage = retriever(plain, self._parts.behaviour, self._config)

    def again(self, ranking: LoggedRanking) -> LoggedRanking:
        """Return the same request with the features and logits that it has here."""
        found = self._parts.products.rows_of(ranking.ids)
        if found.missing:
            raise UserError(f"release {self.release} lacks {found.missing[0]!r} of its own log")
        query, behaviour = ranking.query, self._parts.behaviour
        text = query.text.strip()
        ask = EncodedQuery(
            text=text,
            joined_vector=query_vectors(self._encoder, self._words, [text])[0] if text else None,
            history=behaviour.history(query.user, ranking.at_seconds),
            at_seconds=ranking.at_seconds,
        )
        ordered = self._stage.order(ask, found.rows)
        by_row = np.argsort(ordered.rows)
        back = by_row[np.searchsorted(ordered.rows, found.rows, sorter=by_row)]
        features = request_features(behaviour, self._parts.catalogue, ask, ordered)[back]
        traits = traits_of(self._parts.users, query.user) if query.user else {}
        context = request_context(
            ask, traits, scene_of(query), self._config.ranking.recent_products
        )
        logits = self._ranker.rank(found.rows, features, context).logits
        return ranking._replace(features=features, logits=logits)


def replay(log: Path, releases: Path, name: str | None, track: Track) -> Replayed:
    """Rank again what the log, a file or a folder of them, says was ranked by this release."""
    replayer = Replayer(open_release(releases, name))
    requests = others = candidates = same = 0
    different, furthest = np.zeros(len(NAMES), np.int64), 0.0
    for logged in track(rankings(log), "rank again"):
        if logged.release != replayer.release:
            others += 1
            continue
        here = replayer.again(logged)
        if here.features.shape != logged.features.shape:
            raise UserError(f"{log} holds other features than this version computes")
        unequal = here.features != logged.features
        requests, candidates = requests + 1, candidates + len(unequal)
        same += int((~unequal.any(axis=1)).sum())
        different += unequal.sum(axis=0)
        furthest = max(furthest, furthest_of(here.logits, logged.logits))
    if not requests:
        raise UserError(
            f"{log} holds no request that release {replayer.release} ranked, but {others:,} of "
            "other releases; name one of them with --release"
        )
    named = {n: int(count) for n, count in zip(NAMES, different, strict=True) if count}
    return Replayed(requests, others, candidates, same, named, furthest)


def furthest_of(one: Float32[np.ndarray, "c"], other: Float32[np.ndarray, "c"]) -> float:
    """Return the largest distance of two logits; infinity where one is not a number."""
    distances = np.abs(one.astype(np.float64) - other)
    return float(np.where(np.isnan(distances), np.inf, distances).max(initial=0))


def rankings(log: Path) -> Iterator[LoggedRanking]:
    """Yield what a log file holds, or the files of a folder in their order."""
    files = files_of(log) if log.is_dir() else [log]
    if not files or not files[0].is_file():
        raise UserError(f"{log} holds no ranking log; serve with serve.log set to a folder")
    for file in files:
        with file.open("rb") as lines:
            number = 0
            while line := lines.readline(MOST_LINE_BYTES + 2):
                number += 1
                yield decode(line, f"{file}, line {number}")
