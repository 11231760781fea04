"""The answer cache: whole answers as they were sent, for requests that no shopper is named in."""

from time import time
from typing import NamedTuple

from index.columns.bounded_cache import BoundedCache
from pipelines.config.sections import ServeConfig
from pipelines.engine.ladder.cached_answers import request_digest
from pipelines.serving.admission import ServedEngine
from retrieval import Query, Slate, Stage

MOST_ANSWERS = 1 << 16
ENTRY_BYTES = 500  # of a key, and what the cache itself takes for an answer
MINUTE = 60


class AnswerKey(NamedTuple):
    """Everything that decides an answer."""

    kind: str  # the form of the answer
    release: str
    sequence: int  # of the newest change that it shows
    stage: Stage  # the last one that is asked for
    minute: int  # in which it is asked "now"; 0: the request names its moment
    request: bytes  # a digest of every field


class AnswerCache:
    """Keeps answers for some seconds and within some megabytes; with 0 of either, none."""

    def __init__(self, config: ServeConfig) -> None:
        self._is_on = config.cache_mb > 0 and config.cache_seconds > 0
        self._bodies: BoundedCache[bytes] = BoundedCache(
            MOST_ANSWERS, max(config.cache_mb, 1) * 1_000_000, config.cache_seconds
        )

    def key(
        self, kind: str, query: Query, stage: Stage, engine: ServedEngine, after: int = 0
    ) -> AnswerKey | None:
        """Return the key of an answer that shows the change `after`; None: it is not to be kept.

        An explained answer is not, nor one to a shopper or a visitor, whose history may change.
        What holds "now" (the hour, promotions) is the same for a minute.
        """
        if not self._is_on or query.user or query.visitor or query.explain:
            return None
        sequence = engine.newest_change
        digest = request_digest(query)
        if digest is None or sequence < after:
            return None
        minute = int(time()) // MINUTE if query.scene.at is None else 0
        return AnswerKey(kind, engine.release, sequence, stage, minute, digest)

    def get(self, key: AnswerKey | None) -> bytes | None:
        """Return an answer as it was sent, or None."""
        return None if key is None else self._bodies.get(key)

    def keep(self, key: AnswerKey | None, slate: Slate, body: bytes) -> None:
        """Store the answer of a slate, unless a better one would have been given with more time."""
        if key is not None and not slate.skipped and slate.coverage == 1:
            self._bodies.keep(key, body, len(body) + ENTRY_BYTES)
