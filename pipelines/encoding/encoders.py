"""Opens the encoders that a configuration names, on the runtimes chosen for this machine."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

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
from pipelines.errors import ConfigError
from retrieval.encoders.networks.runtimes import (
    TORCH,
    RuntimeChoice,
    RuntimeRecord,
    is_native,
)
from retrieval.encoders.query_texts import QueryTextEncoder
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
    from retrieval.encoders.networks.query_network import write_query_network

    model = fingerprint_of(text_model_files(text.model), config)
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


def fingerprint_of(files: TextModelFiles, config: Config) -> Callable[[int], str]:
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
