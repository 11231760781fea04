"""The one module that knows open_clip: models by name, hub id or folder, and how to save one."""

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import xxhash
from jaxtyping import Float32, Int64, UInt8
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from retrieval.encoders.text import PACKAGED, packaged_folder
from retrieval.encoders.weights import UNFIT, EncoderError, first_line, hub_folder, named_folder

OUR_MODELS = Path(__file__).parent / "clip_models"  # architectures as open_clip's JSON
WEIGHTS = "open_clip_model.safetensors"
DESCRIPTION = "open_clip_config.json"
HUB_PREFIX = "hf-hub:"
READER = "text"  # where a saved model keeps the settings and the vocabulary of a foreign text side
OPENED = "vetrina-opened"  # what open_clip calls an architecture that only a folder describes
OUR_SIGHT = {  # how models that are trained here look at a picture: whole, over white
    "mean": (0.5, 0.5, 0.5),
    "std": (0.25, 0.25, 0.25),
    "interpolation": "bilinear",
    "resize_mode": "longest",
    "fill_color": 255,
}
TO_NUMBERS = ("MaybeToTensor", "ToTensor", "Normalize")
SIGHT = ("mean", "std", "interpolation", "resize_mode", "fill_color")
LONGEST_WORD = 64  # letters; byte-pair encoding takes time quadratic in the length of a word
LETTERS_PER_TOKEN = 16
REMEMBERED_WORDS = 200_000  # by open_clip's tokenizer, which forgets nothing by itself


