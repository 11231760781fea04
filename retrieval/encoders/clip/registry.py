"""The architectures that open_clip knows: by name, from our own files, or from a saved model."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from retrieval.encoders.weights import UNFIT, EncoderError, first_line

OUR_MODELS = Path(__file__).parent / "architectures"  # as open_clip's JSON
REGISTERED = "vetrina-opened"  # what open_clip calls an architecture that only a folder describes


def architecture_names() -> list[str]:
    """Return the names that open_clip knows, ours among them."""
    import open_clip

    if not all(path.stem in open_clip.list_models() for path in OUR_MODELS.glob("*.json")):
        open_clip.add_model_config(OUR_MODELS)
    return list(open_clip.list_models())


def architecture(model: str) -> dict[str, Any]:
    """Return the settings of an architecture, or EncoderError where open_clip has none."""
    from open_clip import get_model_config

    names = architecture_names()
    if model not in names:
        ours = ", ".join(sorted(path.stem for path in OUR_MODELS.glob("*.json")))
        raise EncoderError(
            f"image encoder {model!r} is neither a folder nor an architecture of open_clip; "
            f"choose {ours}, one of open_clip.list_models() ({len(names)} names), or an hf-hub: id"
        )
    return dict(get_model_config(model))


def pretrained_tags(model: str) -> str:
    """Return the tags of an architecture's published weights, as a message lists them."""
    from open_clip import list_pretrained_tags_by_model

    return ", ".join(list_pretrained_tags_by_model(model)) or "none are published"


@contextmanager
def registered(architecture: dict[str, Any]) -> Iterator[str]:
    """Register an architecture with open_clip, which takes files only; yield its name there."""
    import open_clip

    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{REGISTERED}.json"
        path.write_text(json.dumps(architecture))
        open_clip.add_model_config(path)
        yield REGISTERED


def create_network(
    name: str,
    *,
    pretrained: str | None = None,
    quick_gelu: bool = False,
    preprocessing: Any = None,
    pretrained_text: bool = False,
) -> nn.Module:
    """Return a network of open_clip in evaluation mode, on a GPU if there is one; EncoderError."""
    import open_clip

    try:
        network: nn.Module = open_clip.create_model(
            name,
            pretrained=pretrained,
            force_quick_gelu=quick_gelu,
            force_preprocess_cfg=preprocessing,
            pretrained_text=pretrained_text,
            device="cuda" if torch.cuda.is_available() else "cpu",
        )
    except UNFIT as e:
        raise EncoderError(f"{name} cannot be opened as an image encoder: {first_line(e)}") from e
    return network.to(memory_format=torch.channels_last).eval()


@contextmanager
def no_warnings() -> Iterator[None]:
    """Silence warnings, such as open_clip's that a new model is new."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
