"""The image encoder of a release, opened only as far as a query needs it, without torch first."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from index import fit_vectors
from retrieval.encoders.clip.picture_reader import PictureReader
from retrieval.encoders.clip.saved import SavedClip, read_saved
from retrieval.encoders.weights import EncoderError

if TYPE_CHECKING:  # they import torch
    from retrieval.encoders.clip.text_reader import TextReader
    from retrieval.encoders.clip.text_side import TextSide
    from retrieval.encoders.query import ImageEncoder

TEXT_FOLDER = "text_side"  # in the folder of a saved model, for servers without torch
PICTURE_FOLDER = "picture_side"  # likewise


def save_text_side(model: Path) -> bool:
    """Write the text side of a saved model into its folder; False where it is a foreign one."""
    from retrieval.encoders.clip.text_side import write_text_side

    try:
        saved = read_saved(model)
    except EncoderError:  # which opening it explains
        return False
    if saved.text is None:
        return False
    write_text_side(saved, model / TEXT_FOLDER)
    return True


class SavedImageEncoder:
    """Encodes texts by the text side alone, and pictures by the picture side alone.

    The vectors are those of the whole model, whose import of open_clip takes seconds and 400 MB;
    it is opened for the first picture where no picture side was written.
    """

    def __init__(
        self,
        saved: SavedClip,
        fingerprint: str,
        open_whole: Callable[[], "ImageEncoder"],
        *,
        batch_size: int,
        threads: int,
    ) -> None:
        self.dim = saved.dim
        self.fingerprint = fingerprint
        self._saved = saved
        self._open_whole = open_whole
        self._batch_size = batch_size
        self._threads = threads
        self._lock = RLock()  # while a side is opened, and while one is in use

    def encode_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "n p"]:
        """Return one unit vector a text, in order; UnfitVectors where the model is broken."""
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for start in range(0, len(texts), self._batch_size):
            batch = list(texts[start : start + self._batch_size])
            with self._lock:
                side = self._text_side
            encoded = side.encode(batch)
            vectors[start : start + len(batch)] = fit_vectors(
                encoded, "text embeddings of the image model"
            )
        return vectors

    def encode_images(
        self, pictures: Sequence[bytes]
    ) -> tuple[Float32[np.ndarray, "n p"], dict[int, str]]:
        """Return one unit vector a picture, and why some have a zero vector instead."""
        with self._lock:
            side = self._picture_side
        return side.encode(pictures) if side else self._whole_model().encode_images(pictures)

    @cached_property
    def _text_side(self) -> "TextReader | TextSide":
        if (folder := self._saved.folder / TEXT_FOLDER).is_dir() and self._saved.text is not None:
            from retrieval.encoders.clip.text_reader import TextReader

            return TextReader.open(folder, self._saved.text.context_length)
        from retrieval.encoders.clip.text_side import open_text_side

        return open_text_side(self._saved, self._threads)

    @cached_property
    def _picture_side(self) -> PictureReader | None:
        folder, resizing = self._saved.folder / PICTURE_FOLDER, self._saved.resizing
        if resizing is None or not folder.is_dir():
            return None
        return PictureReader.open(folder, resizing, self.dim)

    def _whole_model(self) -> "ImageEncoder":
        with self._lock:
            return self._whole

    @cached_property
    def _whole(self) -> "ImageEncoder":
        return self._open_whole()
