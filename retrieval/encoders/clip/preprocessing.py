"""Preprocessing: brings a picture to the size and the scale of numbers that a network reads."""

from collections.abc import Mapping
from typing import Any

import msgspec
import torch
from jaxtyping import Float32, UInt8
from PIL import Image
from torch import Tensor, nn

from retrieval.encoders.clip.resizing import Resizing
from retrieval.encoders.clip.saved import SETTINGS
from retrieval.encoders.weights import EncoderError

OUR_SETTINGS = {  # of models that are trained here: they see a picture whole, over white
    "mean": (0.5, 0.5, 0.5),
    "std": (0.25, 0.25, 0.25),
    "interpolation": "bilinear",
    "resize_mode": "longest",
    "fill_color": 255,
}


class Preprocessing:
    """Resizes and crops pictures as open_clip does for one network, and normalises pixels."""

    def __init__(self, network: nn.Module) -> None:
        self._settings = _settings_of(network)
        self.resizing = _resizing(self._settings)
        self.mean = torch.tensor(self._settings["mean"])[:, None, None]
        self.std = torch.tensor(self._settings["std"])[:, None, None]

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that change vectors, as a model's file holds them."""
        return {key: self._settings[key] for key in SETTINGS}

    @property
    def size(self) -> int:
        """The longer side of what the network sees, in pixels."""
        return max(self.resizing.target)

    def pixels(self, picture: Image.Image) -> UInt8[Tensor, "3 h w"]:
        """Return the picture in the size that the network sees."""
        return torch.from_numpy(self.resizing.pixels(picture))

    def normalised(
        self, pixels: UInt8[Tensor, "n 3 h w"] | Float32[Tensor, "n 3 h w"], device: torch.device
    ) -> Float32[Tensor, "n 3 h w"]:
        """Return pixels from 0 to 255 with the network's mean and deviation, on its device."""
        scaled = (pixels.to(device).float() / 255 - self.mean.to(device)) / self.std.to(device)
        return scaled.to(memory_format=torch.channels_last)


def _settings_of(network: Any) -> dict[str, Any]:
    return dict(network.visual.preprocess_cfg)


def _resizing(settings: Mapping[str, Any]) -> Resizing:
    try:
        return Resizing.of(settings["size"], settings)
    except msgspec.ValidationError as e:
        raise EncoderError(
            f"this model's pictures are resized in a way that is not known: {e}"
        ) from None
