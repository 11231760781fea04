"""Cached answers: what was answered to the same request before, of no shopper."""

from hashlib import blake2b

import msgspec

from index.columns.bounded_cache import BoundedCache
from retrieval import Query, Slate, Stage

MOST_ANSWERS = 4_096
MOST_BYTES = 16_000_000
PLACED_BYTES = 1_000  # about, of a product on a page; the product itself is shared
SECONDS = 3_600.0
MOST_CANDIDATES = 1_000  # that are compared
Key = tuple[bytes, int, Stage]


class CachedAnswers:
    """Answers without a shopper, by request and by the change that they show."""

    def __init__(self) -> None:
        self._slates: BoundedCache[Slate] = BoundedCache(MOST_ANSWERS, MOST_BYTES, SECONDS)

    def get(self, query: Query, sequence: int, stage: Stage) -> Slate | None:
        """Return what was answered within the last hour to whoever asked this of the same hour."""
        key = _key(query, sequence, stage)
        return None if key is None else self._slates.get(key)

    def keep(self, query: Query, sequence: int, stage: Stage, slate: Slate) -> None:
        """Store an answer to a request without a shopper."""
        key = None if query.user or query.visitor or query.explain else _key(query, sequence, stage)
        if key is not None:
            self._slates.keep(key, slate, PLACED_BYTES * (1 + len(slate.products)))


def request_digest(query: Query) -> bytes | None:
    """Return 16 bytes that tell a request from any other in every field; None: it is too large."""
    if query.image is not None or len(query.candidates or ()) > MOST_CANDIDATES:
        return None
    content = msgspec.json.encode(query, order="deterministic")
    return blake2b(content, digest_size=16).digest()


def _key(query: Query, sequence: int, stage: Stage) -> Key | None:
    at = query.scene.at
    hour = None if at is None else at.replace(minute=0, second=0, microsecond=0)
    scene = msgspec.structs.replace(query.scene, at=hour)
    plain = msgspec.structs.replace(
        query, user=None, visitor=None, deadline_ms=1, explain=False, scene=scene
    )
    digest = request_digest(plain)
    return None if digest is None else (digest, sequence, stage)
