"""Opens the encoders that a configuration names, and again those of a release."""

import logging
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec
import numpy as np
from jaxtyping import Float32

from pipelines.config.sections import Config
from pipelines.durable.files import replaced_folder
from pipelines.encoding.runtime_choices import (
    answers_as_chosen,
    checked_once,
    choose_once,
    entry_folder,
    is_wanted,
    locked_entry,
    mark_checked,
    mark_used,
    prune,
    query_entry,
    save_probes,
)
from pipelines.errors import ConfigError, ReleaseError
from retrieval.encoders.clip.saved import read_saved
from retrieval.encoders.pictures import fingerprint_in_torch
from retrieval.encoders.query import ImageEncoder, QueryEncoder
from retrieval.encoders.query_texts import QueryTextEncoder
from retrieval.encoders.runtimes import (
    TORCH,
    RuntimeChoice,
    RuntimeRecord,
    is_native,
    read_record,
)
from retrieval.encoders.saved_image import SavedImageEncoder, save_text_side
from retrieval.encoders.text import (
    SentenceEncoder,
    TextEncoder,
    TextModelFiles,
    open_text_encoder,
    text_model_files,
)
from retrieval.encoders.text_runtime import (
    CompiledEncoder,
    choose_runtime,
    open_chosen,
    open_without_model,
    sampled,
    still_true,
)
from retrieval.encoders.weights import EncoderError

if TYPE_CHECKING:  # it imports torch and open_clip, which takes seconds
    from retrieval.encoders.image import ClipEncoder

IMAGE_FOLDER = "image_encoder"  # in a release, which needs no other copy of the weights
TEXT_FOLDER = "text_encoder"  # in a release, where the text encoder does not run in torch
QUERY_FOLDER = "query_encoder"  # in a release, of the text encoder as queries are read
COMPILED_IMAGE = "image_encoder/compiled"  # the same of its picture side


E = TypeVar("E")
P = TypeVar("P")
log = logging.getLogger(__name__)


class Encoders(NamedTuple):
    """What turns products and queries into vectors."""

    text: TextEncoder
    image: "ClipEncoder | None"
    text_choice: RuntimeChoice[Any] | None = None  # how it is run; None: in torch, as nobody asked
    image_choice: RuntimeChoice[Any] | None = None
    queries: QueryTextEncoder | None = None  # None: the text encoder reads queries, too

    def fingerprints(self) -> dict[str, str]:
        """Return what ties vectors to the encoders that made them."""
        encoders = {"text": self.text, "image": self.image, "queries": self.queries}
        return {name: one.fingerprint for name, one in encoders.items() if one is not None}

    def runtimes(self) -> dict[str, Any]:
        """Return what a manifest says about how they are run."""
        choices = {"text_runtime": self.text_choice, "image_runtime": self.image_choice}
        return {name: _described(choice.record) for name, choice in choices.items() if choice}


def open_encoders(config: Config) -> Encoders:
    """Open both encoders in torch, or raise a ConfigError that says what to do."""
    try:
        return Encoders(open_text(config), open_image(config))
    except EncoderError as e:
        raise ConfigError(str(e)) from None


def open_remembered(config: Config) -> Encoders:
    """Open both encoders, the text encoder as this machine chose to run it; else as above.

    Where it was chosen before, neither torch nor the model is opened for it.
    """
    try:
        chosen = _remembered_text(config)
        if chosen is None:
            return open_encoders(config)
        return Encoders(chosen.encoder, open_image(config), chosen)
    except EncoderError as e:
        raise ConfigError(str(e)) from None


