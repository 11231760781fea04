"""Opens image-text models: by name, hub id or folder, with weights or new."""

import json
from pathlib import Path
from typing import Any

from retrieval.encoders.clip import registry
from retrieval.encoders.clip.model import Clip
from retrieval.encoders.clip.preprocessing import OUR_SETTINGS
from retrieval.encoders.clip.registry import (
    architecture_names,
    create_network,
    no_warnings,
    pretrained_tags,
    registered,
)
from retrieval.encoders.clip.saved import DESCRIPTION, SETTINGS, TEXT_SIDE, WEIGHTS
from retrieval.encoders.clip.tokenizer import open_tokenizer
from retrieval.encoders.text import PACKAGED, packaged_folder
from retrieval.encoders.weights import EncoderError, hub_folder, named_folder

HUB_PREFIX = "hf-hub:"


def open_clip_model(model: str, pretrained: str = "") -> Clip:
    """Open a trained model: a folder, `hf-hub:…`, or an architecture with a pretrained tag.

    `pretrained` may also be a .safetensors file. Nothing but safetensors is ever read.
    """
    if model.startswith(HUB_PREFIX):
        return _from_folder(hub_folder(model.removeprefix(HUB_PREFIX)))
    if model not in architecture_names() and (folder := named_folder(model)) is not None:
        return _from_folder(folder)
    return _from_architecture(model, pretrained)


def is_trained(model: str, pretrained: str = "") -> bool:
    """Tell whether this names weights, and not an architecture alone."""
    if pretrained or model.startswith(HUB_PREFIX):
        return True
    return model not in architecture_names() and named_folder(model) is not None


def new_clip_model(model: str) -> Clip:
    """Return an architecture with random weights, to be trained."""
    architecture = registry.architecture(model)
    text_model = architecture.get("text_cfg", {}).get("hf_model_name")
    if text_model in PACKAGED:
        return _new_with_text_side(architecture, text_model)
    with no_warnings():
        network = create_network(model, preprocessing=OUR_SETTINGS)
    return Clip(network, open_tokenizer(model), architecture)


def _new_with_text_side(architecture: dict[str, Any], text_model: str) -> Clip:
    """Return a new picture side beside a packaged text side, which keeps its weights."""
    from transformers.utils import logging as transformers_logging

    messages: Any = transformers_logging
    messages.disable_progress_bar()  # one for the tenth of a second in which weights are read
    folder = str(packaged_folder(text_model))
    with registered(_with_text_side(architecture, folder)) as name, no_warnings():
        network = create_network(name, preprocessing=OUR_SETTINGS, pretrained_text=True)
        return Clip(network, open_tokenizer(name), architecture)


def _with_text_side(architecture: dict[str, Any], folder: str) -> dict[str, Any]:
    text = {**architecture["text_cfg"], "hf_model_name": folder, "hf_tokenizer_name": folder}
    return {**architecture, "text_cfg": text}


def _from_folder(folder: Path) -> Clip:
    for name in (DESCRIPTION, WEIGHTS):
        if not (folder / name).is_file():
            raise EncoderError(
                f"{folder} is no image encoder: it has no {name}; `vetrina train clip` writes "
                "such a folder (weights in other formats than safetensors are not read)"
            )
    try:
        description = json.loads((folder / DESCRIPTION).read_text())
        architecture = description["model_cfg"]
    except (ValueError, KeyError, TypeError, OSError) as e:
        raise EncoderError(f"{folder / DESCRIPTION} does not describe a model: {e!r}") from None
    if (folder / TEXT_SIDE).is_dir():
        return _with_foreign_text(folder, architecture, description.get("preprocess_cfg"))
    name = f"local-dir:{folder}"
    return Clip(create_network(name), open_tokenizer(name), architecture)


def _with_foreign_text(folder: Path, architecture: dict[str, Any], preprocessing: Any) -> Clip:
    """Open a folder with a foreign text side, whose settings and vocabulary lie in it."""
    here = str((folder / TEXT_SIDE).absolute())
    with registered(_with_text_side(architecture, here)) as name:
        network = create_network(
            name, pretrained=str(folder / WEIGHTS), preprocessing=preprocessing
        )
        return Clip(network, open_tokenizer(name), architecture)


def _from_architecture(model: str, pretrained: str) -> Clip:
    architecture = registry.architecture(model)
    if not pretrained:
        raise EncoderError(
            f"encoder {model!r} is an architecture without weights; add `pretrained` "
            f"({pretrained_tags(model)} or a .safetensors file), or name a folder from "
            "`vetrina train clip`"
        )
    weights, settings = _pretrained_weights(model, pretrained)
    if settings.get("quick_gelu"):
        architecture["quick_gelu"] = True
    preprocessing = {key: settings[key] for key in SETTINGS if settings.get(key) is not None}
    network = create_network(
        model,
        pretrained=str(weights),
        quick_gelu=bool(settings.get("quick_gelu", False)),
        preprocessing=preprocessing,
    )
    return Clip(network, open_tokenizer(model), architecture)


def _pretrained_weights(model: str, pretrained: str) -> tuple[Path, dict[str, Any]]:
    """Return a safetensors file, and the settings its model was trained with."""
    if pretrained.endswith(".safetensors"):
        if not Path(pretrained).is_file():
            raise EncoderError(f"encoder {model!r}: there is no file {pretrained}")
        return Path(pretrained), {}
    from open_clip import get_pretrained_cfg

    settings: dict[str, Any] = get_pretrained_cfg(model, pretrained)
    if not settings:
        raise EncoderError(
            f"encoder {model!r} has no pretrained tag {pretrained!r}; choose "
            f"{pretrained_tags(model)}, or give a .safetensors file"
        )
    repository = settings.get("hf_hub", "").rpartition("/")[0]
    if not repository:
        raise EncoderError(
            f"encoder {model!r}, tag {pretrained!r}: published only as a pickle, which is not "
            "read; choose another tag or a .safetensors file"
        )
    folder = hub_folder(repository)
    named = Path(settings["hf_hub"]).name
    for name in (Path(named).with_suffix(".safetensors").name if named else WEIGHTS, WEIGHTS):
        if (folder / name).is_file():
            return folder / name, settings
    raise EncoderError(f"{repository} on the hub has no {WEIGHTS}; choose another tag")
