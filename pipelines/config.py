"""The only reader of YAML and of the environment."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

Positive = Annotated[int, Meta(ge=1)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
PositiveFloat = Annotated[float, Meta(gt=0)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One part of the configuration."""


class TextConfig(Section, frozen=True, kw_only=True):
    """How products and queries are read."""

    model: str = "all-MiniLM-L6-v2"  # packaged; or any sentence-transformers name or path
    fields: tuple[str, ...] = ("title",)  # what of a product is encoded, in this order
    batch_size: Positive = 64
    max_tokens: Positive = 128


class ImageConfig(Section, frozen=True, kw_only=True):
    """How pictures are seen."""

    model: str = ""  # open_clip architecture, `hf-hub:` id, or a folder; "": no picture space
    pretrained: str = ""  # open_clip pretrained tag, for an architecture
    batch_size: Positive = 256


class EncodersConfig(Section, frozen=True, kw_only=True):
    """What turns products into vectors."""

    text: TextConfig = TextConfig()
    image: ImageConfig = ImageConfig()
    image_weight: Fraction = 0.3  # share of the picture space in the joined product vector
    max_failed_share: Fraction = 0.05  # of pictures; more and the build stops


class IndexConfig(Section, frozen=True, kw_only=True):
    """How product vectors are indexed."""

    factory: str = ""  # a FAISS factory string; "": chosen by size and measured recall
    recall_target: Fraction = 0.95
    recall_k: Positive = 100


class RetrievalConfig(Section, frozen=True, kw_only=True):
    """How many candidates reach the ranker."""

    candidates: Positive = 400
    per_channel: Positive = 200
    rrf_k: PositiveFloat = 60.0  # the constant of reciprocal rank fusion
    half_life_days: PositiveFloat = 60.0  # how fast a purchase is forgotten
    hidden_tags: tuple[str, ...] = ("unlisted",)  # products that no window shows


class RankingConfig(Section, frozen=True, kw_only=True):
    """How the ranker is built and trained."""

    train: bool = True
    dim: Positive = 64
    heads: Positive = 4
    layers: Positive = 2
    recent_products: Positive = 32
    epochs: Positive = 3
    learning_rate: PositiveFloat = 1e-3
    min_requests: Positive = 200  # fewer training requests than this: no ranker


class ServeConfig(Section, frozen=True, kw_only=True):
    """Where and how the server listens."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8000
    deadline_ms: Annotated[int, Meta(ge=1, le=60_000)] = 2_000
    threads: Positive = 2


class Config(Section, frozen=True, kw_only=True):
    """Everything that a build depends on, apart from its data."""

    encoders: EncodersConfig = EncodersConfig()
    index: IndexConfig = IndexConfig()
    retrieval: RetrievalConfig = RetrievalConfig()
    ranking: RankingConfig = RankingConfig()
    serve: ServeConfig = ServeConfig()
    seed: int = 0
    threads: Positive = 2


class ConfigError(ValueError):
    """The configuration cannot be used; says which file or override, and which key."""


def load(path: Path | None = None, overrides: Iterable[str] = ()) -> Config:
    """Read a YAML file, if any, then apply overrides such as `retrieval.rrf_k=30`."""
    overrides = tuple(overrides)
    raw = _read(path) if path else {}
    for override in overrides:
        _apply(raw, override)
    try:
        return msgspec.convert(raw, Config)
    except msgspec.ValidationError as e:
        where = ", ".join([*([str(path)] if path else []), *overrides]) or "defaults"
        raise ConfigError(f"{where}: {e}") from None


def show(config: Config) -> str:
    """Write a configuration out in full, defaults included."""
    return msgspec.yaml.encode(config).decode()


def moment(text: str) -> datetime:
    """Read `2017-11-15` or `2017-11-15T08:30:00`, the shop's local time."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        raise ConfigError(
            f"{text!r} is not a moment; write 2017-11-15 or 2017-11-15T08:30:00"
        ) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = msgspec.yaml.decode(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as e:
        raise ConfigError(f"{path}: not readable as YAML: {_first_line(e)}") from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected sections such as `index:`, got {raw!r}")
    return raw


def _apply(raw: dict[str, Any], override: str) -> None:
    key, found, value = override.partition("=")
    if not found:
        raise ConfigError(f"override {override!r} has no '='; write it as section.key=value")
    *sections, leaf = key.split(".")
    for section in sections:
        raw = raw.setdefault(section, {})
        if not isinstance(raw, dict):
            raise ConfigError(f"override {override!r}: {section!r} is not a section")
    try:
        raw[leaf] = msgspec.yaml.decode(value.encode())
    except msgspec.DecodeError as e:
        raise ConfigError(f"override {override!r}: {_first_line(e)}") from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
