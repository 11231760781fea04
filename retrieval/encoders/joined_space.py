"""The joined space: one vector from a text vector and a picture vector, without training."""

import numpy as np
from jaxtyping import Bool, Float32


def join(
    text: Float32[np.ndarray, "n t"],
    picture: Float32[np.ndarray, "n p"],
    picture_weight: float,
) -> Float32[np.ndarray, "n d"]:
    """Concatenate unit vectors so that the inner product is the weighted mean of two cosines.

    `<join(a, b), join(c, d)> = (1 - w) * <a, c> + w * <b, d>`, so a joined vector of two unit
    parts is a unit vector again. Where a product has no picture, its part of `picture` is zero
    and the text fills the whole vector.
    """
    pictured = has_vector(picture)[:, None]
    text_share = np.where(pictured, np.sqrt(1 - picture_weight), 1.0)
    joined = np.concatenate([text * text_share, picture * np.sqrt(picture_weight)], axis=1)
    return joined.astype(np.float32)


def has_vector(vectors: Float32[np.ndarray, "n d"]) -> Bool[np.ndarray, "n"]:
    """Return which rows hold a vector at all; the others are zero."""
    found: np.ndarray = np.any(vectors != 0, axis=1)
    return found
