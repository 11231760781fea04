"""Encodes pictures by the picture side of an image-text model on ONNX Runtime, without torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from index import fit_vectors
from retrieval.encoders.clip.resizing import Resizing
from retrieval.encoders.networks.onnx_network import OnnxNetwork
from retrieval.encoders.pictures import BrokenPicture, least_side, open_picture

NETWORK = "picture_side.onnx"
BATCH = 16  # pictures at once: a search has one


class PictureReader:
    """The picture side of a saved model; called from any thread."""

    def __init__(self, network: OnnxNetwork, resizing: Resizing, dim: int) -> None:
        self._network = network
        self._resizing = resizing
        self._dim = dim
        self._least = least_side(max(resizing.target))

    @classmethod
    def open(cls, folder: Path, resizing: Resizing, dim: int) -> "PictureReader":
        """Open what `write_picture_side` wrote; EncoderError where it is no network."""
        return cls(OnnxNetwork.open(folder / NETWORK), resizing, dim)

    def encode(
        self, pictures: Sequence[bytes]
    ) -> tuple[Float32[np.ndarray, "n p"], dict[int, str]]:
        """Return one unit vector a picture; a zero vector and a reason where one is broken."""
        vectors = np.zeros((len(pictures), self._dim), np.float32)
        failures: dict[int, str] = {}
        for start in range(0, len(pictures), BATCH):
            seen: dict[int, UInt8[np.ndarray, "3 h w"]] = {}
            for place, picture in enumerate(pictures[start : start + BATCH], start):
                try:
                    seen[place] = self._resizing.pixels(open_picture(picture, self._least))
                except BrokenPicture as e:
                    failures[place] = str(e)
            if seen:
                found = self._network.run({"pixels": np.stack(list(seen.values()))})
                vectors[list(seen)] = fit_vectors(found, "image embeddings")
        return vectors, failures
