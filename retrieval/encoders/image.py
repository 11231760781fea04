"""Image-text encoders: encode pictures and texts into unit vectors of one space."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from index import fit_vectors
from retrieval.encoders.clip.model import Clip
from retrieval.encoders.clip.opening import open_clip_model
from retrieval.encoders.clip.picture_side import write_picture_side
from retrieval.encoders.networks.openvino_network import Network, Runner
from retrieval.encoders.pictures import (
    BrokenPicture,
    fingerprint_in_torch,
    least_side,
    open_picture,
)

PICTURES_PER_STREAM = 16
PICTURES_PER_TURN = 16  # of a thread that opens them; one by one, the handing over is felt

A = TypeVar("A")
B = TypeVar("B")


class Compiled(NamedTuple):
    """A picture side that does not run in torch, and the fingerprint of what it makes."""

    runner: Runner
    fingerprint: str


class ClipEncoder:
    """An open_clip model in use: it no longer learns."""

    def __init__(
        self,
        clip: Clip,
        *,
        batch_size: int = 256,
        threads: int = 2,
        compiled: Compiled | None = None,
    ) -> None:
        clip.network.eval()
        self.clip = clip
        self._batch_size = batch_size
        self._threads = threads
        self._compiled = compiled
        self._lock = Lock()
        self._least = least_side(clip.size)
        self.dim = clip.dim
        self.fingerprint = compiled.fingerprint if compiled else self._of_torch()

    def encode_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "n p"]:
        """Return one unit vector a text; UnfitVectors where the model is broken."""
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for start in range(0, len(texts), self._batch_size):
            batch = list(texts[start : start + self._batch_size])
            with self._lock, torch.inference_mode():
                found = self.clip.encode_tokens(self.clip.tokens(batch))
            vectors[start : start + len(batch)] = _fit(found, "text embeddings of the image model")
        return vectors

    def encode_images(
        self, pictures: Sequence[bytes]
    ) -> tuple[Float32[np.ndarray, "n p"], dict[int, str]]:
        """Return one unit vector a picture; a zero vector and a reason where one is broken."""
        vectors = np.zeros((len(pictures), self.dim), np.float32)
        failures: dict[int, str] = {}
        starts = range(0, len(pictures), self._batch_size)
        with ThreadPoolExecutor(self._threads) as pool:
            parts = (pictures[start : start + self._batch_size] for start in starts)
            for start, opened in zip(starts, _ahead(pool, self._opened, parts), strict=True):
                seen = {start + i: o for i, o in enumerate(opened) if isinstance(o, Tensor)}
                failures |= {start + i: o for i, o in enumerate(opened) if isinstance(o, str)}
                if seen:
                    vectors[list(seen)] = self._see(torch.stack(list(seen.values())))
        return vectors, failures

    def running(self, network: Network, precision: str, fingerprint: str) -> "ClipEncoder":
        """Return the same encoder with its picture side in a compiled network."""
        compiled = Compiled(network.compiled(precision, self._threads), fingerprint)
        return self._with(compiled)

    def under(self, fingerprint: str) -> "ClipEncoder":
        """Return the same model in place of one whose vectors are nearly the same."""
        found = self._with(None)
        found.fingerprint = fingerprint
        return found

    def save(self, folder: Path) -> None:
        """Write the model into a folder that opens again without any network."""
        self.clip.save(folder)

    def save_picture_side(self, folder: Path) -> None:
        """Write the picture side for servers without torch, where that gives the same vectors."""
        write_picture_side(self.clip, folder)

    def _opened(self, pictures: Sequence[bytes]) -> list[Tensor | str]:
        return [self._pixels(picture) for picture in pictures]

    def _pixels(self, picture: bytes) -> Tensor | str:
        try:
            return self.clip.pixels(open_picture(picture, self._least))
        except BrokenPicture as e:
            return str(e)

    def _see(self, pixels: UInt8[Tensor, "n 3 h w"]) -> Float32[np.ndarray, "n p"]:
        if self._compiled is not None:
            parts = torch.split(pixels, PICTURES_PER_STREAM)
            found = self._compiled.runner.run([{"pixels": part.numpy()} for part in parts])
            vectors = fit_vectors(np.concatenate(found), "image embeddings")
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            return np.asarray(vectors / lengths, np.float32)
        with self._lock, torch.inference_mode():
            return _fit(self.clip.encode_pixels(pixels), "image embeddings")

    def _with(self, compiled: Compiled | None) -> "ClipEncoder":
        return ClipEncoder(
            self.clip, batch_size=self._batch_size, threads=self._threads, compiled=compiled
        )

    def _of_torch(self) -> str:
        return fingerprint_in_torch(self.clip.fingerprint(), self.clip.size)


def _ahead(
    pool: ThreadPoolExecutor,
    work: Callable[[Sequence[A]], list[B]],
    parts: Iterable[Sequence[A]],
) -> Iterator[list[B]]:
    """Yield the results of each part, while those of the next are already being made."""
    waiting: Iterator[list[B]] | None = None
    for part in parts:
        turns = range(0, len(part), PICTURES_PER_TURN)
        begun = pool.map(work, [part[at : at + PICTURES_PER_TURN] for at in turns])
        if waiting is not None:
            yield [one for turn in waiting for one in turn]
        waiting = begun
    if waiting is not None:
        yield [one for turn in waiting for one in turn]


def open_image_encoder(
    model: str, pretrained: str = "", *, batch_size: int = 256, threads: int = 2
) -> ClipEncoder:
    """Open a folder, an `hf-hub:` id or an architecture with a pretrained tag, for use."""
    torch.set_num_threads(threads)
    return ClipEncoder(open_clip_model(model, pretrained), batch_size=batch_size, threads=threads)


def _fit(vectors: Tensor, what: str) -> Float32[np.ndarray, "n p"]:
    return fit_vectors(vectors.cpu().numpy(), what)
