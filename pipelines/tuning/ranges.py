"""Reads the search space of `vetrina tune`, and checks each range against the configuration."""

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.inspect import FloatType, IntType, type_info

from pipelines.config.loading import read_yaml
from pipelines.config.sections import Config, Section
from pipelines.errors import ConfigError

LARGEST = 1e15  # of a number in a range; doubles count no further one by one
NOT_TUNED = {  # what begins with the key: why
    "clip": "it trains an encoder, which is done before a build",
    "text_training": "it trains an encoder, which is done before a build",
    "serve": "it changes no answer",
    "seed": "a lucky seed is not a better configuration",
    "threads": "it changes no answer",
    "retrieval.synonyms": "it names a file",
    "retrieval.hidden_tags": "it changes what is asked for, not how well it is found",
}
WITHOUT_RANKER = ("ranking.train", "ranking.windows", "ranking.window_days")  # still count then


class Span(NamedTuple):
    """Numbers from `low` to `high`, both included."""

    low: float
    high: float
    log: bool  # drawn evenly by size, as in 1, 10, 100
    step: float | None  # None: any number in between, for whole numbers 1
    whole: bool

    def holds(self, value: Any) -> bool:
        """Tell whether it is one of the numbers."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        steps = (value - self.low) / self.step if self.step else 0
        return self.low <= value <= self.high and abs(steps - round(steps)) < 1e-9


class Choices(NamedTuple):
    """A choice among values; each has its JSON as a name, because it may be a list."""

    values: dict[str, Any]

    def holds(self, value: Any) -> bool:
        """Tell whether it is one of the values."""
        return name_of(value) in self.values


Range = Span | Choices


class _Written(Section, frozen=True, kw_only=True):
    """A range as it stands in the file."""

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None


def read_ranges(path: Path, config: Config) -> dict[str, Range]:
    """Return the range of each key, in the order of the file; ConfigError names file and key."""
    written = read_yaml(path)
    if not written:
        raise ConfigError(
            f"{path}: no range is in it; write lines such as "
            "`behaviour.ease_lambda: {low: 10, high: 1000, log: true}`"
        )
    ranges = {str(key): _range(f"{path}, {key}", str(key), raw) for key, raw in written.items()}
    for key, reason in _idle(ranges, config):
        _refuse(f"{path}, {key}", reason)
    return ranges


def changed(config: Config, settings: Mapping[str, Any]) -> Config:
    """Return the configuration with these keys set, or a ConfigError that names them."""
    raw = msgspec.to_builtins(config)
    for key, value in settings.items():
        *sections, leaf = key.split(".")
        place = raw
        for section in sections:
            place = place[section]
        place[leaf] = value
    try:
        return msgspec.convert(raw, Config)
    except msgspec.ValidationError as e:
        told = ", ".join(f"{key}={value}" for key, value in settings.items())
        raise ConfigError(f"{told}: {e}") from None


def value_of(config: Config, key: str) -> Any:
    """Return what a configuration has under a dotted key, as plain values."""
    place = msgspec.to_builtins(config)
    for part in key.split("."):
        place = place[part]
    return list(place) if isinstance(place, tuple) else place


def name_of(value: Any) -> str:
    """Return a value as one line of JSON."""
    return msgspec.json.encode(value).decode()


def differing(config: Config) -> dict[str, Any]:
    """Return what differs from the defaults, as the sections of a file for `--config`."""
    found: dict[str, Any] = _differing(msgspec.to_builtins(config), msgspec.to_builtins(Config()))
    return found


def _differing(here: dict[str, Any], there: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for key, value in here.items():
        if isinstance(value, dict):
            if inner := _differing(value, there[key]):
                found[key] = inner
        elif value != there[key]:
            found[key] = value
    return found


def _range(where: str, key: str, raw: Any) -> Range:
    kind = _kind(where, key)
    for beginning, reason in NOT_TUNED.items():
        if f"{key}.".startswith(f"{beginning}."):
            _refuse(where, f"this is not tuned: {reason}")
    if isinstance(raw, list):
        return _choices(where, raw, kind)
    try:
        return _span(where, msgspec.convert(raw, _Written), kind)
    except msgspec.ValidationError as e:
        raise ConfigError(
            f"{where}: {e}; expected {{low: 1, high: 9}}, perhaps with log or step, or a list "
            "of choices"
        ) from None


def _choices(where: str, raw: list[Any], kind: Any) -> Choices:
    if not raw:
        _refuse(where, "the list of choices is empty")
    values = {}
    for given in raw:
        value = _converted(where, f"choice {given!r}", given, kind)
        if name_of(value) in values:
            _refuse(where, f"the choice {given!r} stands twice")
        values[name_of(value)] = value
    return Choices(values)


def _span(where: str, written: _Written, kind: Any) -> Span:
    number = type_info(kind)
    if not isinstance(number, IntType | FloatType):
        _refuse(where, "its values are no numbers; give a list of choices")
    whole = isinstance(number, IntType)
    ends = {"low": written.low, "high": written.high}
    for name, end in ends.items():
        if not math.isfinite(end) or abs(end) > LARGEST:
            _refuse(where, f"{name}={end} is no number of at most {LARGEST:g}")
        _converted(where, f"{name}={end}", end, kind)
    _refuse_order(where, written)
    high, step = written.high, written.step
    if step is not None:
        if whole and step != int(step):
            _refuse(where, f"step={step} is no whole number, as the key is")
        high = _last(written.low, high, step)
    return Span(written.low, high, written.log, step, whole)


def _refuse_order(where: str, written: _Written) -> None:
    low, high, step = written.low, written.high, written.step
    if low >= high:
        _refuse(where, f"low={low} is not below high={high}")
    if written.log and low <= 0:
        _refuse(where, f"log needs a low above 0, and it is {low}")
    if written.log and step is not None:
        _refuse(where, "log and step do not go together; leave one out")
    if step is not None and not 0 < step <= high - low:
        _refuse(where, f"step={step} leads from low={low} to nothing up to high={high}")


def _last(low: float, high: float, step: float) -> float:
    """Return the last number that steps from `low` reach, without errors of rounding."""
    start, by = Decimal(str(low)), Decimal(str(step))
    end = start + (Decimal(str(high)) - start) // by * by
    return int(end) if isinstance(low, int) and isinstance(step, int) else float(end)


def _converted(where: str, given: str, value: Any, kind: Any) -> Any:
    try:
        return msgspec.json.decode(msgspec.json.encode(msgspec.convert(value, kind)))
    except msgspec.ValidationError as e:
        raise ConfigError(f"{where}: {given}: {e}") from None


def _kind(where: str, key: str) -> Any:
    """Return the type of a key of the configuration."""
    kind: Any = Config
    for part in key.split("."):
        found = {field.name: field.type for field in _fields(kind)}
        if part not in found:
            near = get_close_matches(key, list(_keys(Config)), 1)
            _refuse(where, "no such key" + (f"; is {near[0]} meant?" if near else ""))
        kind = found[part]
    if _fields(kind):
        _refuse(where, "this is a section; name one of its keys")
    return kind


def _keys(kind: Any, path: str = "") -> Iterator[str]:
    for field in _fields(kind):
        if _fields(field.type):
            yield from _keys(field.type, f"{path}{field.name}.")
        else:
            yield f"{path}{field.name}"


def _fields(kind: Any) -> tuple[Any, ...]:
    is_section = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    return msgspec.structs.fields(kind) if is_section else ()


def _idle(keys: Mapping[str, Any], config: Config) -> Iterator[tuple[str, str]]:
    """Yield keys that would change nothing, each with why."""
    for key in keys:
        fitted = config.retrieval.fit_weights and "retrieval.fit_weights" not in keys
        if key.startswith("retrieval.weights.") and fitted:
            yield (
                key,
                (
                    "a build would fit this weight itself; tune it with "
                    "`--set retrieval.fit_weights=false`, or leave it out"
                ),
            )
        ranked = config.ranking.train or "ranking.train" in keys
        if key.startswith("ranking.") and key not in WITHOUT_RANKER and not ranked:
            yield (
                key,
                ("no ranker is asked: ranking.train is off, or the measure is of retrieval alone"),
            )


def _refuse(where: str, reason: str) -> Any:
    raise ConfigError(f"{where}: {reason}")
