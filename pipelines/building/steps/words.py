"""Writes the word index, and the numbered words of the ranker's features."""

from collections.abc import Iterator
from typing import Any

from index import LexicalIndex
from pipelines.building.context import BuildContext
from pipelines.building.synonyms import relaxation_of
from pipelines.release.layout import LEXICAL, WORDS
from pipelines.shop.product_text import words_of
from pipelines.shop.searched_text import LEXICAL_FIELDS, searched_text
from ranking.features.catalogue_words import CatalogueWords


def write_lexical(context: BuildContext) -> None:
    """Write the word index."""
    documents = (searched_text(record, LEXICAL_FIELDS) for record in _records(context))
    counted = context.track(documents, "index words", context.products.size)
    LexicalIndex.build(
        context.folder / LEXICAL,
        LEXICAL_FIELDS,
        counted,
        context.config.retrieval.language,
        relaxation_of(context.config),
    )


def write_words(context: BuildContext) -> None:
    """Write the words of every product as numbers, for the ranker's features."""
    texts = (words_of(record) for record in _records(context))
    counted = context.track(texts, "number words", context.products.size)
    language = context.config.retrieval.language
    CatalogueWords.read(counted, language).save(context.folder / WORDS)


def _records(context: BuildContext) -> Iterator[dict[str, Any]]:
    for batch in context.shop.product_batches():
        yield from batch.to_pylist()
