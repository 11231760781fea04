"""Turns a shop's pictures and videos into vectors, each distinct one once."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from pipelines.encoding.embedding_cache import EmbeddingCache, content_hash
from pipelines.errors import UserError
from pipelines.progress import Track
from pipelines.shop.reader import Shop
from retrieval.encoders.query import ImageEncoder
from retrieval.encoders.video import FRAMES, BrokenVideo, encode_video

PICTURES_PER_CHUNK = 1024
NAMED_FAILURES = 3
MAX_PICTURES = 8  # of a product
MAX_VIDEOS = 2  # of a product, each of FRAMES vectors at most


class Several(NamedTuple):
    """Several vectors a product: those of row i are `vectors[offsets[i] : offsets[i + 1]]`."""

    vectors: Float32[np.ndarray, "m p"]
    offsets: Int64[np.ndarray, "n1"]  # one more than there are products
    failures: dict[str, str]  # product id: reason of the last of its files that failed
    seen: int  # pictures or videos


class Pictures(NamedTuple):
    """One vector a product, zero where it has no readable picture, and what failed."""

    vectors: Float32[np.ndarray, "n p"]
    failures: dict[str, str]  # product id: reason
    seen: int


def encode_pictures(
    product_ids: Sequence[str],
    shop: Shop,
    encoder: ImageEncoder,
    embeddings: Path,
    *,
    max_failed_share: float,
    track: Track,
) -> Pictures:
    """Return one unit vector a product, of its first readable picture; equal ones encoded once.

    A picture that cannot be read is counted and named; past `max_failed_share` of them this is
    a UserError.
    """
    rows = {product_id: row for row, product_id in enumerate(product_ids)}
    vectors = np.zeros((len(product_ids), encoder.dim), np.float32)
    failures: dict[str, str] = {}
    seen = 0
    done = np.zeros(len(product_ids), bool)  # by an earlier chunk
    cached = _CachedEncoder(encoder, embeddings)
    for chunk in _encoded_chunks(shop, cached, rows.__contains__, track):
        for product_id, vector in zip(reversed(chunk.ids), reversed(chunk.vectors), strict=True):
            row = rows[product_id]
            if not done[row]:
                vectors[row] = vector if vector.any() else vectors[row]
        done |= vectors.any(axis=1)
        failures |= {chunk.ids[place]: reason for place, reason in chunk.reasons.items()}
        seen += len(chunk.ids)
    _check_failures(failures, seen, max_failed_share)
    return Pictures(vectors, failures, seen)


def encode_all_pictures(
    product_ids: Sequence[str],
    shop: Shop,
    encoder: ImageEncoder,
    embeddings: Path,
    *,
    max_failed_share: float,
    track: Track,
) -> Several:
    """Return the unit vectors of up to MAX_PICTURES readable pictures a product, in their order.

    What `encode_pictures` has remembered is not encoded again. Raises UserError as that does.
    """
    gathered = _SeveralWriter(product_ids, encoder.dim, MAX_PICTURES)
    cached = _CachedEncoder(encoder, embeddings)
    for chunk in _encoded_chunks(shop, cached, gathered.wants, track):
        for place, product_id in enumerate(chunk.ids):
            vector = chunk.vectors[place : place + 1]
            gathered.take(product_id, vector, chunk.reasons.get(place))
    return gathered.whole(max_failed_share, "pictures")


def encode_videos(
    product_ids: Sequence[str],
    shop: Shop,
    encoder: ImageEncoder,
    embeddings: Path,
    *,
    max_failed_share: float,
    track: Track,
) -> Several:
    """Return the unit vectors of frames of each product's first MAX_VIDEOS videos, in time order.

    A video is decoded once; its frames are remembered by its bytes and their number in it.
    """
    cache = EmbeddingCache.of(encoder, embeddings)
    gathered = _SeveralWriter(product_ids, encoder.dim, MAX_VIDEOS)
    videos = (
        (record["id"], record["video"])
        for batch in shop.video_batches()
        for record in batch.to_pylist()
    )
    for product_id, video in track(videos, "encode videos", shop.meta.counts.get("videos", 0)):
        if not gathered.wants(product_id):
            continue
        try:
            gathered.take(product_id, _frame_vectors(video or b"", encoder, cache), None)
        except BrokenVideo as e:
            gathered.take(product_id, np.zeros((0, encoder.dim), np.float32), str(e))
    return gathered.whole(max_failed_share, "videos")


def _frame_vectors(
    video: bytes, encoder: ImageEncoder, cache: EmbeddingCache
) -> Float32[np.ndarray, "f p"]:
    whole = content_hash(video)
    hashes = [content_hash(f"{whole} frame {i} of {FRAMES}".encode()) for i in range(FRAMES)]
    vectors, is_stored = cache.get(hashes)
    if not is_stored.all():
        frames = encode_video(video, encoder)
        vectors = np.zeros((FRAMES, encoder.dim), np.float32)  # zero: the video is shorter
        vectors[: len(frames)] = frames
        cache.put(hashes, vectors)
    return vectors[vectors.any(axis=1)]


class _SeveralWriter:
    """Vectors of products as they come, and then sorted by product."""

    def __init__(self, product_ids: Sequence[str], dim: int, most: int) -> None:
        self._rows = {product_id: row for row, product_id in enumerate(product_ids)}
        self._left = np.full(len(self._rows), most)
        self._vectors = [np.zeros((0, dim), np.float32)]
        self._places: list[int] = []
        self._failures: dict[str, str] = {}
        self._seen = 0

    def wants(self, product_id: str) -> bool:
        """Tell whether one more of this product would be taken."""
        row = self._rows.get(product_id)
        return row is not None and bool(self._left[row])

    def take(
        self, product_id: str, vectors: Float32[np.ndarray, "f p"], reason: str | None
    ) -> None:
        """Take the vectors of one picture or video, or why there are none."""
        if not self.wants(product_id):
            return
        row = self._rows[product_id]
        self._seen += 1
        if reason is not None:
            self._failures[product_id] = reason
            return
        self._left[row] -= 1
        self._vectors.append(vectors.astype(np.float32))
        self._places += [row] * len(vectors)

    def whole(self, max_failed_share: float, what: str) -> Several:
        """Return all of them; UserError where too many failed."""
        _check_failures(self._failures, self._seen, max_failed_share, what)
        places = np.asarray(self._places, np.int64)
        order = np.argsort(places, kind="stable")
        counts = np.bincount(places, minlength=len(self._rows))
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return Several(np.concatenate(self._vectors)[order], offsets, self._failures, self._seen)


class _CachedEncoder:
    """An image encoder that remembers: vectors on disk, broken pictures for this run."""

    def __init__(self, encoder: ImageEncoder, embeddings: Path) -> None:
        self._encoder = encoder
        self._cache = EmbeddingCache.of(encoder, embeddings)
        self._broken: dict[str, str] = {}

    def encode(
        self, pictures: Sequence[bytes]
    ) -> tuple[Float32[np.ndarray, "n p"], dict[int, str]]:
        hashes = [content_hash(picture) for picture in pictures]
        vectors, is_stored = self._cache.get(hashes)
        missing = {hashes[i]: pictures[i] for i in np.flatnonzero(~is_stored).tolist()}
        for broken in self._broken.keys() & missing.keys():
            del missing[broken]
        if missing:
            self._encode(missing)
            vectors, _ = self._cache.get(hashes)
        reasons = {i: self._broken[h] for i, h in enumerate(hashes) if h in self._broken}
        return vectors, reasons

    def _encode(self, missing: dict[str, bytes]) -> None:
        hashes = list(missing)
        vectors, failures = self._encoder.encode_images(list(missing.values()))
        self._broken |= {hashes[i]: reason for i, reason in failures.items()}
        good = [i for i in range(len(hashes)) if i not in failures]
        self._cache.put([hashes[i] for i in good], vectors[good])


class _EncodedChunk(NamedTuple):
    """Pictures of one call of the encoder."""

    ids: list[str]  # of their products
    vectors: Float32[np.ndarray, "n p"]
    reasons: dict[int, str]  # place: why there is no vector


def _encoded_chunks(
    shop: Shop, cached: _CachedEncoder, is_taken: Callable[[str], bool], track: Track
) -> Iterator[_EncodedChunk]:
    """Yield the pictures of the products that are taken, encoded chunk by chunk."""
    chunks = -(-shop.meta.counts.get("pictures", 0) // PICTURES_PER_CHUNK)
    for ids, pictures in track(picture_chunks(shop), "encode pictures", chunks):
        places = [i for i, product_id in enumerate(ids) if is_taken(product_id)]
        vectors, reasons = cached.encode([pictures[i] for i in places])
        yield _EncodedChunk([ids[i] for i in places], vectors, reasons)


def picture_chunks(shop: Shop) -> Iterator[tuple[list[str], list[bytes]]]:
    """Pass the pictures on in chunks of one size, whatever the batches of the file are."""
    ids: list[str] = []
    pictures: list[bytes] = []
    for batch in shop.picture_batches():
        for start in range(0, batch.num_rows, PICTURES_PER_CHUNK):
            part = batch.slice(start, PICTURES_PER_CHUNK)
            ids += part.column("id").to_pylist()
            pictures += [picture or b"" for picture in part.column("image").to_pylist()]
            if len(ids) >= PICTURES_PER_CHUNK:
                yield ids[:PICTURES_PER_CHUNK], pictures[:PICTURES_PER_CHUNK]
                ids, pictures = ids[PICTURES_PER_CHUNK:], pictures[PICTURES_PER_CHUNK:]
    if ids:
        yield ids, pictures


def _check_failures(
    failures: dict[str, str], seen: int, max_failed_share: float, what: str = "pictures"
) -> None:
    if len(failures) <= max_failed_share * seen:
        return
    named = list(failures.items())[:NAMED_FAILURES]
    raise UserError(
        f"{len(failures):,} of {seen:,} {what} cannot be read, more than the "
        f"{max_failed_share:.0%} of encoders.max_failed_share "
        f"({', '.join(f'{product_id}: {reason}' for product_id, reason in named)}); "
        f"mend the {what} or raise the share"
    )
