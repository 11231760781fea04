"""Reads TREC runs and judgments."""

import math
from collections.abc import Iterator
from pathlib import Path

from index.lines import bounded_lines
from pipelines.errors import UserError
from pipelines.metrics.ranked_lists import Gains, Rankings

RUN_LINE = "query Q0 product position score tag"
QRELS_LINE = "query 0 product gain"
LONGEST_LINE = 100_000  # bytes; a longer one is no line of these files
SHOWN_CHARACTERS = 80  # of a line that a message repeats


class EvaluationError(UserError):
    """A run or judgments that cannot be measured; names file and line."""


def read_run(path: Path) -> Rankings:
    """Return each query's products by descending score; equal scores by descending id.

    The position column is not looked at, and ties fall as in trec_eval.
    """
    scored: dict[str, dict[str, float]] = {}
    for where, words in _lines(path, RUN_LINE):
        query, _, product, _, score, _ = words
        if product in scored.setdefault(query, {}):
            raise EvaluationError(f"{where}: product {product!r} stands twice in query {query!r}")
        scored[query][product] = _number(where, "score", score)
    return {
        query: [p for _, p in sorted(((s, p) for p, s in products.items()), reverse=True)]
        for query, products in scored.items()
    }


def read_qrels(path: Path) -> Gains:
    """Return the gain of each judged product; gains may be fractions, above 0 is relevant."""
    gains: dict[str, dict[str, float]] = {}
    for where, words in _lines(path, QRELS_LINE):
        query, _, product, gain = words
        if product in gains.setdefault(query, {}):
            raise EvaluationError(f"{where}: product {product!r} is judged twice in {query!r}")
        gains[query][product] = _number(where, "gain", gain)
    if not any(gain > 0 for wanted in gains.values() for gain in wanted.values()):
        raise EvaluationError(f"{path} holds no relevant product: every gain is 0 or less")
    return gains


def read_judgments(path: Path) -> Gains:
    """Return the judgments by query id, so that no figure depends on the order of lines."""
    return dict(sorted(read_qrels(path).items()))


def _lines(path: Path, expected: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the words of each line with its place; EvaluationError unless there are as many."""
    count = len(expected.split())
    empty = True
    try:
        with path.open("rb") as file:
            for number, line in bounded_lines(file, LONGEST_LINE):
                if line is None:
                    raise EvaluationError(
                        f"{path}, line {number}: longer than {LONGEST_LINE:,} bytes; "
                        f"expected lines of `{expected}`"
                    )
                words = _decoded(f"{path}, line {number}", line).split()
                if not words:
                    continue
                empty = False
                if len(words) != count:
                    raise EvaluationError(
                        f"{path}, line {number}: {len(words)} words where {count} are expected "
                        f"({expected}): {_brief(line)}"
                    )
                yield f"{path}, line {number}", words
    except OSError as e:
        raise EvaluationError(f"{path}: {e.strerror}; expected a file of `{expected}`") from None
    if empty:
        raise EvaluationError(f"{path} is empty; expected lines of `{expected}`")


def _decoded(where: str, line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise EvaluationError(f"{where}: not UTF-8 text") from None


def _number(where: str, name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise EvaluationError(f"{where}: the {name} {text[:SHOWN_CHARACTERS]!r} is no number")
    return number


def _brief(line: bytes) -> str:
    text = line.decode(errors="replace").strip()
    return repr(text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…")
