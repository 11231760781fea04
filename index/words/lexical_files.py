"""The files of a lexical index: writes documents with tantivy, and opens what was written."""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import NamedTuple

import msgspec
import tantivy

from index.errors import DamagedIndex
from index.words.postings import PostingsWriter
from index.words.queries.synonyms import Synonyms, read_rules
from index.words.terms.analysis import (
    LANGUAGES,
    Analysis,
    analyzer,
    code_analyzer,
    query_terms,
)
from index.words.terms.codes import FIELD as CODES
from index.words.terms.pieces import is_fragment
from index.words.vocabulary import Vocabulary, WordCounts

ANALYZER = "words"
SYNONYMS, LEXICON = "synonyms.txt", "lexicon.txt"
SETTINGS = "lexical.json"
HEAP_BYTES = 128_000_000
MOST_REMOVALS = 10
REMEMBERED_TEXTS, LONGEST_REMEMBERED = 50_000, 200  # while documents are written

Document = Mapping[str, str]  # its text by field


class QueryRelaxation(NamedTuple):
    """How far a word of a query may be from the words of a document."""

    corrects: bool = True  # a word that no document has is replaced by a near one
    synonyms: bytes = b""  # a file of them
    synonym_weight: float = 0.8  # of a synonym beside the word of the query
    lexicon: frozenset[str] = frozenset()  # words of the language, which are never misspelt


USUAL = QueryRelaxation()


class LexicalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an index was built, and is to be read."""

    weights: dict[str, float]
    num_rows: int
    language: str
    corrects: bool
    synonym_weight: float
    mean_lengths: dict[str, float]  # how many terms each field has on average


class LexicalFiles(NamedTuple):
    """An open folder: tantivy's index, its settings, its words, its synonyms."""

    folder: Path
    index: tantivy.Index
    settings: LexicalSettings
    vocabulary: Vocabulary
    synonyms: bytes
    lexicon: frozenset[str]


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
    _register(index, language)
    analysis, counts, postings = Analysis(language), WordCounts(), PostingsWriter(weights)
    num_rows = _add(index, analysis, weights, documents, counts, postings)
    counts.add(_looked_up(relaxation, analysis))  # so they may be misspelt, too
    Vocabulary.of(counts.counts).save(folder)
    settings = LexicalSettings(
        dict(weights),
        num_rows,
        language,
        relaxation.corrects,
        relaxation.synonym_weight,
        postings.save(folder),
    )
    (folder / SETTINGS).write_bytes(msgspec.json.encode(settings))
    if relaxation.synonyms:
        (folder / SYNONYMS).write_bytes(relaxation.synonyms)
    if relaxation.lexicon:
        (folder / LEXICON).write_text("\n".join(sorted(relaxation.lexicon)), encoding="utf-8")


def read(folder: Path) -> LexicalFiles:
    """Map a folder of `write` into memory, or DamagedIndex."""
    settings = _settings(folder)
    try:
        index = _opened(folder)
    except ValueError as e:
        raise DamagedIndex(f"{folder.name} is not a lexical index: {str(e)[:200]}") from None
    _register(index, settings.language)
    synonyms, lexicon = folder / SYNONYMS, folder / LEXICON
    return LexicalFiles(
        folder,
        index,
        settings,
        Vocabulary.open(folder),
        synonyms.read_bytes() if synonyms.exists() else b"",
        frozenset(lexicon.read_text("utf-8").split("\n")) if lexicon.exists() else frozenset(),
    )


def _opened(folder: Path) -> tantivy.Index:
    """Open tantivy's files through links, because it writes locks beside what it opens.

    So who may only read a folder can open it, and nothing in it is written meanwhile.
    """
    links = Path(mkdtemp(prefix="vetrina-words-"))
    try:
        for path in folder.iterdir():
            if path.suffix != ".lock":  # of who wrote the index
                (links / path.name).symlink_to(path.resolve())
        return tantivy.Index.open(str(links))
    finally:
        _remove(links)


def _remove(folder: Path) -> None:
    """Remove a folder into which a thread of tantivy, begun by opening, may yet write a lock."""
    for _ in range(MOST_REMOVALS):
        rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


def check_synonyms(content: bytes, language: str) -> None:
    """Raise SynonymError where a file of synonyms cannot be read in a language."""
    analysis = Analysis(language)
    Synonyms(read_rules(content), lambda text: query_terms(analysis, text))


def _register(index: tantivy.Index, language: str) -> None:
    index.register_tokenizer(ANALYZER, analyzer(language, pieces=True))
    index.register_tokenizer(CODES, code_analyzer())


def _add(
    index: tantivy.Index,
    analysis: Analysis,
    weights: Mapping[str, float],
    documents: Iterable[Document],
    counts: WordCounts,
    postings: PostingsWriter,
) -> int:
    """Add and commit the documents, count their words and terms, and return how many there are."""
    writer = index.writer(heap_size=HEAP_BYTES, num_threads=1)
    num_rows = 0
    remembered = lru_cache(REMEMBERED_TEXTS)(analysis.document)  # brands and paths come again
    for document in documents:
        texts = {name: document.get(name, "") for name in weights}
        read = {
            name: (remembered if len(text) <= LONGEST_REMEMBERED else analysis.document)(name, text)
            for name, text in texts.items()
            if text
        }
        counts.add(w for one in read.values() for w in one.words if not is_fragment(w))
        postings.add({name: one.terms for name, one in read.items()})
        entry = tantivy.Document(**{name: one.text for name, one in read.items() if one.text})
        entry.add_unsigned("row", num_rows)
        writer.add_document(entry)
        num_rows += 1
    writer.commit()
    writer.wait_merging_threads()
    return num_rows


def _looked_up(relaxation: QueryRelaxation, analysis: Analysis) -> Iterator[str]:
    """Yield the words that synonyms are looked up by; of longer phrases those of the lexicon.

    The others are names or misspelt themselves, and no word is to be corrected to such.
    """
    for rule in read_rules(relaxation.synonyms):
        for phrase in rule.left:
            words = [token.word for token in analysis.tokens(analysis.fold(phrase))]
            yield from (word for word in words if len(words) == 1 or word in relaxation.lexicon)


def _settings(folder: Path) -> LexicalSettings:
    try:
        settings = msgspec.json.decode((folder / SETTINGS).read_bytes(), type=LexicalSettings)
    except msgspec.ValidationError as e:
        raise DamagedIndex(
            f"{folder.name} is of another version ({e}); open it with the version that built it, "
            "or build again"
        ) from None
    if settings.language not in LANGUAGES:
        raise DamagedIndex(
            f"{folder.name} holds words read as {settings.language!r}; this version reads "
            f"{', '.join(LANGUAGES)}; open it with the version that built it, or build again"
        )
    return settings


def _schema(fields: Iterable[str]) -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("row", indexed=True, fast=True)
    for name in fields:
        tokenizer = CODES if name == CODES else ANALYZER
        builder.add_text_field(name, tokenizer_name=tokenizer, index_option="position")
    return builder.build()