class Clip:
    """A network of two towers, its tokenizer and its way of looking at a picture."""

    def __init__(self, network: nn.Module, tokenizer: Any, architecture: Mapping[str, Any]) -> None:
        self.network = network
        self.dim = int(architecture["embed_dim"])
        self._architecture = dict(architecture)
        self._tokenizer = tokenizer
        self._towers: Any = network
        self._locked: tuple[nn.Module, ...] = ()
        self._sight = _sight_of(network)
        self._transform = _to_size(self._sight)
        self._mean = torch.tensor(self._sight["mean"])[:, None, None]
        self._std = torch.tensor(self._sight["std"])[:, None, None]

    @property
    def size(self) -> int:
        """Return the longer side of what the network sees, in pixels."""
        size = self._sight["size"]
        return max(size) if isinstance(size, tuple | list) else int(size)

    @property
    def device(self) -> torch.device:
        """Return where the network is."""
        return next(self.network.parameters()).device

    def seer(self) -> nn.Module:
        """Return the picture side as a module of its own: numbers to 255 in, unit vectors out."""
        return _VisionTower(self._towers, self._mean, self._std)

    def pixels(self, picture: Image.Image) -> UInt8[Tensor, "3 h w"]:
        """Return the picture in the size that the network sees."""
        seen = np.array(self._transform(picture), np.uint8)  # [h, w, 3]
        return torch.from_numpy(seen).permute(2, 0, 1).contiguous()

    def tokens(self, texts: Sequence[str]) -> Int64[Tensor, "n t"]:
        """Return token numbers, padded to the length that the network reads."""
        longest = LETTERS_PER_TOKEN * int(self._tokenizer.context_length)
        tokens: Tensor = self._tokenizer([_shortened(text, longest) for text in texts])
        _forget(getattr(self._tokenizer, "cache", {}))
        return tokens

    def see(
        self, pixels: UInt8[Tensor, "n 3 h w"] | Float32[Tensor, "n 3 h w"]
    ) -> Float32[Tensor, "n d"]:
        """Return one unit vector a picture; its numbers are from 0 to 255."""
        device = self.device
        scaled = (pixels.to(device).float() / 255 - self._mean.to(device)) / self._std.to(device)
        scaled = scaled.to(memory_format=torch.channels_last)
        return F.normalize(self._towers.encode_image(scaled).float(), dim=-1)

    def read(self, tokens: Int64[Tensor, "n t"]) -> Float32[Tensor, "n d"]:
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
        inner = getattr(self._tokenizer, "tokenizer", None)
        return int(getattr(inner, "pad_token_id", None) or 0)

    def lock(self, *, text: bool = False, image: bool = False) -> None:
        """Let a side learn no more, but for the projection of a foreign tower.

        A Hugging Face text side and a timm picture side keep their projection into the joint
        space free, as in locked-image tuning (Zhai et al. 2022, LiT); another side is locked whole.
        """
        sides = [
            *([_text_side(self._towers)] if text else []),
            *([self._picture()] if image else []),
        ]
        self._locked = tuple(module for side in sides for module in side)
        for module in self._locked:
            module.requires_grad_(False)
        if text and "hf_model_name" not in self._architecture.get("text_cfg", {}):
            for name in ("positional_embedding", "text_projection"):
                if isinstance(parameter := getattr(self._towers, name, None), nn.Parameter):
                    parameter.requires_grad_(False)

    def train(self) -> None:
        """Make ready to learn; what is locked stays as it is in use."""
        self.network.train()
        for module in self._locked:
            module.eval()

    def _picture(self) -> list[nn.Module]:
        seer = self._towers.visual
        return [seer.trunk if hasattr(seer, "trunk") else seer]

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
        vocabulary lie in the folder's READER.
        """
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        (folder / DESCRIPTION).write_text(self._description())
        save_file(self._weights(), folder / WEIGHTS)
        if reader := _reader_settings(self._towers):
            reader.save_pretrained(str(folder / READER))
            self._tokenizer.tokenizer.save_pretrained(str(folder / READER))
        elif hasattr(self._tokenizer, "save_pretrained"):
            self._tokenizer.save_pretrained(str(folder))

    def _description(self) -> str:
        sight = {key: self._sight[key] for key in SIGHT}
        return json.dumps(
            {"model_cfg": self._architecture, "preprocess_cfg": sight}, indent=2, sort_keys=True
        )

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


def open_clip_model(model: str, pretrained: str = "") -> Clip:
    """Open a trained model: a folder, `hf-hub:…`, or an architecture with a pretrained tag.

    `pretrained` may also be a .safetensors file. Nothing but safetensors is ever read.
    """
    if model.startswith(HUB_PREFIX):
        return _from_folder(hub_folder(model.removeprefix(HUB_PREFIX)))
    known = _architectures()
    if model not in known and (folder := named_folder(model)) is not None:
        return _from_folder(folder)
    return _from_architecture(model, pretrained)


def is_trained(model: str, pretrained: str = "") -> bool:
    """Tell whether this names weights, and not an architecture alone."""
    if pretrained or model.startswith(HUB_PREFIX):
        return True
    return model not in _architectures() and named_folder(model) is not None


def new_clip_model(model: str) -> Clip:
    """Return an architecture with random weights, to be trained."""
    architecture = _architecture(model)
    reader = architecture.get("text_cfg", {}).get("hf_model_name")
    if reader in PACKAGED:
        return _new_with_reader(architecture, reader)
    with _quiet():  # open_clip warns that a new model is new
        network = _create(model, sight=OUR_SIGHT)
    return Clip(network, _tokenizer(model), architecture)


def _new_with_reader(architecture: dict[str, Any], reader: str) -> Clip:
    """Return a new picture side beside a packaged text side, which keeps its weights."""
    from transformers.utils import logging as reading

    noise: Any = reading
    noise.disable_progress_bar()  # one for the tenth of a second in which weights are read
    folder = str(packaged_folder(reader))
    with _registered(_with_reader(architecture, folder)) as name, _quiet():
        network = _create(name, sight=OUR_SIGHT, read=True)
        return Clip(network, _tokenizer(name), architecture)


def _with_reader(architecture: dict[str, Any], folder: str) -> dict[str, Any]:
    text = {**architecture["text_cfg"], "hf_model_name": folder, "hf_tokenizer_name": folder}
    return {**architecture, "text_cfg": text}


@contextmanager
def _registered(architecture: dict[str, Any]) -> Iterator[str]:
    """Make open_clip know an architecture for a while; it takes files only."""
    import open_clip

    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{OPENED}.json"
        path.write_text(json.dumps(architecture))
        open_clip.add_model_config(path)
        yield OPENED


def _text_side(towers: Any) -> list[nn.Module]:
    if _reader_settings(towers) is not None:
        return [towers.text.transformer]
    if hasattr(towers, "text"):
        return [towers.text]
    return [towers.transformer, towers.token_embedding, towers.ln_final]


def _reader_settings(towers: Any) -> Any:
    """Return the settings of a Hugging Face text side, or None where it is open_clip's own."""
    return getattr(getattr(towers, "text", None), "config", None)


def _from_folder(folder: Path) -> Clip:
    for name in (DESCRIPTION, WEIGHTS):
        if not (folder / name).is_file():
            raise EncoderError(
                f"{folder} is no image encoder: it has no {name}; `vetrina train clip` writes "
                "such a folder (weights in other formats than safetensors are not read)"
            )
    try:
        described = json.loads((folder / DESCRIPTION).read_text())
        architecture = described["model_cfg"]
    except (ValueError, KeyError, TypeError, OSError) as e:
        raise EncoderError(f"{folder / DESCRIPTION} does not describe a model: {e!r}") from None
    if (folder / READER).is_dir():
        return _from_described(folder, architecture, described.get("preprocess_cfg"))
    name = f"local-dir:{folder}"
    return Clip(_create(name), _tokenizer(name), architecture)


