"""Turns a shop's texts into vectors, each distinct one once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from pipelines.encoding.embedding_cache import EmbeddingCache, content_hash
from pipelines.progress import Track
from retrieval.encoders.text import TextEncoder

TEXTS_PER_CHUNK = 2048


def encode_texts(
    texts: Sequence[str], encoder: TextEncoder, embeddings: Path, track: Track
) -> Float32[np.ndarray, "n d"]:
    """Return one unit vector a text, in order; what is in `embeddings` is not encoded again."""
    cache = EmbeddingCache.of(encoder, embeddings)
    place: dict[str, int] = {}
    places = np.asarray([place.setdefault(text, len(place)) for text in texts], np.int64)
    distinct = list(place)
    chunks = text_chunks(distinct)
    vectors = np.empty((len(distinct), encoder.dim), np.float32)
    for chunk in track(chunks, "encode texts", len(chunks)):
        words = [distinct[i] for i in chunk]
        hashes = [content_hash(text.encode()) for text in words]
        vectors[chunk] = cache.encode(hashes, words, encoder.encode)
    return vectors[places]


def text_chunks(distinct: Sequence[str]) -> list[Int64[np.ndarray, "c"]]:
    """Return the places of the texts that are encoded in one call, those of like length together.

    Vectors depend on their company in the last bits, so whoever encodes keeps to these calls.
    """
    order = np.argsort([len(text) for text in distinct], kind="stable")
    return [order[i : i + TEXTS_PER_CHUNK] for i in range(0, len(order), TEXTS_PER_CHUNK)]
