"""Pictures and texts into one space: batches in, unit vectors out, bad pictures named."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from index import fit_vectors
from retrieval.clip import Clip, open_clip_model
from retrieval.pictures import BrokenPicture, open_picture


@runtime_checkable
class ImageEncoder(Protocol):
    """Turns pictures and texts into vectors of one space."""

    dim: int
    fingerprint: str

    def encode_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "n p"]:
        """Return one unit vector a text, in order."""
        ...

    def encode_images(
        self, pictures: Sequence[bytes]
    ) -> tuple[Float32[np.ndarray, "n p"], dict[int, str]]:
        """Return one unit vector a picture, and why some have a zero vector instead."""
        ...


class ClipEncoder:
    """An open_clip model in use: it no longer learns."""

    def __init__(self, clip: Clip, *, batch_size: int = 256, threads: int = 2) -> None:
        clip.network.eval()
        self._clip = clip
        self._batch_size = batch_size
        self._threads = threads
        self._lock = Lock()
        self.dim = clip.dim
        self.fingerprint = clip.fingerprint()

    def encode_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "n p"]:
        """Return one unit vector a text; UnfitVectors where the model is broken."""
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for start in range(0, len(texts), self._batch_size):
            batch = list(texts[start : start + self._batch_size])
            with self._lock, torch.inference_mode():
                found = self._clip.read(self._clip.tokens(batch))
            vectors[start : start + len(batch)] = _fit(found, "text embeddings of the image model")
        return vectors

    def encode_images(
        self, pictures: Sequence[bytes]
    ) -> tuple[Float32[np.ndarray, "n p"], dict[int, str]]:
        """Return one unit vector a picture; a zero vector and a reason where one is broken."""
        vectors = np.zeros((len(pictures), self.dim), np.float32)
        failures: dict[int, str] = {}
        with ThreadPoolExecutor(self._threads) as pool:
            for start in range(0, len(pictures), self._batch_size):
                opened = list(pool.map(self._pixels, pictures[start : start + self._batch_size]))
                seen = {start + i: o for i, o in enumerate(opened) if isinstance(o, Tensor)}
                failures |= {start + i: o for i, o in enumerate(opened) if isinstance(o, str)}
                if seen:
                    vectors[list(seen)] = self._see(torch.stack(list(seen.values())))
        return vectors, failures

    def save(self, folder: Path) -> None:
        """Write the model into a folder that opens again without any network."""
        self._clip.save(folder)

    def _pixels(self, picture: bytes) -> Tensor | str:
        try:
            return self._clip.pixels(open_picture(picture))
        except BrokenPicture as e:
            return str(e)

    def _see(self, pixels: UInt8[Tensor, "n 3 h w"]) -> Float32[np.ndarray, "n p"]:
        with self._lock, torch.inference_mode():
            return _fit(self._clip.see(pixels), "image embeddings")


def open_image_encoder(
    model: str, pretrained: str = "", *, batch_size: int = 256, threads: int = 2
) -> ClipEncoder:
    """Open a folder, an `hf-hub:` id or an architecture with a pretrained tag, for use."""
    torch.set_num_threads(threads)
    return ClipEncoder(open_clip_model(model, pretrained), batch_size=batch_size, threads=threads)


def _fit(vectors: Tensor, what: str) -> Float32[np.ndarray, "n p"]:
    return fit_vectors(vectors.cpu().numpy(), what)
