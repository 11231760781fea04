"""Opens the encoders that a configuration names, and again those of a release."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

import msgspec

from pipelines.config.sections import Config
from pipelines.errors import ConfigError, ReleaseError
from retrieval.encoders.image import ClipEncoder, open_image_encoder
from retrieval.encoders.image_runtime import (
    choose_image_runtime,
    open_chosen_image,
    still_true_image,
)
from retrieval.encoders.query import QueryEncoder
from retrieval.encoders.runtimes import TORCH, RuntimeChoice, RuntimeRecord, is_native
from retrieval.encoders.text import SentenceEncoder, TextEncoder, open_text_encoder
from retrieval.encoders.text_runtime import choose_runtime, open_chosen, still_true
from retrieval.encoders.weights import EncoderError

IMAGE_FOLDER = "image_encoder"  # in a release, which needs no other copy of the weights
TEXT_FOLDER = "text_encoder"  # in a release, where the text encoder does not run in torch
SEER = "image_encoder/compiled"  # the same of its picture side
CHOICE = "runtime-{}"  # beside the embeddings: what was chosen for a model, by its fingerprint


E = TypeVar("E")
P = TypeVar("P")


class Encoders(NamedTuple):
    """What turns products and queries into vectors."""

    text: TextEncoder
    image: ClipEncoder | None
    text_choice: RuntimeChoice[Any] | None = None  # how it is run; None: in torch, as nobody asked
    image_choice: RuntimeChoice[Any] | None = None

    def fingerprints(self) -> dict[str, str]:
        """Return what ties vectors to the encoders that made them."""
        found = {"text": self.text.fingerprint}
        return found if self.image is None else {**found, "image": self.image.fingerprint}

    def runtimes(self) -> dict[str, Any]:
        """Return what a manifest says about how they are run."""
        found = {"text_runtime": self.text_choice, "image_runtime": self.image_choice}
        return {name: _told(choice.record) for name, choice in found.items() if choice}


def open_encoders(config: Config) -> Encoders:
    """Open both encoders, or raise a ConfigError that says what to do."""
    try:
        return Encoders(open_text(config), open_image(config))
    except EncoderError as e:
        raise ConfigError(str(e)) from None


def with_runtimes(
    encoders: Encoders,
    texts: Sequence[str],
    pictures: Sequence[bytes],
    embeddings: Path,
    config: Config,
) -> Encoders:
    """Return the same encoders on the runtimes that are fastest for what this shop holds.

    What an earlier build chose is kept while its vectors are right: vectors of two runtimes are
    never mixed, so a change of mind would encode the whole shop again.
    """
    text, image, threads = encoders.text, encoders.image, config.threads
    if isinstance(text, SentenceEncoder):
        chosen = _chosen(
            config.encoders.text.runtime,
            embeddings / CHOICE.format(text.fingerprint),
            choose=partial(choose_runtime, text, texts=texts, threads=threads),
            reopen=partial(open_chosen, text, threads=threads),
            is_true=partial(still_true, plain=text, texts=texts),
        )
        encoders = encoders._replace(text=chosen.encoder, text_choice=chosen)
    if image is not None:
        seeing = _chosen(
            config.encoders.image.runtime,
            embeddings / CHOICE.format(image.fingerprint),
            choose=partial(choose_image_runtime, image, pictures=pictures),
            reopen=partial(open_chosen_image, image),
            is_true=partial(still_true_image, plain=image, pictures=pictures),
        )
        encoders = encoders._replace(image=seeing.encoder, image_choice=seeing)
    return encoders


def carried(choice: RuntimeChoice[Any] | None) -> dict[str, bytes]:
    """Return the files that run an encoder as chosen elsewhere, by name; none for torch."""
    if choice is None or choice.network is None:
        return {}
    with TemporaryDirectory() as folder:
        choice.save(Path(folder))
        return {file.name: file.read_bytes() for file in Path(folder).iterdir()}


def as_carried(
    files: dict[str, bytes], plain: P, reopen: Callable[[P, Path], RuntimeChoice[E]]
) -> P | E:
    """Return the encoder run by these files; EncoderError where this machine cannot."""
    if not files:
        return plain
    with TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        chosen = reopen(plain, Path(folder))
    if chosen.network is None or not is_native(chosen.record):
        raise EncoderError(
            f"it was chosen to run in {chosen.record.runtime}, which this machine does not do "
            "alike; use machines of one kind, with openvino on each, or set encoders.text.runtime "
            "and encoders.image.runtime to torch"
        )
    return chosen.encoder


def save_encoders(encoders: Encoders, release: Path) -> None:
    """Copy into a release what it needs to read queries, but for the text model itself."""
    if encoders.image is not None:
        encoders.image.save(release / IMAGE_FOLDER)
    for folder, choice in ((TEXT_FOLDER, encoders.text_choice), (SEER, encoders.image_choice)):
        if choice is not None and choice.record.runtime != TORCH:
            choice.save(release / folder)


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
        plain, compiled = open_text(config), release / TEXT_FOLDER
        text = open_chosen(plain, compiled, config.threads).encoder if compiled.is_dir() else plain
        if not folder.is_dir():
            return Encoders(text, None)
        image = open_image_encoder(str(folder.absolute()), batch_size=size, threads=config.threads)
        if (release / SEER).is_dir():
            image = open_chosen_image(image, release / SEER).encoder
        return Encoders(text, image)
    except EncoderError as e:
        raise ReleaseError(f"{release.name}: {e}") from None


def _chosen(
    wanted: str,
    folder: Path,
    *,
    choose: Callable[[str], RuntimeChoice[E]],
    reopen: Callable[[Path], RuntimeChoice[E]],
    is_true: Callable[[RuntimeChoice[E]], bool],
) -> RuntimeChoice[E]:
    """Return what an earlier build chose, where that is wanted and still right, or a new choice.

    A new one is opened again from its files, as all who come later open it: in memory a network
    may be put together otherwise, and differ in the last bits.
    """
    if wanted != TORCH and folder.is_dir():
        try:
            kept = reopen(folder)
        except EncoderError:
            kept = None
        if kept is not None and _is_wanted(kept, wanted) and is_true(kept):
            return kept
    chosen = choose(wanted)
    if not chosen.record.per_second:  # it was not measured
        return chosen
    chosen.save(folder)
    return reopen(folder)


def _is_wanted(kept: RuntimeChoice[E], wanted: str) -> bool:
    """Tell whether a choice answers this wish; torch that only stands in does not.

    What `openvino` chose may be slower than torch, so `auto` chooses for itself.
    """
    if kept.record.runtime == TORCH or wanted == "auto":
        return wanted == kept.record.wanted and is_native(kept.record)
    return kept.network is not None and is_native(kept.record)


def _told(record: RuntimeRecord) -> dict[str, Any]:
    """Leave out what only the files need."""
    told = msgspec.to_builtins(record)
    names = ("runtime", "cosine_mean", "cosine_least", "per_second", "refused")
    return {name: told[name] for name in names}


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
