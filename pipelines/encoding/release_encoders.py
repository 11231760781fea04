"""Saves into a release the encoders of its queries, and opens those of a release again."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from pipelines.config.sections import Config
from pipelines.encoding.encoders import Encoders, fingerprint_of, open_text
from pipelines.errors import ReleaseError, opening
from pipelines.lazy import Lazy
from retrieval.encoders.clip.saved import read_saved
from retrieval.encoders.networks.runtimes import TORCH, read_record
from retrieval.encoders.pictures import fingerprint_in_torch
from retrieval.encoders.query import ImageEncoder, QueryEncoder
from retrieval.encoders.query_texts import QueryTextEncoder
from retrieval.encoders.saved_image import (
    PICTURE_FOLDER,
    SavedImageEncoder,
    save_text_side,
)
from retrieval.encoders.text import TextEncoder, text_model_files
from retrieval.encoders.text_runtime import open_chosen, open_without_model
from retrieval.encoders.weights import EncoderError, NoModelHere

if TYPE_CHECKING:  # it imports torch and open_clip, which takes seconds
    from retrieval.encoders.image import ClipEncoder

IMAGE_FOLDER = "image_encoder"  # in a release, which needs no other copy of the weights
TEXT_FOLDER = "text_encoder"  # in a release, where the text encoder does not run in torch
QUERY_FOLDER = "query_encoder"  # in a release, of the text encoder as queries are read
COMPILED_IMAGE = "image_encoder/compiled"  # the same of its picture side

log = logging.getLogger(__name__)


def save_encoders(encoders: Encoders, release: Path) -> None:
    """Copy into a release what it needs to read queries, but for the text model itself."""
    if encoders.image is not None:
        encoders.image.save(release / IMAGE_FOLDER)
        if save_text_side(release / IMAGE_FOLDER):  # else texts need the whole model anyway
            encoders.image.save_picture_side(release / IMAGE_FOLDER / PICTURE_FOLDER)
    if encoders.queries is not None:
        encoders.queries.save(release / QUERY_FOLDER)
    for folder, choice in (
        (TEXT_FOLDER, encoders.text_choice),
        (COMPILED_IMAGE, encoders.image_choice),
    ):
        if choice is not None and choice.record.runtime != TORCH:
            choice.save(release / folder)


def open_query_encoder(release: Path, fingerprints: dict[str, str], config: Config) -> QueryEncoder:
    """Open the encoders that made a release's vectors; ReleaseError if they are others now."""
    try:
        with opening(f"release {release.name}: an encoder"):
            queries = _queries_of_release(release, config)
            text = _text_of_release(release, config, queries)
            image = _image_of_release(release, fingerprints.get("image", ""), config)
    except EncoderError as e:
        raise ReleaseError(f"{release.name}: {e}") from None
    encoders = {"text": text, "image": image, "queries": queries}
    opened = {name: one.fingerprint for name, one in encoders.items() if one is not None}
    for name in sorted({*fingerprints, *opened}):
        if fingerprints.get(name) != opened.get(name):
            raise ReleaseError(
                f"{release.name}: its vectors were made by the {name} encoder "
                f"{fingerprints.get(name, 'none')}, but the one here is "
                f"{opened.get(name, 'none')}; "
                f"bring back encoders.{name} of the build, or build again"
            )
    return QueryEncoder(text, image, config.encoders.image_weight, queries)


def _queries_of_release(release: Path, config: Config) -> QueryTextEncoder | None:
    if not (release / QUERY_FOLDER).is_dir():
        return None
    try:
        files = text_model_files(config.encoders.text.model)
    except NoModelHere:  # as on a machine that only answers
        return QueryTextEncoder.open(release / QUERY_FOLDER, None)
    return QueryTextEncoder.open(release / QUERY_FOLDER, fingerprint_of(files, config))


def _image_of_release(release: Path, made_by: str, config: Config) -> ImageEncoder | None:
    """Return the image encoder of a release, its picture side opened when it is first used.

    It is opened whole at once where its files do not show that it is the one of `made_by`.
    """
    if not (release / IMAGE_FOLDER).is_dir():
        return None
    open_whole = partial(_whole_image_of_release, release, config)
    try:
        saved = read_saved((release / IMAGE_FOLDER).absolute())
        fingerprint = fingerprint_in_torch(saved.fingerprint, saved.size)
        if (release / COMPILED_IMAGE).is_dir():
            fingerprint = read_record(release / COMPILED_IMAGE, fingerprint).fingerprint
    except EncoderError:  # which opening it whole explains
        return open_whole()
    if saved.text is None or fingerprint != made_by:
        return open_whole()
    size, threads = config.encoders.image.batch_size, config.serve.threads
    return SavedImageEncoder(saved, fingerprint, open_whole, batch_size=size, threads=threads)


def _whole_image_of_release(release: Path, config: Config) -> "ClipEncoder":
    from retrieval.encoders.image import open_image_encoder

    folder, size = str((release / IMAGE_FOLDER).absolute()), config.encoders.image.batch_size
    image = open_image_encoder(folder, batch_size=size, threads=config.threads)
    if not (release / COMPILED_IMAGE).is_dir():
        return image
    from retrieval.encoders.image_runtime import open_chosen_image

    return open_chosen_image(image, release / COMPILED_IMAGE).encoder


class ProductTextEncoder:
    """The text encoder of a release, opened for the first product; queries have one of their own.

    A server without live changes never opens it.
    """

    def __init__(
        self, fingerprint: str, open_whole: Callable[[], TextEncoder | QueryTextEncoder]
    ) -> None:
        self.fingerprint = fingerprint
        self._whole = Lazy(open_whole)

    def encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """Return one unit vector a text, in order."""
        return self._whole.get().encode(texts)

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Return the share of the tokens of a sample of these texts that the model lacks."""
        return self._whole.get().unknown_share(texts)


def _text_of_release(
    release: Path, config: Config, queries: QueryTextEncoder | None
) -> TextEncoder | ProductTextEncoder:
    """Open what reads products' texts, later where queries have an encoder of their own."""
    if queries is None:
        return _whole_text_of_release(release, config)
    open_whole = partial(_text_of_products, release, config, queries)
    fingerprint = queries.record.model
    if (release / TEXT_FOLDER).is_dir():
        fingerprint = read_record(release / TEXT_FOLDER, fingerprint).fingerprint
    return ProductTextEncoder(fingerprint, open_whole)


def _text_of_products(
    release: Path, config: Config, queries: QueryTextEncoder
) -> TextEncoder | QueryTextEncoder:
    """Open the text encoder of a release; that of queries where this machine cannot run it."""
    try:
        return _whole_text_of_release(release, config)
    except (NoModelHere, ModuleNotFoundError) as e:
        log.warning("texts of changed products are encoded as queries are: %s", e)
        return queries


def _whole_text_of_release(release: Path, config: Config) -> TextEncoder:
    """Open the text encoder of a release, from its compiled network alone where that will do."""
    compiled, text = release / TEXT_FOLDER, config.encoders.text
    if not compiled.is_dir():
        return open_text(config)
    files = text_model_files(text.model)
    if chosen := open_without_model(files, compiled, text.max_tokens, config.serve.threads):
        return chosen.encoder
    return open_chosen(open_text(config), compiled, config.serve.threads).encoder
