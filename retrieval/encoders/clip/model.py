"""An image-text model: a network of two towers that encodes pixels and tokens into one space."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import xxhash
from jaxtyping import Float32, Int64, UInt8
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from retrieval.encoders.clip.preprocessing import Preprocessing
from retrieval.encoders.clip.resizing import Resizing
from retrieval.encoders.clip.saved import DESCRIPTION, TEXT_SIDE, WEIGHTS, describe
from retrieval.encoders.clip.tokenizer import Tokenizer


class Clip:
    """A network of two towers, its tokenizer and its preprocessing of pictures."""

    def __init__(
        self, network: nn.Module, tokenizer: Tokenizer, architecture: Mapping[str, Any]
    ) -> None:
        self.network = network
        self.dim = int(architecture["embed_dim"])
        self._architecture = dict(architecture)
        self._tokenizer = tokenizer
        self._preprocessing = Preprocessing(network)
        self._towers: Any = network
        self._locked: tuple[nn.Module, ...] = ()

    @property
    def size(self) -> int:
        """Return the longer side of what the network sees, in pixels."""
        return self._preprocessing.size

    @property
    def resizing(self) -> Resizing:
        """Return how pictures are brought to the size that the network sees."""
        return self._preprocessing.resizing

    @property
    def device(self) -> torch.device:
        """Return where the network is."""
        return next(self.network.parameters()).device

    def vision_tower(self) -> nn.Module:
        """Return the picture side as a module of its own: numbers to 255 in, unit vectors out."""
        return _VisionTower(self._towers, self._preprocessing.mean, self._preprocessing.std)

    def pixels(self, picture: Image.Image) -> UInt8[Tensor, "3 h w"]:
        """Return the picture in the size that the network sees."""
        return self._preprocessing.pixels(picture)

    def tokens(self, texts: Sequence[str]) -> Int64[Tensor, "n t"]:
        """Return token numbers, padded to the length that the network reads."""
        return self._tokenizer.tokens(texts)

    def encode_pixels(
        self, pixels: UInt8[Tensor, "n 3 h w"] | Float32[Tensor, "n 3 h w"]
    ) -> Float32[Tensor, "n d"]:
        """Return one unit vector a picture; its numbers are from 0 to 255."""
        normalised = self._preprocessing.normalised(pixels, self.device)
        return F.normalize(self._towers.encode_image(normalised).float(), dim=-1)

    def encode_tokens(self, tokens: Int64[Tensor, "n t"]) -> Float32[Tensor, "n d"]:
        """Return one unit vector a text."""
        vectors: Tensor = self._towers.encode_text(tokens.to(self.device), normalize=True)
        return vectors.float()

    @property
    def log_scale(self) -> nn.Parameter:
        """Return the logarithm of the inverse temperature, which is learnt with the towers."""
        scale: nn.Parameter = self._towers.logit_scale
        return scale

    @property
    def padding(self) -> int:
        """Return the token that fills a text up."""
        return self._tokenizer.padding

    def lock(self, *, text: bool = False, image: bool = False) -> None:
        """Freeze a side, except for the projection of a foreign tower.

        A Hugging Face text side and a timm picture side keep their projection into the joint
        space free, as in locked-image tuning (Zhai et al. 2022, LiT); any other side is frozen
        whole.
        """
        sides = [
            *([_text_side(self._towers)] if text else []),
            *([_image_side(self._towers)] if image else []),
        ]
        self._locked = tuple(module for side in sides for module in side)
        for module in self._locked:
            module.requires_grad_(False)
        if text and "hf_model_name" not in self._architecture.get("text_cfg", {}):
            for name in ("positional_embedding", "text_projection"):
                if isinstance(parameter := getattr(self._towers, name, None), nn.Parameter):
                    parameter.requires_grad_(False)

    def train(self) -> None:
        """Put the network into training mode, except for the frozen modules."""
        self.network.train()
        for module in self._locked:
            module.eval()

    def fingerprint(self) -> str:
        """Return 32 hex digits over the weights and the settings that change the vectors."""
        digest = xxhash.xxh3_128(self._description().encode())
        for name, tensor in sorted(self._weights().items()):
            digest.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
            digest.update(tensor.flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def save(self, folder: Path) -> None:
        """Write a folder that `open_clip_model` opens, and open_clip itself as `local-dir:`.

        open_clip itself does not open one with a Hugging Face text side, whose settings and
        vocabulary lie in the folder's TEXT_SIDE.
        """
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        (folder / DESCRIPTION).write_text(self._description())
        save_file(self._weights(), folder / WEIGHTS)
        if text_settings := _foreign_text_settings(self._towers):
            text_settings.save_pretrained(str(folder / TEXT_SIDE))
            self._tokenizer.save_inner(folder / TEXT_SIDE)
        else:
            self._tokenizer.save(folder)

    def _description(self) -> str:
        return describe(self._architecture, self._preprocessing.settings)

    def _weights(self) -> dict[str, Tensor]:
        return {
            name: tensor.detach().cpu().contiguous().clone()
            for name, tensor in self.network.state_dict().items()
        }


class _VisionTower(nn.Module):
    mean: Tensor
    std: Tensor

    def __init__(self, towers: Any, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self._towers = towers
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, pixels: Tensor) -> Tensor:
        scaled = (pixels.float() / 255 - self.mean) / self.std
        vectors: Tensor = self._towers.encode_image(scaled, normalize=True)
        return vectors.float()


def _text_side(towers: Any) -> list[nn.Module]:
    if _foreign_text_settings(towers) is not None:
        return [towers.text.transformer]
    if hasattr(towers, "text"):
        return [towers.text]
    return [towers.transformer, towers.token_embedding, towers.ln_final]


def _image_side(towers: Any) -> list[nn.Module]:
    tower = towers.visual
    return [tower.trunk if hasattr(tower, "trunk") else tower]


def _foreign_text_settings(towers: Any) -> Any:
    """Return the settings of a Hugging Face text side, or None where it is open_clip's own."""
    return getattr(getattr(towers, "text", None), "config", None)