def _from_described(folder: Path, architecture: dict[str, Any], sight: Any) -> Clip:
    """Open a folder with a foreign text side, whose settings and vocabulary lie in it."""
    here = str((folder / READER).absolute())
    with _registered(_with_reader(architecture, here)) as name:
        network = _create(name, pretrained=str(folder / WEIGHTS), sight=sight)
        return Clip(network, _tokenizer(name), architecture)


def _from_architecture(model: str, pretrained: str) -> Clip:
    architecture = _architecture(model)
    if not pretrained:
        raise EncoderError(
            f"encoder {model!r} is an architecture without weights; add `pretrained` "
            f"({_tags(model)} or a .safetensors file), or name a folder from `vetrina train clip`"
        )
    weights, settings = _weights_of(model, pretrained)
    if settings.get("quick_gelu"):
        architecture["quick_gelu"] = True
    sight = {key: settings[key] for key in SIGHT if settings.get(key) is not None}
    network = _create(
        model,
        pretrained=str(weights),
        quick_gelu=bool(settings.get("quick_gelu", False)),
        sight=sight,
    )
    return Clip(network, _tokenizer(model), architecture)


def _weights_of(model: str, pretrained: str) -> tuple[Path, dict[str, Any]]:
    """Return a safetensors file, and how its model was trained to see."""
    if pretrained.endswith(".safetensors"):
        if not Path(pretrained).is_file():
            raise EncoderError(f"encoder {model!r}: there is no file {pretrained}")
        return Path(pretrained), {}
    from open_clip import get_pretrained_cfg

    settings: dict[str, Any] = get_pretrained_cfg(model, pretrained)
    if not settings:
        raise EncoderError(
            f"encoder {model!r} has no pretrained tag {pretrained!r}; choose {_tags(model)}, "
            "or give a .safetensors file"
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


def _create(
    name: str,
    *,
    pretrained: str | None = None,
    quick_gelu: bool = False,
    sight: Any = None,
    read: bool = False,
) -> nn.Module:
    import open_clip

    try:
        network: nn.Module = open_clip.create_model(
            name,
            pretrained=pretrained,
            force_quick_gelu=quick_gelu,
            force_preprocess_cfg=sight,
            pretrained_text=read,
            device="cuda" if torch.cuda.is_available() else "cpu",
        )
    except UNFIT as e:
        raise EncoderError(f"{name} cannot be opened as an image encoder: {first_line(e)}") from e
    return network.to(memory_format=torch.channels_last).eval()


@contextmanager
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _tokenizer(name: str) -> Any:
    import open_clip

    try:
        return open_clip.get_tokenizer(name)
    except UNFIT as e:
        raise EncoderError(f"the tokenizer of {name} cannot be opened: {first_line(e)}") from e


def _architectures() -> list[str]:
    """Return the names that open_clip knows, ours among them."""
    import open_clip

    if not all(path.stem in open_clip.list_models() for path in OUR_MODELS.glob("*.json")):
        open_clip.add_model_config(OUR_MODELS)
    return list(open_clip.list_models())


def _architecture(model: str) -> dict[str, Any]:
    from open_clip import get_model_config

    known = _architectures()
    if model not in known:
        ours = ", ".join(sorted(path.stem for path in OUR_MODELS.glob("*.json")))
        raise EncoderError(
            f"image encoder {model!r} is neither a folder nor an architecture of open_clip; "
            f"choose {ours}, one of open_clip.list_models() ({len(known)} names), or an hf-hub: id"
        )
    return dict(get_model_config(model))


def _tags(model: str) -> str:
    from open_clip import list_pretrained_tags_by_model

    return ", ".join(list_pretrained_tags_by_model(model)) or "none are published"


def _to_size(sight: Mapping[str, Any]) -> Callable[[Image.Image], Image.Image]:
    """Return open_clip's own resizing and cutting, without what makes numbers of a picture."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    steps = image_transform_v2(PreprocessCfg(**sight), is_train=False).transforms
    kept = [step for step in steps if type(step).__name__ not in TO_NUMBERS]

    def resized(picture: Image.Image) -> Image.Image:
        for step in kept:
            picture = step(picture)
        return picture

    return resized


def _sight_of(network: Any) -> dict[str, Any]:
    return dict(network.visual.preprocess_cfg)


def _shortened(text: str, longest: int) -> str:
    return re.sub(rf"(\S{{{LONGEST_WORD}}})\S+", r"\1", text)[:longest]


def _forget(words: dict[str, str]) -> None:
    """Empty the tokenizer's memory when it is full, but for the special tokens."""
    if len(words) > REMEMBERED_WORDS:
        special = {word: token for word, token in words.items() if word == token}
        words.clear()
        words.update(special)
