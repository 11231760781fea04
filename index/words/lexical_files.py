"""The files of a lexical index: writes documents with tantivy, and opens what was written."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import tantivy

from index.errors import DamagedIndex
from index.words.analysis import LANGUAGES, analyzer
from index.words.segmentation import SEGMENTATIONS, document_words, query_words
from index.words.synonyms import Synonyms, read_rules
from index.words.vocabulary import Vocabulary, WordCounts

ANALYZER = "words"
SYNONYMS = "synonyms.txt"
SETTINGS = "lexical.json"
HEAP_BYTES = 128_000_000

Document = Mapping[str, str]  # its text by field


class QueryRelaxation(NamedTuple):
    """How far a word of a query may be from the words of a document."""

    corrects: bool = True  # a word that no document has is replaced by a near one
    synonyms: bytes = b""  # a file of them
    synonym_weight: float = 0.8  # of a synonym beside the word of the query


USUAL = QueryRelaxation()


class LexicalSettings(msgspec.Struct, frozen=True):
    """How an index was built, and is to be read. A missing field was not yet written then."""

    weights: dict[str, float]
    num_rows: int
    language: str = "english"
    segmenting: str = "spaces"
    corrects: bool = False
    synonym_weight: float = 1.0
    positions: bool = False  # whether the place of each word is stored, for phrases


class LexicalFiles(NamedTuple):
    """An open folder: tantivy's index, its settings, its words if counted, its synonyms."""

    index: tantivy.Index
    settings: LexicalSettings
    vocabulary: Vocabulary | None
    synonyms: bytes


def write(
    folder: Path,
    weights: Mapping[str, float],
    documents: Iterable[Document],
    language: str,
    relaxation: QueryRelaxation,
) -> None:
    """Write an index of these documents, row by row, into an empty folder.

    ValueError for a language that is not one of LANGUAGES, SynonymError for synonyms that cannot be
    read.
    """
    check_synonyms(relaxation.synonyms, language)
    folder.mkdir(parents=True)
    index = tantivy.Index(_schema(weights), path=str(folder))
    index.register_tokenizer(ANALYZER, analyzer(language))
    counts = WordCounts()
    num_rows = _add(index, weights, documents, counts)
    Vocabulary.of(counts.counts).save(folder)
    settings = LexicalSettings(
        dict(weights),
        num_rows,
        language,
        "bigrams",
        relaxation.corrects,
        relaxation.synonym_weight,
        positions=True,
    )
    (folder / SETTINGS).write_bytes(msgspec.json.encode(settings))
    if relaxation.synonyms:
        (folder / SYNONYMS).write_bytes(relaxation.synonyms)


def read(folder: Path) -> LexicalFiles:
    """Map a folder of `write` into memory, or DamagedIndex."""
    settings = _settings(folder)
    try:
        index = tantivy.Index.open(str(folder))
    except ValueError as e:
        raise DamagedIndex(f"{folder.name} is not a lexical index: {str(e)[:200]}") from None
    index.register_tokenizer(ANALYZER, analyzer(settings.language))
    counted = (folder / "words_rows.npy").exists()
    synonyms = folder / SYNONYMS
    return LexicalFiles(
        index,
        settings,
        Vocabulary.open(folder) if counted else None,
        synonyms.read_bytes() if synonyms.exists() else b"",
    )


def check_synonyms(content: bytes, language: str) -> None:
    """Raise SynonymError where a file of synonyms cannot be read in a language."""
    stemming = analyzer(language)
    Synonyms(read_rules(content), lambda text: tuple(stemming.analyze(query_words(text))))


def _add(
    index: tantivy.Index,
    weights: Mapping[str, float],
    documents: Iterable[Document],
    counts: WordCounts,
) -> int:
    """Add and commit the documents, count their words, and return how many there are."""
    plain = analyzer("none")
    writer = index.writer(heap_size=HEAP_BYTES, num_threads=1)
    num_rows = 0
    for document in documents:
        texts = {name: document_words(text) for name in weights if (text := document.get(name))}
        counts.add(plain.analyze(" ".join(texts.values())))
        entry = tantivy.Document(**texts)
        entry.add_unsigned("row", num_rows)
        writer.add_document(entry)
        num_rows += 1
    writer.commit()
    writer.wait_merging_threads()
    return num_rows


def _settings(folder: Path) -> LexicalSettings:
    settings = msgspec.json.decode((folder / SETTINGS).read_bytes(), type=LexicalSettings)
    if settings.language not in LANGUAGES or settings.segmenting not in SEGMENTATIONS:
        raise DamagedIndex(
            f"{folder.name} holds words read as {settings.language!r}, parted by "
            f"{settings.segmenting!r}; this version reads {', '.join(LANGUAGES)} and parts by "
            f"{', '.join(SEGMENTATIONS)}; open it with the version that built it, or build again"
        )
    return settings


def _schema(fields: Iterable[str]) -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("row", indexed=True, fast=True)
    for name in fields:
        builder.add_text_field(name, tokenizer_name=ANALYZER, index_option="position")
    return builder.build()
