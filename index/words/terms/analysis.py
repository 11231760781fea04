"""Text analysis: splits texts into words and reduces them to stems, by language."""

from collections.abc import Iterator
from typing import NamedTuple

import regex
import tantivy

from index.words.terms.codes import FIELD as CODES
from index.words.terms.codes import document_codes
from index.words.terms.folding import folder, plain_text
from index.words.terms.heads import FIELD as HEAD
from index.words.terms.heads import head_of
from index.words.terms.measures import MARK, with_numerals
from index.words.terms.pieces import Piece, PieceReader, Words, document_pieces
from index.words.terms.segmentation import query_words

LANGUAGES = (  # languages for which tantivy has a stemmer
    "arabic", "danish", "dutch", "english", "finnish", "french", "german", "greek",
    "hungarian", "italian", "norwegian", "portuguese", "romanian", "russian", "spanish", "swedish",
    "tamil", "turkish", "none",
)  # fmt: skip
STOP_WORDS = frozenset(  # languages for which tantivy has a list of them
    ("danish", "dutch", "english", "finnish", "french", "german", "hungarian", "italian",
     "norwegian", "portuguese", "russian", "spanish", "swedish")
)  # fmt: skip

NEGATIONS = frozenset(("no", "not", "kein", "keine", "nicht", "sans", "sin", "senza", "sem"))
_RUNS_OF_LETTERS = regex.compile(r"[\p{L}\p{M}\p{N}]+")
PART_OF_MEASURE, NUMBER_ALONE, WITHOUT_SIGN = 0.8, 0.3, 0.5  # 500ml of 2x500ml, 500, c of c++

# English plurals that its stemmer does not bring together with their singular.
_IRREGULAR = """
    knives:knife wives:wife lives:life loaves:loaf leaves:leaf shelves:shelf halves:half
    calves:calf wolves:wolf scarves:scarf elves:elf hooves:hoof thieves:thief selves:self mice:mouse
    geese:goose feet:foot teeth:tooth men:man women:woman children:child people:person oxen:ox
    dice:die lice:louse bookshelves:bookshelf housewives:housewife snowmen:snowman
    grandchildren:grandchild penknives:penknife mens:man womens:woman childrens:child
"""
# Words that the stemmer takes for others, as icing for ice: their terms are marked.
_OWN_STEMS = """
    icing dressing:dressings seasoning:seasonings topping:toppings stuffing stocking:stockings
    corned greens shorts
"""
IRREGULAR = {plural: one for plural, one in (pair.split(":") for pair in _IRREGULAR.split())}
IRREGULAR |= {
    form: f"{MARK}{forms[0]}{MARK}"
    for forms in (one.split(":") for one in _OWN_STEMS.split())
    for form in forms
}


class QueryToken(NamedTuple):
    """A word, a measure or a pair of characters of a query: as written, and its term."""

    word: str
    term: str
    kind: str = "word"  # or "measure", "characters"
    start: int = 0  # in the folded query
    joined: bool = False  # to the token before it, as `fi` in wi-fi
    others: tuple[tuple[str, float], ...] = ()  # terms that say less, and how much they count


class DocumentText(NamedTuple):
    """One field of a document as it is indexed."""

    text: str  # as tantivy takes it: in order, behind that by which it is also found
    words: list[str]
    terms: list[str]  # that it is found by, in order, each as often as met


