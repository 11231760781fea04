"""The one module that knows open_clip: models by name, hub id or folder, and how to save one."""

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import xxhash
from jaxtyping import Float32, Int64, UInt8
from PIL import Image
from torch import Tensor, nn

from retrieval.weights import UNFIT, EncoderError, first_line, hub_folder, named_folder

OUR_MODELS = Path(__file__).parent / "clip_models"  # architectures as open_clip's JSON
WEIGHTS = "open_clip_model.safetensors"
DESCRIPTION = "open_clip_config.json"
HUB_PREFIX = "hf-hub:"
OUR_SIGHT = {  # how models that are trained here look at a picture: whole, over white
    "mean": (0.5, 0.5, 0.5),
    "std": (0.25, 0.25, 0.25),
    "interpolation": "bilinear",
    "resize_mode": "longest",
    "fill_color": 255,
}
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
        self._sight = _sight_of(network)
        self._transform = _to_unit_range(self._sight)
        self._mean = torch.tensor(self._sight["mean"])[:, None, None]
        self._std = torch.tensor(self._sight["std"])[:, None, None]

    def pixels(self, picture: Image.Image) -> UInt8[Tensor, "3 h w"]:
        """Return the picture in the size that the network sees."""
        return self._transform(picture).mul(255).round().to(torch.uint8)

    def tokens(self, texts: Sequence[str]) -> Int64[Tensor, "n t"]:
        """Return token numbers, padded to the length that the network reads."""
        longest = LETTERS_PER_TOKEN * int(self._tokenizer.context_length)
        tokens: Tensor = self._tokenizer([_shortened(text, longest) for text in texts])
        _forget(getattr(self._tokenizer, "cache", {}))
        return tokens

    def see(self, pixels: UInt8[Tensor, "n 3 h w"]) -> Float32[Tensor, "n d"]:
        """Return one unit vector a picture."""
        scaled = (pixels.float() / 255 - self._mean) / self._std
        scaled = scaled.to(_device(self.network), memory_format=torch.channels_last)
        vectors: Tensor = self._towers.encode_image(scaled, normalize=True)
        return vectors.float()

    def read(self, tokens: Int64[Tensor, "n t"]) -> Float32[Tensor, "n d"]:
        """Return one unit vector a text."""
        vectors: Tensor = self._towers.encode_text(tokens.to(_device(self.network)), normalize=True)
        return vectors.float()

    @property
    def log_scale(self) -> nn.Parameter:
        """Return the logarithm of the inverse temperature, which is learnt with the towers."""
        scale: nn.Parameter = self._towers.logit_scale
        return scale

    def fingerprint(self) -> str:
        """Return 32 hex digits over the weights and the settings that change the vectors."""
        digest = xxhash.xxh3_128(self._description().encode())
        for name, tensor in sorted(self._weights().items()):
            digest.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
            digest.update(tensor.flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def save(self, folder: Path) -> None:
        """Write a folder that `open_clip_model` opens, and open_clip itself as `local-dir:`."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        (folder / DESCRIPTION).write_text(self._description())
        save_file(self._weights(), folder / WEIGHTS)
        if hasattr(self._tokenizer, "save_pretrained"):
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


def new_clip_model(model: str) -> Clip:
    """Return an architecture with random weights, to be trained."""
    architecture = _architecture(model)
    with _quiet():  # open_clip warns that a new model is new
        network = _create(model, sight=OUR_SIGHT)
    return Clip(network, _tokenizer(model), architecture)


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
    name = f"local-dir:{folder}"
    return Clip(_create(name), _tokenizer(name), architecture)


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
    name: str, *, pretrained: str | None = None, quick_gelu: bool = False, sight: Any = None
) -> nn.Module:
    import open_clip

    try:
        network: nn.Module = open_clip.create_model(
            name,
            pretrained=pretrained,
            force_quick_gelu=quick_gelu,
            force_preprocess_cfg=sight,
            pretrained_text=False,
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


def _to_unit_range(sight: Mapping[str, Any]) -> Callable[[Image.Image], Tensor]:
    """Return open_clip's own resizing, with numbers from 0 to 1."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    plain = {**sight, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    transform: Callable[[Image.Image], Tensor] = image_transform_v2(
        PreprocessCfg(**plain), is_train=False
    )
    return transform


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


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device
