"""Reads the synonyms of a configuration, and how far words may be from those of products."""

from pathlib import Path

from index import QueryRelaxation, SynonymError, check_synonyms
from pipelines.config.sections import Config
from pipelines.errors import ConfigError
from retrieval.encoders.text import whole_words

MOST_SYNONYM_BYTES = 1_000_000


def relaxation_of(config: Config) -> QueryRelaxation:
    """Return how far words may be from those of the products; ConfigError where it is unreadable.

    A release holds a copy of the synonyms, and of the words that its text encoder knows whole: they
    are not misspelt, even if no product has them.
    """
    settings = config.retrieval
    synonyms = _synonyms(settings.synonyms, settings.language) if settings.synonyms else b""
    lexicon = whole_words(config.encoders.text.model) if settings.fuzzy else frozenset()
    return QueryRelaxation(settings.fuzzy, synonyms, settings.synonym_weight, lexicon)


def _synonyms(path: str, language: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            content = file.read(MOST_SYNONYM_BYTES + 1)
        check_synonyms(content, language)
    except (OSError, SynonymError) as e:
        reason = e.strerror if isinstance(e, OSError) else e
        raise ConfigError(f"retrieval.synonyms={path!r}: {reason}") from None
    return content
