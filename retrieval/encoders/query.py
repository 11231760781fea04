"""The query encoder: encodes the text and picture of a query into the spaces of the products."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from retrieval.encoders.joined_space import join

MOST_UNKNOWN = 0.5  # of the tokens of a query; more, and its vector says nothing


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


class UnreadablePicture(ValueError):
    """A query picture that cannot be decoded; says why."""


@runtime_checkable
class TextReader(Protocol):
    """As much of a text encoder as a query needs."""

    def encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """Return one unit vector a text, in order."""
        ...

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Return the share of the tokens of these texts that the model lacks."""
        ...


class QueryEncoder:
    """The same two encoders that made the product vectors, and one that reads queries faster."""

    def __init__(
        self,
        text: TextReader,
        image: ImageEncoder | None,
        picture_weight: float,
        queries: TextReader | None = None,
    ) -> None:
        """Read queries by `queries`, whose vectors are nearly those of `text`, where there is one.

        `text` is asked for products alone then.
        """
        self._text = text
        self._queries = queries or text
        self._image = image
        self._picture_weight = picture_weight

    def knows(self, text: str) -> bool:
        """Return whether the model of texts has words for at least half of a query.

        Of a script that it lacks, all texts look alike to it: each is one unknown token.
        """
        return self._image is not None or self._queries.unknown_share([text]) <= MOST_UNKNOWN

    def texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """Return unit vectors in the joined space: text against text, text against picture."""
        vectors = self._queries.encode(texts)
        if self._image is None:
            return vectors
        return join(vectors, self._image.encode_texts(texts), self._picture_weight)

    def texts_for_pictures(self, texts: Sequence[str]) -> Float32[np.ndarray, "n p"]:
        """Return unit vectors in the picture space, which an encoder of pictures has to be for."""
        assert self._image is not None, "no release without pictures has a picture space"
        return self._image.encode_texts(texts)

    def titles(self, texts: Sequence[str]) -> Float32[np.ndarray, "n t"]:
        """Return unit vectors of products' texts alone, as a build makes them."""
        return self._text.encode(texts)

    def joined(
        self, text: Float32[np.ndarray, "t"], picture: Float32[np.ndarray, "p"] | None
    ) -> Float32[np.ndarray, "d"]:
        """Return a product's vector in the joined space from the two of its parts."""
        if self._image is None:
            return text
        seen = np.zeros(self._image.dim, np.float32) if picture is None else picture
        return np.asarray(join(text[None], seen[None], self._picture_weight)[0])

    def warm_up(self) -> None:
        """Open what is opened by the first text or picture else."""
        self.texts(["warm"])
        if self._image is not None:
            self._image.encode_images([])

    def pictures(self, pictures: Sequence[bytes]) -> Float32[np.ndarray, "n p"]:
        """Return unit vectors in the picture space, or UnreadablePicture."""
        if self._image is None:
            raise UnreadablePicture("this release holds no pictures, so none can be searched by")
        vectors, failures = self._image.encode_images(list(pictures))
        if failures:
            raise UnreadablePicture(next(iter(failures.values())))
        return vectors
