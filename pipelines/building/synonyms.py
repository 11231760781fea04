"""Reads the synonyms of a configuration, and how far words may be from those of products."""

from pathlib import Path

from index import QueryRelaxation, SynonymError, check_synonyms
from pipelines.config.sections import Config
from pipelines.errors import ConfigError

MOST_SYNONYM_BYTES = 1_000_000


def relaxation_of(config: Config) -> QueryRelaxation:
    """Return how far words may be from those of the products; ConfigError where it is unreadable.

    A release holds a copy of the synonyms.
    """
    settings = config.retrieval
    synonyms = _synonyms(settings.synonyms, settings.language) if settings.synonyms else b""
    return QueryRelaxation(settings.fuzzy, synonyms, settings.synonym_weight)


def _synonyms(path: str, language: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            content = file.read(MOST_SYNONYM_BYTES + 1)
        check_synonyms(content, language)
    except (OSError, SynonymError) as e:
        reason = e.strerror if isinstance(e, OSError) else e
        raise ConfigError(f"retrieval.synonyms={path!r}: {reason}") from None
    return content
