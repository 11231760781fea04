"""Opens the encoders that a configuration names, and again those of a release."""

from pathlib import Path
from typing import NamedTuple

from pipelines.config import Config, ConfigError
from pipelines.errors import ReleaseError
from retrieval.image_encoder import ClipEncoder, open_image_encoder
from retrieval.query_encoder import QueryEncoder
from retrieval.text_encoder import SentenceEncoder, open_text_encoder
from retrieval.weights import EncoderError

IMAGE_FOLDER = "image_encoder"  # in a release, which needs no other copy of the weights


class Encoders(NamedTuple):
    """What turns products and queries into vectors."""

    text: SentenceEncoder
    image: ClipEncoder | None

    def fingerprints(self) -> dict[str, str]:
        """Return what ties vectors to the encoders that made them."""
        found = {"text": self.text.fingerprint}
        return found if self.image is None else {**found, "image": self.image.fingerprint}


def open_encoders(config: Config) -> Encoders:
    """Open both encoders, or raise a ConfigError that says what to do."""
    try:
        return Encoders(open_text(config), open_image(config))
    except EncoderError as e:
        raise ConfigError(str(e)) from None


def save_image_encoder(encoders: Encoders, release: Path) -> None:
    """Copy the image encoder, if there is one, into a release."""
    if encoders.image is not None:
        encoders.image.save(release / IMAGE_FOLDER)


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
        return Encoders(
            open_text(config),
            open_image_encoder(str(folder.absolute()), batch_size=size, threads=config.threads)
            if folder.is_dir()
            else None,
        )
    except EncoderError as e:
        raise ReleaseError(f"{release.name}: {e}") from None


def open_text(config: Config) -> SentenceEncoder:
    """Open the text encoder alone, or raise an EncoderError."""
    text = config.encoders.text
    return open_text_encoder(
        text.model,
        batch_size=text.batch_size,
        max_tokens=text.max_tokens,
        threads=config.threads,
    )


def open_image(config: Config) -> ClipEncoder | None:
    """Open the image encoder alone, if the configuration names one; or raise an EncoderError."""
    image = config.encoders.image
    if not image.model:
        return None
    return open_image_encoder(
        image.model, image.pretrained, batch_size=image.batch_size, threads=config.threads
    )
