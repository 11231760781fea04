"""Query completions: weighted phrases of titles and past searches, looked up by prefix."""

from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
import pyarrow.compute as pc
import regex
from jaxtyping import Float64

from index import Completions, Phrase, WordReader
from pipelines.building.context import BuildContext
from pipelines.config.sections import not_hidden
from pipelines.release.layout import COMPLETIONS
from pipelines.release.manifest import Measurements
from retrieval import EventType

LONGEST_PHRASE = 4  # words
LONGEST_KEY = 60  # characters
MOST_TITLES = 200_000  # read for phrases, the most bought first
MOST_COUNTED = 2_000_000  # phrases; beyond it, those met once are forgotten
LEAST_PRODUCTS = 2  # that have a phrase of several words
LEAST_USERS = 3  # that made a search, for others to be offered it
REMEMBERED_WORDS = 200_000

PARTS = regex.compile(r"[,;:|()\[\]{}/•·–—]|\s-\s|\.\s")  # noqa: RUF001 - what ends a phrase
WORDS = regex.compile(r"[\p{L}\p{M}\p{N}]+(?:['’&.+-][\p{L}\p{M}\p{N}]+)*")  # noqa: RUF001


def write_completions(context: BuildContext) -> Measurements:
    """Write the phrases that a search may be completed to; return how many there are."""
    reader = WordReader(context.config.retrieval.language)
    phrases = title_phrases(context, reader)
    searches = past_searches(context, reader)
    first = max((phrase.weight for phrase in phrases.values()), default=0.0)
    for key, phrase in searches.items():  # what shoppers say comes before what titles say
        phrases[key] = Phrase(phrase.shown, first + phrase.weight)
    Completions.of(phrases).save(context.folder / COMPLETIONS)
    return {"completions": len(phrases), "completions_searched": len(searches)}


def title_phrases(context: BuildContext, reader: WordReader) -> dict[str, Phrase]:
    """Return the phrases of titles, brands and categories, by key.

    A phrase weighs `sum over the products that have it of 1 + log(1 + times bought)`.
    """
    products = context.products
    sold = np.bincount(context.written_log.purchases.rows, minlength=products.size)
    shown = np.flatnonzero(products.allowed(not_hidden(context.config)))
    chosen = shown[np.argsort(-sold[shown], kind="stable")[:MOST_TITLES]]
    weights = 1 + np.log1p(sold)
    titles, brands, paths = (products.column(name) for name in ("title", "brand", "categories"))
    texts = ([titles[row] or "", brands[row] or "", *_leaves(paths[row])] for row in chosen)
    return counted(texts, weights[chosen], reader)


def counted(
    texts: Iterable[list[str]], weights: Float64[np.ndarray, "n"], reader: WordReader
) -> dict[str, Phrase]:
    """Return the phrases of several products' texts, given what each product weighs."""
    folded = lru_cache(REMEMBERED_WORDS)(lambda word: " ".join(reader.folded(word)))
    fillers = lru_cache(REMEMBERED_WORDS)(reader.is_filler)
    found: dict[str, tuple[str, int, float]] = {}
    for several, weight in zip(texts, weights.tolist(), strict=True):
        mine = {
            " ".join(map(folded, words)): " ".join(words)
            for text in several
            for words in _phrases(text)
            if not (fillers(words[0]) or fillers(words[-1]))
        }
        for key, shown in mine.items():
            known, times, sum_of = found.get(key, (shown, 0, 0.0))
            found[key] = (known, times + 1, sum_of + weight)
        if len(found) > MOST_COUNTED:
            found = {key: one for key, one in found.items() if one[1] > 1}
    usual = {
        key: Phrase(shown, sum_of)
        for key, (shown, times, sum_of) in found.items()
        if _says_something(key) and (times >= LEAST_PRODUCTS or " " not in key)
    }
    return _without_fragments(usual)


def past_searches(context: BuildContext, reader: WordReader) -> dict[str, Phrase]:
    """Return the logged searches of several shoppers before `until`, weighed by their number.

    One of fewer than LEAST_USERS is kept to those who made it, as are all without consent to train.
    """
    users: dict[str, set[str]] = {}
    shown: dict[str, str] = {}
    for text, user in _searches(context):
        key = " ".join(reader.folded(text))
        if key and len(key) <= LONGEST_KEY:
            shown.setdefault(key, " ".join(text.lower().split()))
            users.setdefault(key, set()).add(user)
    return {
        key: Phrase(shown[key], float(len(who)))
        for key, who in users.items()
        if len(who) >= LEAST_USERS and shown[key].isprintable()
    }


def _searches(context: BuildContext) -> Iterator[tuple[str, str]]:
    columns = ["type", "user", "text", "consent"]
    for batch in context.shop.event_batches(context.until, columns):
        searched = pc.equal(batch.column("type"), EventType.SEARCH.value)
        allowed = pc.struct_field(batch.column("consent"), "train")
        kept = batch.filter(pc.and_(searched, allowed))
        yield from zip(
            kept.column("text").to_pylist(), kept.column("user").to_pylist(), strict=True
        )


def _phrases(text: str) -> Iterator[list[str]]:
    """Yield runs of up to LONGEST_PHRASE words in lower case, none across a comma."""
    for part in PARTS.split(text):
        words = [word.lower() for word in WORDS.findall(part)]
        for start in range(len(words)):
            for end in range(start + 1, min(start + LONGEST_PHRASE, len(words)) + 1):
                yield words[start:end]


def _leaves(paths: list[str] | None) -> list[str]:
    return [path.rpartition(" > ")[2] for path in paths or ()]


def _says_something(key: str) -> bool:
    return 2 <= len(key) <= LONGEST_KEY and any(map(str.isalpha, key))


def _without_fragments(phrases: dict[str, Phrase]) -> dict[str, Phrase]:
    """Leave out phrases of several words that always go on with one and the same word."""
    fragments = {
        start
        for key, phrase in phrases.items()
        if " " in (start := key.rpartition(" ")[0])
        and start in phrases
        and phrases[start].weight <= phrase.weight
    }
    return {key: phrase for key, phrase in phrases.items() if key not in fragments}
