"""Writes the word index, and the numbered words of the ranker's features."""

from pathlib import Path
from typing import Any

from index import Columns, LexicalIndex, QueryRelaxation, SynonymError, check_synonyms
from pipelines.building.context import BuildContext, _batches
from pipelines.config import Config, ConfigError
from pipelines.release.layout import WORDS
from pipelines.shop.product_text import text_of, words_of
from ranking.features.catalogue_words import CatalogueWords

LEXICAL_FIELDS = {"title": 2.0, "brand": 1.0, "categories": 1.0, "description": 0.5}
MOST_SYNONYM_BYTES = 1_000_000


def write_lexical(job: BuildContext, products: Columns) -> None:
    """Write the word index."""
    documents = (_document(record) for batch in _batches(job) for record in batch.to_pylist())
    counted = job.track(documents, "index words", products.size)
    language = job.config.retrieval.language
    LexicalIndex.build(
        job.folder / "lexical", LEXICAL_FIELDS, counted, language, lenience_of(job.config)
    )


def lenience_of(config: Config) -> QueryRelaxation:
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


def write_words(job: BuildContext, products: Columns) -> None:
    """Write what every product says as numbered words, for the ranker's features."""
    texts = (words_of(record) for batch in _batches(job) for record in batch.to_pylist())
    counted = job.track(texts, "number words", products.size)
    CatalogueWords.read(counted, job.config.retrieval.language).save(job.folder / WORDS)


def _document(record: dict[str, Any]) -> dict[str, str]:
    return {name: text_of(record, (name,)) for name in LEXICAL_FIELDS}
