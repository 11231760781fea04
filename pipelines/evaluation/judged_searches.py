"""Judges searches by patterns of what fits: the first answer, and the first few."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from scipy.stats import binomtest

from pipelines.config.sections import OFFLINE_DEADLINE_MS
from pipelines.engine.engine import Engine
from pipelines.errors import UserError
from pipelines.progress import Track
from pipelines.tables import table
from retrieval import Product, Query, Stage

COLUMNS = ("text", "fits", "does not fit")
SHOWN = 34  # characters of a title in a table
MOST_BYTES = 4_000_000  # of a file


class SearchListError(UserError):
    """A list of searches that cannot be read; names the file and the line."""


class JudgedSearch(NamedTuple):
    """A search, and what of the shop fits it."""

    text: str
    fits: re.Pattern[str]
    unfit: re.Pattern[str] | None

    def accepts(self, product: Product) -> bool:
        """Tell whether a product fits: by its title or its category paths, letter case aside."""
        return self.fits_text(_text(product.title, product.categories))

    def fits_text(self, text: str) -> bool:
        """Tell the same of the title and the categories of a product as one text."""
        return bool(self.fits.search(text)) and not (self.unfit and self.unfit.search(text))


class JudgedAnswer(NamedTuple):
    """The titles that a search was answered with, and whether each fits."""

    text: str
    titles: tuple[str, ...]
    fit: tuple[bool, ...]
    possible: int  # products of the shop that fit, up to the depth


class SearchReport(NamedTuple):
    """How many searches are answered with what fits."""

    answers: tuple[JudgedAnswer, ...]
    k: int

    @property
    def first(self) -> float:
        """The share of searches whose first answer fits; without an answer, none does."""
        return sum(answer.fit[:1] == (True,) for answer in self.answers) / len(self.answers)

    @property
    def among(self) -> float:
        """The share of the first `k` places that fit, of those that fitting products could fill."""
        possible = sum(answer.possible for answer in self.answers)
        return sum(sum(answer.fit) for answer in self.answers) / max(possible, 1)

    @property
    def shown(self) -> float:
        """The share of all products shown that fit."""
        shown = sum(len(answer.fit) for answer in self.answers)
        return sum(sum(answer.fit) for answer in self.answers) / max(shown, 1)

    def table(self) -> str:
        """Write what does not fit, a line a search, and the two shares."""
        rows = [
            (answer.text, "".join("-+"[fit] for fit in answer.fit) or "nothing", _unfit(answer))
            for answer in self.answers
            if sum(answer.fit) < answer.possible or not all(answer.fit)
        ]
        text = table(("search", "fit", "does not fit"), rows) if rows else ""
        count = len(self.answers)
        interval = binomtest(round(self.first * count), count).proportion_ci(method="wilson")
        return (
            f"{text}the first answer fits in {self.first:.4f} of {count:,} searches "
            f"(95 % interval {interval.low:.4f} to {interval.high:.4f}), "
            f"fitting products fill {self.among:.4f} of the first {self.k} places that they could, "
            f"and are {self.shown:.4f} of what is shown there"
        )


def read_searches(path: Path) -> tuple[JudgedSearch, ...]:
    """Return the searches of a file of tab-separated lines, or SearchListError.

    Its columns are `text`, `fits` and `does not fit`: what is typed, and regular expressions of
    what the title or a category path of a product has that fits, and must not have.
    """
    try:
        content = path.read_bytes()[: MOST_BYTES + 1]
        lines = content.decode("utf-8-sig").splitlines()
    except OSError as e:
        raise SearchListError(f"{path} cannot be read: {e.strerror}") from None
    except UnicodeDecodeError as e:
        raise SearchListError(f"{path} is not UTF-8 (byte {e.start:,}); save it as UTF-8") from None
    if len(content) > MOST_BYTES:
        raise SearchListError(f"{path} has more than {MOST_BYTES:,} bytes; split it")
    reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    header = tuple(next(reader, ()))
    if header[:2] != COLUMNS[:2] or header[2:] not in ((), COLUMNS[2:]):
        raise SearchListError(
            f"{path}, line 1: the columns are {', '.join(header) or 'none'}; expected "
            f"{', '.join(COLUMNS)}, separated by tabs"
        )
    searches = tuple(_search(path, reader.line_num, row) for row in reader if any(row))
    if not searches:
        raise SearchListError(f"{path} has a header but no searches")
    return searches


def judge_searches(
    engine: Engine, searches: Sequence[JudgedSearch], k: int, track: Track, stage: Stage
) -> SearchReport:
    """Ask a release each search, and tell which of the first `k` answers fit."""
    answers, said = [], _said(engine)
    for search in track(searches, "search", len(searches)):
        query = Query(text=search.text, k=k, deadline_ms=OFFLINE_DEADLINE_MS)
        products = [placed.product for placed in engine.answer(query, stage).products]
        titles = tuple(product.title for product in products)
        fit = tuple(map(search.accepts, products))
        fitting = sum(count for text, count in said.items() if search.fits_text(text))
        answers.append(JudgedAnswer(search.text, titles, fit, max(min(fitting, k), sum(fit))))
    return SearchReport(tuple(answers), k)


def _text(title: str, categories: Sequence[str]) -> str:
    return f"{title} | {' | '.join(categories)}"


def _said(engine: Engine) -> Counter[str]:
    """Count the products of a release by title and categories."""
    products = engine.probe.parts.products
    return Counter(map(_text, products.column("title"), products.column("categories")))


def _search(path: Path, line: int, row: Sequence[str]) -> JudgedSearch:
    text, fits, unfit = [*row, "", ""][:3]
    if not text.strip() or not fits.strip() or len(row) > len(COLUMNS):
        raise SearchListError(
            f"{path}, line {line}: {len(row)} cells; expected a text, what fits, and perhaps what "
            "does not, separated by tabs"
        )
    try:
        patterns = [re.compile(pattern, re.IGNORECASE) for pattern in (fits, unfit)]
    except re.error as e:
        raise SearchListError(
            f"{path}, line {line}: {e.pattern!r} is no regular expression: {e}"
        ) from None
    return JudgedSearch(text, patterns[0], patterns[1] if unfit else None)


def _unfit(answer: JudgedAnswer) -> str:
    titles = [title for title, fit in zip(answer.titles, answer.fit, strict=True) if not fit]
    return " / ".join(title[:SHOWN] for title in dict.fromkeys(titles))