class Analysis:
    """How an index of a language reads texts: folded, in words, measures, characters and codes."""

    def __init__(self, language: str) -> None:
        self._language = language
        self._stemming, self._codes = analyzer(language, pieces=True), code_analyzer()
        self._pieces = PieceReader(language)
        self._irregular = IRREGULAR if language == "english" else {}
        self._content_words = _without_stop_words(language)
        self._fold = folder(language)

    def fold(self, query: str) -> str:
        """Return a text as its pieces are read."""
        return with_numerals(self._fold(query))

    def tokens(self, folded: str) -> list[QueryToken]:
        """Return the tokens of a folded query in order."""
        return [token for piece in self._pieces.read(folded) for token in self._tokens(piece)]

    def _tokens(self, piece: Piece) -> Iterator[QueryToken]:
        if piece.kind == "characters":
            for pair in piece.terms:
                yield QueryToken(pair, pair, piece.kind, piece.start)
        elif piece.kind == "measure":
            first, *parts = piece.terms
            others = [(part, PART_OF_MEASURE) for part in parts]
            if not parts:
                others = [(word, NUMBER_ALONE) for word in piece.extra[:1]]
            yield QueryToken(piece.text, first, piece.kind, piece.start, False, tuple(others))
        else:
            [word] = piece.terms
            without_sign = tuple((self.stem(plain), WITHOUT_SIGN) for plain in piece.extra)
            kind, start, joined = piece.kind, piece.start, piece.joined
            yield QueryToken(word, self.stem(word), kind, start, joined, without_sign)

    def document(self, field: str, text: str) -> DocumentText:
        """Return a field of a document as it is indexed.

        Of a title in the field HEAD only its head is taken. Words that are also an amount, as in
        `half gallon`, stay words beside it.
        """
        plain = plain_text(text)
        read = self._fold(head_of(plain, self._language) if field == HEAD else plain)
        folded = with_numerals(read)
        if field == CODES:
            codes = " ".join(document_codes(folded))
            return DocumentText(codes, [], self._codes.analyze(codes))
        words, extra = document_pieces(self._pieces, folded)
        if folded != read:
            said, _ = document_pieces(self._pieces, read)
            extra += [word for word in said if word not in (*words, *extra)]
        regular = [self._irregular.get(word, word) for word in words] if self._irregular else words
        indexed = " ".join([*regular, *extra])
        return DocumentText(indexed, [*words, *extra], self._stemming.analyze(indexed))

    def stem(self, word: str) -> str:
        """Return the term of one word; the word itself if the analysis leaves nothing of it."""
        terms: list[str] = self._stemming.analyze(self._irregular.get(word, word))
        return terms[0] if terms else word

    def head(self, text: str) -> str:
        """Return the head of a query; "" where it has none, and in all languages but English.

        That a head weighs more was measured in English alone.
        """
        return head_of(text, self._language) if self._language == "english" else ""

    def is_filler(self, word: str) -> bool:
        """Tell whether a word says nothing beside others, such as `and`; `no` and `not` do."""
        return word not in NEGATIONS and not self._content_words.analyze(word)


def query_terms(analysis: Analysis, text: str) -> Words:
    """Return the terms that the words of a text are looked up by."""
    return tuple(token.term for token in analysis.tokens(analysis.fold(text)))


class WordReader:
    """Splits texts into words as the index of a language does: lower case, no accents, stems."""

    def __init__(self, language: str = "english") -> None:
        self._plain, self._stemming = analyzer("none"), analyzer(language)
        self._fold, self._pieces = folder(language), PieceReader(language)
        self._content_words = _without_stop_words(language)

    def words(self, text: str) -> list[str]:
        """Return the words of a text in order, as they are written; pairs of CJK characters."""
        words: list[str] = self._plain.analyze(query_words(text))
        return words

    def folded(self, text: str) -> list[str]:
        """Return the words of a text as an index folds them, each run of letters in one piece."""
        words: list[str] = _RUNS_OF_LETTERS.findall(self._fold(text))
        return words

    def is_filler(self, word: str) -> bool:
        """Tell whether a word is a stop word, such as `with`, or no word at all."""
        return not self._content_words.analyze(word)

    def stems(self, text: str) -> list[str]:
        """Return the stem of each word of `words`, in the same order."""
        stems: list[str] = self._stemming.analyze(query_words(text))
        return stems


def _without_stop_words(language: str) -> tantivy.TextAnalyzer:
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    builder = builder.filter(tantivy.Filter.lowercase())
    if language in STOP_WORDS:
        builder = builder.filter(tantivy.Filter.stopword(language))
    return builder.build()


def analyzer(language: str, *, pieces: bool = False) -> tantivy.TextAnalyzer:
    """Return tantivy's analyzer of a language; ValueError if it has none.

    It splits at spaces and signs; `pieces` are split already, and stand between spaces. It drops
    accents before it stems, so that a word has one term with and without them.
    """
    if language not in LANGUAGES:
        raise ValueError(f"unknown language {language!r}; choose one of {', '.join(LANGUAGES)}")
    tokenizer = tantivy.Tokenizer.whitespace() if pieces else tantivy.Tokenizer.simple()
    builder = (
        tantivy.TextAnalyzerBuilder(tokenizer)
        .filter(tantivy.Filter.remove_long(64))
        .filter(tantivy.Filter.lowercase())
        .filter(tantivy.Filter.ascii_fold())
    )
    if language != "none":
        builder = builder.filter(tantivy.Filter.stemmer(language))
    return builder.build()


def code_analyzer() -> tantivy.TextAnalyzer:
    """Return the analyzer of codes, which have no endings."""
    return tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
