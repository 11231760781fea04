"""Remembers vectors on disk by what they were made from, so that nothing is encoded twice."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from struct import Struct
from typing import BinaryIO, NamedTuple, Protocol, TypeVar

import numpy as np
import xxhash
from jaxtyping import Bool, Float32, Int64

from pipelines.durable.locks import lock_file

Item = TypeVar("Item")

# A file: 8 bytes that name the format, then blocks. A block: a head, `count` keys of 16 bytes,
# `count` vectors of `dim` little-endian float32. The checksum is over all that follows it and
# the encoder's fingerprint, so a torn, damaged or foreign block is never believed.
MAGIC = b"VTREMB01"
HEAD = Struct("<QII")  # checksum, count, dim
KEY_BYTES = 16
FLOAT_BYTES = 4
FILE_NAME = "vectors.cache"
LOCK = ".lock"


class HasVectors(Protocol):
    """As much of an encoder as its cache needs."""

    dim: int
    fingerprint: str


class _Block(NamedTuple):
    """A block that was checked: where it starts, in floats, and its checksum."""

    start: int
    checksum: int


class EmbeddingCache:
    """The vectors of one encoder, in one append-only file; several builds may share it.

    A block is on disk before `put` returns, so a killed build loses at most the block that it
    was writing. What is damaged is cut off and encoded again. Another process may cut the file
    while it is open here, so each read compares the checksums of its blocks with those that were
    there when they were checked.
    """

    def __init__(self, folder: Path, fingerprint: str, dim: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / FILE_NAME
        self._seed = xxhash.xxh3_64_intdigest(fingerprint.encode())
        self._dim = dim
        self._offsets: dict[str, int] = {}  # key: where its vector starts, in floats
        self._blocks: list[_Block] = []  # in the order of the file
        self._end = 0  # everything before this was checked
        with self._locked() as file:
            self._catch_up(file)

    @classmethod
    def of(cls, encoder: HasVectors, embeddings: Path) -> "EmbeddingCache":
        """Open the cache of an encoder in the folder of all of them."""
        return cls(embeddings / encoder.fingerprint, encoder.fingerprint, encoder.dim)

    def __len__(self) -> int:
        return len(self._offsets)

    def get(
        self, hashes: Sequence[str]
    ) -> tuple[Float32[np.ndarray, "n d"], Bool[np.ndarray, "n"]]:
        """Return what is known, zero elsewhere, and which are known."""
        with self._locked() as file:
            if self._is_cut(file, self._blocks_of(hashes)):
                self._forget()
                self._catch_up(file)
            offsets = self._offsets_of(hashes)
            is_stored: np.ndarray = offsets >= 0
            vectors = np.zeros((len(hashes), self._dim), np.float32)
            if is_stored.any():
                stored = self._mapped(file, "<f4")
                vectors[is_stored] = stored[offsets[is_stored, None] + np.arange(self._dim)]
        return vectors, is_stored

    def put(self, hashes: Sequence[str], vectors: Float32[np.ndarray, "n d"]) -> None:
        """Remember these vectors; they are on disk when this returns."""
        if not len(hashes):
            return
        if vectors.shape != (len(hashes), self._dim):
            raise ValueError(
                f"expected {len(hashes)} vectors of {self._dim} numbers, got {vectors.shape}"
            )
        block = self._block(hashes, vectors)
        with self._locked() as file:
            if self._is_cut(file, self._blocks[-1:]):  # its end is then where one ends
                self._forget()
            self._catch_up(file)
            file.seek(self._end)
            file.write(block)
            file.flush()
            os.fsync(file.fileno())
            self._catch_up(file)

    def encode(
        self,
        hashes: Sequence[str],
        items: Sequence[Item],
        encode: Callable[[list[Item]], Float32[np.ndarray, "n d"]],
    ) -> Float32[np.ndarray, "n d"]:
        """Return one vector an item; only what was never seen is encoded, once."""
        vectors, is_stored = self.get(hashes)
        missing = {hashes[i]: items[i] for i in np.flatnonzero(~is_stored).tolist()}
        if not missing:
            return vectors
        self.put(list(missing), encode(list(missing.values())))
        return self.get(hashes)[0]

    def _offsets_of(self, hashes: Sequence[str]) -> Int64[np.ndarray, "n"]:
        return np.asarray([self._offsets.get(one, -1) for one in hashes], np.int64)

    def _mapped(self, file: BinaryIO, kind: str) -> np.ndarray:
        return np.memmap(file, np.dtype(kind), "r", shape=(self._end // FLOAT_BYTES,))

    def _blocks_of(self, hashes: Sequence[str]) -> list[_Block]:
        offsets = self._offsets_of(hashes)
        starts = np.array([block.start for block in self._blocks], np.int64)
        used = np.unique(np.searchsorted(starts, offsets[offsets >= 0], side="right") - 1)
        return [self._blocks[i] for i in used.tolist()]

    def _is_cut(self, file: BinaryIO, blocks: Sequence[_Block]) -> bool:
        """Tell whether one of these blocks is no longer there as it was checked."""
        if file.seek(0, os.SEEK_END) < self._end:
            return True
        words, at = self._mapped(file, "<u4"), np.array([block.start for block in blocks], np.int64)
        there = words[at].astype(np.uint64) | words[at + 1].astype(np.uint64) << np.uint64(32)
        return bool(there.tolist() != [block.checksum for block in blocks])

    def _forget(self) -> None:
        self._offsets.clear()
        self._blocks.clear()
        self._end = 0

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        with lock_file(self._path.with_name(LOCK)), os.fdopen(handle, "r+b") as file:
            yield file

    def _catch_up(self, file: BinaryIO) -> None:
        """Read the blocks after `_end`, and cut the file where they stop making sense."""
        size = file.seek(0, os.SEEK_END)
        if size < max(self._end, len(MAGIC)):
            self._restart(file)
            return
        if not self._end:
            file.seek(0)
            if file.read(len(MAGIC)) != MAGIC:
                self._restart(file)
                return
            self._end = len(MAGIC)
        while self._end < size:
            if not self._read_block(file, size):
                file.truncate(self._end)
                return

    def _restart(self, file: BinaryIO) -> None:
        self._forget()
        file.truncate(0)
        file.seek(0)
        file.write(MAGIC)
        file.flush()
        os.fsync(file.fileno())
        self._end = len(MAGIC)

    def _read_block(self, file: BinaryIO, size: int) -> bool:
        file.seek(self._end)
        head = file.read(HEAD.size)
        if len(head) < HEAD.size:
            return False
        checksum, count, dim = HEAD.unpack(head)
        body_bytes = count * (KEY_BYTES + FLOAT_BYTES * dim)
        if dim != self._dim or self._end + HEAD.size + body_bytes > size:
            return False
        body = file.read(body_bytes)
        if self._checksum(head, body) != checksum:
            return False
        self._blocks.append(_Block(self._end // FLOAT_BYTES, checksum))
        first = (self._end + HEAD.size + count * KEY_BYTES) // FLOAT_BYTES
        for i in range(count):
            key = body[i * KEY_BYTES : (i + 1) * KEY_BYTES].hex()
            self._offsets[key] = first + i * dim
        self._end += HEAD.size + body_bytes
        return True

    def _block(self, hashes: Sequence[str], vectors: Float32[np.ndarray, "n d"]) -> bytes:
        keys = b"".join(bytes.fromhex(one) for one in hashes)
        body = keys + np.ascontiguousarray(vectors, "<f4").tobytes()
        head = HEAD.pack(0, len(hashes), self._dim)
        return HEAD.pack(self._checksum(head, body), len(hashes), self._dim) + body

    def _checksum(self, head: bytes, body: bytes) -> int:
        digest = xxhash.xxh3_64(head[8:], seed=self._seed)
        digest.update(body)
        return digest.intdigest()


def content_hash(content: bytes) -> str:
    """Return what a text or a picture is remembered by: 128 bits of XXH3."""
    return xxhash.xxh3_128_hexdigest(content)
