"""The only reader of YAML and of the environment."""

import os
import tempfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pipelines.config.sections import Config, Section
from pipelines.errors import ConfigError, first_line

S = TypeVar("S", bound=Section)
SERVED = ("serve", "people", "consent")  # sections that a server reads


def load(path: Path | None = None, overrides: Iterable[str] = ()) -> Config:
    """Read a YAML file, if any, then apply overrides such as `retrieval.rrf_k=30`."""
    overrides = tuple(overrides)
    raw = read_yaml(path) if path else {}
    for override in overrides:
        _apply(raw, override)
    try:
        return msgspec.convert(raw, Config)
    except msgspec.ValidationError as e:
        where = ", ".join([*([str(path)] if path else []), *overrides]) or "defaults"
        raise ConfigError(f"{where}: {e}") from None


def refuse_all_but_served(overrides: Iterable[str]) -> None:
    """Raise ConfigError for an override of a section that a server does not read."""
    for one in overrides:
        if one.partition(".")[0] not in SERVED:
            raise ConfigError(
                f"--set {one}: only the sections {', '.join(SERVED)} are read here, such as "
                "serve.threads=4; a release holds the rest, so build again to change that"
            )


def with_live(config: Config, folder: str | None) -> Config:
    """Return the configuration with another folder for changes, where one is given."""
    if folder is None:
        return config
    serve = msgspec.structs.replace(config.serve, live=folder)
    return msgspec.structs.replace(config, serve=serve)


def read_section(path: Path, kind: type[S]) -> S:
    """Read a YAML file that is all one section, such as a mapping."""
    try:
        return msgspec.convert(read_yaml(path), kind)
    except msgspec.ValidationError as e:
        raise ConfigError(f"{path}: {e}") from None


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of named values, or raise a ConfigError that names the file."""
    try:
        raw = msgspec.yaml.decode(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise ConfigError(f"{path}: not readable as YAML: {first_line(e)}") from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected sections such as `index:`, got {raw!r}")
    return raw


def secret(name: str) -> str:
    """Return what a variable of the environment holds; empty where it is not set."""
    return os.environ.get(name, "")


def choices_folder() -> Path:
    """Return the folder of this machine's choices of runtimes, which all shops share.

    VETRINA_RUNTIMES names another folder than the one in the user's cache. A user without a home
    folder, as in some containers, has it among the temporary files.
    """
    if named := os.environ.get("VETRINA_RUNTIMES"):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    if cache.startswith("~"):  # there is no home folder
        cache = str(Path(tempfile.gettempdir()) / f"vetrina-{os.getuid()}")
    return Path(cache) / "vetrina" / "runtimes"


def show(config: Config) -> str:
    """Write a configuration out in full, defaults included."""
    return msgspec.yaml.encode(config).decode()


def moment(text: str) -> datetime:
    """Read `2017-11-15` or `2017-11-15T08:30:00`, the shop's local time unless it has an offset."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{text!r} is not a moment; write 2017-11-15 or 2017-11-15T08:30:00"
        ) from None


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
        raise ConfigError(f"override {override!r}: {first_line(e)}") from None