def with_runtimes(
    encoders: Encoders,
    texts: Sequence[str],
    pictures: Sequence[bytes],
    config: Config,
) -> Encoders:
    """Return the same encoders on the runtimes that are fastest on this machine.

    What was chosen for a model is kept while its vectors are right: vectors of two runtimes are
    never mixed, so a change of mind would encode the whole shop again.
    """
    if not _is_remembered(encoders.text_choice, texts, config):
        encoders = _with_text_runtime(encoders, texts, config)
    encoders = encoders._replace(queries=_query_encoder(encoders, config))
    return encoders if encoders.image is None else _with_image_runtime(encoders, pictures, config)


def _with_image_runtime(encoders: Encoders, pictures: Sequence[bytes], config: Config) -> Encoders:
    from retrieval.encoders.image_runtime import (
        choose_image_runtime,
        open_chosen_image,
        still_true_image,
    )

    image = encoders.image
    assert image is not None, "it is only asked where there is an image encoder"
    chosen = choose_once(
        config.encoders.image.runtime,
        entry_folder("image", image.fingerprint, config.encoders.image.runtime),
        choose=partial(choose_image_runtime, image, pictures=pictures),
        reopen=partial(open_chosen_image, image),
        is_true=lambda chosen, _: still_true_image(chosen, image, pictures),
    )
    prune()
    return encoders._replace(image=chosen.encoder, image_choice=chosen)


def _with_text_runtime(encoders: Encoders, texts: Sequence[str], config: Config) -> Encoders:
    plain = encoders.text if encoders.text_choice is None else open_text(config)
    if not isinstance(plain, SentenceEncoder):
        return encoders
    chosen = choose_once(
        config.encoders.text.runtime,
        _text_entry(text_model_files(config.encoders.text.model), config),
        choose=partial(choose_runtime, plain, texts=texts, threads=config.threads),
        reopen=partial(open_chosen, plain, threads=config.threads),
        is_true=lambda chosen, entry: _is_true(chosen, entry, lambda: plain, texts),
        probe=lambda encoder, entry: _probe(encoder, entry, texts),
    )
    prune()
    return encoders._replace(text=chosen.encoder, text_choice=chosen)


def _query_encoder(encoders: Encoders, config: Config) -> QueryTextEncoder | None:
    """Return what reads queries faster, made once on a machine; None where torch is asked for."""
    text = config.encoders.text
    if text.runtime == TORCH or not isinstance(encoders.text, SentenceEncoder | CompiledEncoder):
        return None
    from retrieval.encoders.query_network import write_query_network

    model = _fingerprint_of(text_model_files(text.model), config)
    with locked_entry(query_entry(model(text.max_tokens))) as entry:
        try:
            return QueryTextEncoder.open(entry, model)
        except EncoderError:  # none yet, or damaged
            pass
        try:
            with replaced_folder(entry) as draft:
                write_query_network(open_text(config), draft)
        except EncoderError as e:
            log.warning("queries are read as products are: %s", e)
            return None
        return QueryTextEncoder.open(entry, model)


def _fingerprint_of(files: TextModelFiles, config: Config) -> Callable[[int], str]:
    """Return what gives the fingerprint of a text model that reads up to so many tokens."""
    return lambda longest: files.fingerprint(min(longest, config.encoders.text.max_tokens))


def _is_remembered(chosen: RuntimeChoice[Any] | None, texts: Sequence[str], config: Config) -> bool:
    """Tell whether a text encoder was opened as remembered, and is right for these texts."""
    if chosen is None:
        return False
    entry = _text_entry(text_model_files(config.encoders.text.model), config)
    return _is_true(chosen, entry, lambda: open_text(config), texts)


def _is_true(
    chosen: RuntimeChoice[Any],
    entry: Path,
    plain: Callable[[], SentenceEncoder],
    texts: Sequence[str],
) -> bool:
    """Tell whether a text encoder gives the vectors of torch, as far as that may have changed.

    What is in 8 bits was calibrated on the texts of one shop, so those of another are compared
    with torch, once.
    """
    if not answers_as_chosen(chosen.encoder, entry):
        return False
    if not chosen.record.quantised_by:
        return True
    sample, _ = sampled(texts)
    return checked_once(entry, sample, lambda: still_true(chosen, plain(), texts))


