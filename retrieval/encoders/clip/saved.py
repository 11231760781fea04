"""Describes a saved image-text model from its files, without torch, which takes seconds to load."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import xxhash

from retrieval.encoders.clip.resizing import Resizing
from retrieval.encoders.weights import EncoderError

WEIGHTS = "open_clip_model.safetensors"
DESCRIPTION = "open_clip_config.json"
TEXT_SIDE = "text"  # where a saved model keeps the settings and vocabulary of a foreign text side
SETTINGS = ("mean", "std", "interpolation", "resize_mode", "fill_color")  # that change vectors
HEADER_LENGTH = 8  # bytes; https://huggingface.co/docs/safetensors#format
LARGEST_HEADER = 100_000_000  # bytes, as safetensors itself has it
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64"}


class TextShape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of a text side of open_clip's own, each given and no other."""

    context_length: int
    vocab_size: int
    width: int
    heads: int
    layers: int


class SavedClip(NamedTuple):
    """What the files of a saved model say of it."""

    folder: Path
    dim: int
    size: int  # the longer side of what the network sees, in pixels
    fingerprint: str  # as `Clip.fingerprint` gives it
    text: TextShape | None  # None: another kind of text side
    resizing: Resizing | None  # None: another way than ours


class _Tensor(msgspec.Struct):
    """One entry of the header of a safetensors file."""

    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def describe(architecture: Mapping[str, Any], preprocessing: Mapping[str, Any]) -> str:
    """Return the text of DESCRIPTION, which a fingerprint begins with."""
    settings = {
        "model_cfg": dict(architecture),
        "preprocess_cfg": {key: preprocessing[key] for key in SETTINGS},
    }
    return json.dumps(settings, indent=2, sort_keys=True)


def read_saved(folder: Path) -> SavedClip:
    """Return what a folder of `Clip.save` holds; EncoderError where it is none."""
    try:
        settings = json.loads((folder / DESCRIPTION).read_text())
        architecture = settings["model_cfg"]
        digest = xxhash.xxh3_128(describe(architecture, settings["preprocess_cfg"]).encode())
        _add_weights(digest, folder / WEIGHTS)
        sides = architecture["vision_cfg"]["image_size"]
        size = max(sides) if isinstance(sides, list) else int(sides)
        dim, shape = int(architecture["embed_dim"]), _text_shape(architecture)
        resizing = _resizing(sides, settings["preprocess_cfg"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as e:
        raise EncoderError(f"{folder} does not describe an image encoder: {e!r}"[:300]) from None
    return SavedClip(folder, dim, size, digest.hexdigest(), shape, resizing)


def _text_shape(architecture: Mapping[str, Any]) -> TextShape | None:
    if set(architecture) != {"embed_dim", "vision_cfg", "text_cfg"}:
        return None
    try:
        return msgspec.convert(architecture["text_cfg"], TextShape)
    except msgspec.ValidationError:
        return None


def _resizing(size: int | list[int], settings: Mapping[str, Any]) -> Resizing | None:
    try:
        return Resizing.of(size, settings)
    except msgspec.ValidationError:
        return None


def _add_weights(digest: xxhash.xxh3_128, path: Path) -> None:
    """Add every tensor by name, as `Clip.fingerprint` does."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(HEADER_LENGTH), "little")
        if length > LARGEST_HEADER:
            raise ValueError(f"{path.name} has a header of {length:,} bytes")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    data = np.memmap(path, np.uint8, "r", offset=HEADER_LENGTH + length)
    for name, entry in sorted(msgspec.convert(header, dict[str, _Tensor]).items()):
        kind = f"torch.{DTYPES[entry.dtype]}"
        digest.update(f"\0{name}\0{kind}\0{entry.shape}\0".encode())
        start, end = entry.data_offsets
        digest.update(data[start:end].data)
