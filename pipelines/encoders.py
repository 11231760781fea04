"""Opens the encoders that a configuration names, and again those of a release."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pipelines.config import Config, ConfigError
from pipelines.errors import ReleaseError
from retrieval.image_encoder import ClipEncoder, open_image_encoder
from retrieval.query_encoder import QueryEncoder
from retrieval.text_encoder import SentenceEncoder, TextEncoder, open_text_encoder
from retrieval.text_runtime import (
    TORCH,
    Chosen,
    Record,
    choose_runtime,
    open_chosen,
    still_true,
)
from retrieval.weights import EncoderError

IMAGE_FOLDER = "image_encoder"  # in a release, which needs no other copy of the weights
TEXT_FOLDER = "text_encoder"  # in a release, where the text encoder does not run in torch
CHOICE = "runtime-{}"  # beside the embeddings: what was chosen for a model, by its fingerprint


class Encoders(NamedTuple):
    """What turns products and queries into vectors."""

    text: TextEncoder
    image: ClipEncoder | None
    chosen: Chosen | None = None  # how the text encoder is run; None: nobody asked yet

    def fingerprints(self) -> dict[str, str]:
        """Return what ties vectors to the encoders that made them."""
        found = {"text": self.text.fingerprint}
        return found if self.image is None else {**found, "image": self.image.fingerprint}

    def runtimes(self) -> dict[str, Any]:
        """Return what a manifest says about how they are run."""
        return {} if self.chosen is None else {"text_runtime": _told(self.chosen.record)}


def open_encoders(config: Config) -> Encoders:
    """Open both encoders, or raise a ConfigError that says what to do."""
    image = config.encoders.image
    try:
        return Encoders(
            _open_text(config),
            open_image_encoder(
                image.model, image.pretrained, batch_size=image.batch_size, threads=config.threads
            )
            if image.model
            else None,
        )
    except EncoderError as e:
        raise ConfigError(str(e)) from None


def with_runtimes(
    encoders: Encoders, texts: Sequence[str], embeddings: Path, config: Config
) -> Encoders:
    """Return the same encoders on the runtimes that are fastest for these texts.

    What an earlier build chose is kept while its vectors are right: vectors of two runtimes are
    never mixed, so a change of mind would encode the whole shop again.
    """
    plain, wanted = encoders.text, config.encoders.text.runtime
    if not isinstance(plain, SentenceEncoder):
        return encoders
    folder = embeddings / CHOICE.format(plain.fingerprint)
    chosen = _kept(plain, wanted, texts, folder, config.threads)
    if chosen is None:
        chosen = choose_runtime(plain, wanted, texts, config.threads)
        if chosen.record.texts_per_second:  # it was measured
            chosen.save(folder)
    return encoders._replace(text=chosen.encoder, chosen=chosen)


def save_encoders(encoders: Encoders, release: Path) -> None:
    """Copy into a release what it needs to read queries, but for the text model itself."""
    if encoders.image is not None:
        encoders.image.save(release / IMAGE_FOLDER)
    if encoders.chosen is not None and encoders.chosen.record.runtime != TORCH:
        encoders.chosen.save(release / TEXT_FOLDER)


def open_query_encoder(release: Path, fingerprints: dict[str, str], config: Config) -> QueryEncoder:
    """Open the encoders that made a release's vectors; ReleaseError if they are others now."""
    encoders = _of_release(release, config)
    found = encoders.fingerprints()
    for name in sorted({*fingerprints, *found}):
        if fingerprints.get(name) != found.get(name):
            raise ReleaseError(
                f"{release.name}: its vectors were made by the {name} encoder "
                f"{fingerprints.get(name, 'none')}, but the one here is {found.get(name, 'none')}; "
                f"bring back encoders.{name} of the build, or build again"
            )
    return QueryEncoder(encoders.text, encoders.image, config.encoders.image_weight)


def _of_release(release: Path, config: Config) -> Encoders:
    folder = release / IMAGE_FOLDER
    size = config.encoders.image.batch_size
    try:
        plain, compiled = _open_text(config), release / TEXT_FOLDER
        return Encoders(
            open_chosen(plain, compiled, config.threads).encoder if compiled.is_dir() else plain,
            open_image_encoder(str(folder.absolute()), batch_size=size, threads=config.threads)
            if folder.is_dir()
            else None,
        )
    except EncoderError as e:
        raise ReleaseError(f"{release.name}: {e}") from None


def _kept(
    plain: SentenceEncoder, wanted: str, texts: Sequence[str], folder: Path, threads: int
) -> Chosen | None:
    """Return what an earlier build chose, where that is wanted and still right."""
    if wanted == TORCH or not folder.is_dir():
        return None
    try:
        chosen = open_chosen(plain, folder, threads)
    except EncoderError:
        return None
    if chosen.record.runtime == TORCH:
        return chosen if wanted == "auto" else None
    stands_in = isinstance(chosen.encoder, SentenceEncoder)
    return None if stands_in or not still_true(chosen, plain, texts) else chosen


def _told(record: Record) -> dict[str, Any]:
    """Leave out what only the files need."""
    told = msgspec.to_builtins(record)
    names = ("runtime", "cosine_mean", "cosine_least", "texts_per_second", "refused")
    return {name: told[name] for name in names}


def _open_text(config: Config) -> SentenceEncoder:
    text = config.encoders.text
    return open_text_encoder(
        text.model,
        batch_size=text.batch_size,
        max_tokens=text.max_tokens,
        threads=config.threads,
    )