def _probe(encoder: Any, entry: Path, texts: Sequence[str]) -> None:
    """Write beside a new choice what it is checked by from now on."""
    save_probes(encoder, entry)
    sample, _ = sampled(texts)
    mark_checked(entry, sample)


def _remembered_text(config: Config) -> RuntimeChoice[CompiledEncoder] | None:
    """Return the text encoder as it was chosen on this machine; None where it has to be chosen."""
    text = config.encoders.text
    if text.runtime == TORCH:
        return None
    files = text_model_files(text.model)
    with locked_entry(_text_entry(files, config)) as entry:
        try:
            chosen = open_without_model(files, entry, text.max_tokens, config.threads)
        except EncoderError:  # damaged, or foreign: it is made again
            return None
        if chosen is None or not is_wanted(chosen, text.runtime):
            return None
        if not answers_as_chosen(chosen.encoder, entry):
            return None
        mark_used(entry)
        return chosen


def _text_entry(files: TextModelFiles, config: Config) -> Path:
    """Return where the choice for a text model is remembered."""
    text = config.encoders.text
    return entry_folder("text", files.fingerprint(text.max_tokens), text.runtime)


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
        save_text_side(release / IMAGE_FOLDER)
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
    files = text_model_files(config.encoders.text.model)
    return QueryTextEncoder.open(release / QUERY_FOLDER, _fingerprint_of(files, config))


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

    def __init__(self, fingerprint: str, open_whole: Callable[[], TextEncoder]) -> None:
        self.fingerprint = fingerprint
        self._open_whole = open_whole
        self._lock = Lock()

    def encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """Return one unit vector a text, in order."""
        with self._lock:
            whole = self._whole
        return whole.encode(texts)

    @cached_property
    def _whole(self) -> TextEncoder:
        return self._open_whole()


def _text_of_release(
    release: Path, config: Config, queries: QueryTextEncoder | None
) -> TextEncoder | ProductTextEncoder:
    """Open what reads products' texts, later where queries have an encoder of their own."""
    open_whole = partial(_whole_text_of_release, release, config)
    if queries is None:
        return open_whole()
    fingerprint = queries.record.model
    if (release / TEXT_FOLDER).is_dir():
        fingerprint = read_record(release / TEXT_FOLDER, fingerprint).fingerprint
    return ProductTextEncoder(fingerprint, open_whole)


def _whole_text_of_release(release: Path, config: Config) -> TextEncoder:
    """Open the text encoder of a release, from its compiled network alone where that will do."""
    compiled, text = release / TEXT_FOLDER, config.encoders.text
    if not compiled.is_dir():
        return open_text(config)
    files = text_model_files(text.model)
    if chosen := open_without_model(files, compiled, text.max_tokens, config.serve.threads):
        return chosen.encoder
    return open_chosen(open_text(config), compiled, config.serve.threads).encoder


def _described(record: RuntimeRecord) -> dict[str, Any]:
    """Leave out what only the files need."""
    described = msgspec.to_builtins(record)
    names = ("runtime", "cosine_mean", "cosine_least", "per_second", "refused")
    return {name: described[name] for name in names}


def open_text(config: Config) -> SentenceEncoder:
    """Open the text encoder alone, or raise an EncoderError."""
    text = config.encoders.text
    return open_text_encoder(
        text.model,
        batch_size=text.batch_size,
        max_tokens=text.max_tokens,
        threads=config.threads,
    )


def open_image(config: Config) -> "ClipEncoder | None":
    """Open the image encoder alone, if the configuration names one; or raise an EncoderError."""
    image = config.encoders.image
    if not image.model:
        return None
    from retrieval.encoders.image import open_image_encoder

    return open_image_encoder(
        image.model, image.pretrained, batch_size=image.batch_size, threads=config.threads
    )
