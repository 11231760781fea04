"""Turns a shop's texts and pictures into vectors, each distinct one encoded once."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xxhash
from jaxtyping import Float32

from pipelines.embedding_cache import EmbeddingCache
from pipelines.errors import UserError
from pipelines.progress import Track
from pipelines.shop import Shop
from retrieval.image_encoder import ImageEncoder
from retrieval.text_encoder import TextEncoder

TEXTS_PER_CHUNK = 2048
PICTURES_PER_CHUNK = 1024
NAMED_FAILURES = 3


class Pictures(NamedTuple):
    """One vector a product, zero where it has no readable picture, and what failed."""

    vectors: Float32[np.ndarray, "n p"]
    failures: dict[str, str]  # product id: reason
    seen: int


def text_of(record: dict[str, Any], fields: Sequence[str]) -> str:
    """Return the words of a product that are encoded, field by field."""
    return ". ".join(part for field in fields if (part := _flat(record.get(field))))


def encode_texts(
    texts: Sequence[str], encoder: TextEncoder, embeddings: Path, track: Track
) -> Float32[np.ndarray, "n d"]:
    """Return one unit vector a text, in order; what is in `embeddings` is not encoded again."""
    cache = EmbeddingCache(embeddings / encoder.fingerprint, encoder.fingerprint, encoder.dim)
    place: dict[str, int] = {}
    places = np.asarray([place.setdefault(text, len(place)) for text in texts], np.int64)
    distinct = list(place)
    order = np.argsort([len(text) for text in distinct], kind="stable")  # alike in a batch
    chunks = [order[i : i + TEXTS_PER_CHUNK] for i in range(0, len(order), TEXTS_PER_CHUNK)]
    vectors = np.empty((len(distinct), encoder.dim), np.float32)
    for chunk in track(chunks, "encode texts", len(chunks)):
        words = [distinct[i] for i in chunk]
        hashes = [content_hash(text.encode()) for text in words]
        vectors[chunk] = cache.encode(hashes, words, encoder.encode)
    return vectors[places]


def encode_pictures(
    product_ids: Sequence[str],
    shop: Shop,
    encoder: ImageEncoder,
    embeddings: Path,
    *,
    max_failed_share: float,
    track: Track,
) -> Pictures:
    """Return one unit vector a product; identical pictures are encoded once.

    A picture that cannot be read is counted and named; past `max_failed_share` of them this is
    a UserError.
    """
    seer = _Seer(encoder, embeddings)
    rows = {product_id: row for row, product_id in enumerate(product_ids)}
    vectors = np.zeros((len(product_ids), encoder.dim), np.float32)
    failures: dict[str, str] = {}
    seen = 0
    chunks = -(-shop.meta.counts.get("pictures", 0) // PICTURES_PER_CHUNK)
    for ids, pictures in track(_chunks(shop), "encode pictures", chunks):
        known = [i for i, product_id in enumerate(ids) if product_id in rows]
        found, reasons = seer.see([pictures[i] for i in known])
        vectors[[rows[ids[i]] for i in known]] = found
        failures |= {ids[known[place]]: reason for place, reason in reasons.items()}
        seen += len(known)
    _check_failures(failures, seen, max_failed_share)
    return Pictures(vectors, failures, seen)


def content_hash(content: bytes) -> str:
    """Return what a text or a picture is remembered by: 128 bits of XXH3."""
    return xxhash.xxh3_128_hexdigest(content)


class _Seer:
    """An image encoder that remembers: vectors on disk, broken pictures for this run."""

    def __init__(self, encoder: ImageEncoder, embeddings: Path) -> None:
        self._encoder = encoder
        self._cache = EmbeddingCache(
            embeddings / encoder.fingerprint, encoder.fingerprint, encoder.dim
        )
        self._broken: dict[str, str] = {}

    def see(self, pictures: Sequence[bytes]) -> tuple[Float32[np.ndarray, "n p"], dict[int, str]]:
        hashes = [content_hash(picture) for picture in pictures]
        vectors, found = self._cache.get(hashes)
        missing = {hashes[i]: pictures[i] for i in np.flatnonzero(~found).tolist()}
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


def _chunks(shop: Shop) -> Iterator[tuple[list[str], list[bytes]]]:
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


def _check_failures(failures: dict[str, str], seen: int, max_failed_share: float) -> None:
    if len(failures) <= max_failed_share * seen:
        return
    named = list(failures.items())[:NAMED_FAILURES]
    raise UserError(
        f"{len(failures):,} of {seen:,} pictures cannot be read, more than the "
        f"{max_failed_share:.0%} of encoders.max_failed_share "
        f"({', '.join(f'{product_id}: {reason}' for product_id, reason in named)}); "
        "mend the pictures or raise the share"
    )


def _flat(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(str(part) for part in value)
    return str(value).strip() if value is not None else ""
