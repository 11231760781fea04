"""The formats of exports: small files that say which columns an exporter writes."""

from functools import cache
from typing import Any

import msgspec

from pipelines.config.loading import read_section
from pipelines.config.sections import Section
from pipelines.errors import ConfigError
from pipelines.importers.exports.names import FOLDER, names_of_formats


class Format(Section, frozen=True, kw_only=True):
    """The columns of one exporter, and their mapping.

    `mapping` is that of a table, by the names that the exporter usually writes. `{n}` stands for a
    number, `{any}` for anything and `{currency}` for a code of three letters. `names` has other
    names of columns, of versions and languages.
    """

    title: str
    source: str = ""  # where the exporter's columns are documented
    marks: tuple[str, ...] = ()  # columns that few others have
    needs: int = 2  # so many of them tell the format
    names: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    mapping: dict[str, Any]


@cache
def format_named(name: str) -> Format:
    """Return one format, or raise a ConfigError that names those there are."""
    path = next((path for path in FOLDER.glob("*/*.yaml") if path.stem == name), None)
    if path is None:
        raise ConfigError(
            f"there is no format {name!r}; choose one of {', '.join(names_of_formats())}"
        )
    return read_section(path, Format)
