"""Answers a file of requests, one JSON object a line, into a TREC run."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from pipelines.durable.files import replaced_file
from pipelines.engine.answering import Answering
from pipelines.errors import RequestError, UserError
from pipelines.evaluation.requests import Request, RunError, read_request, request_lines, to_query
from pipelines.progress import Track
from retrieval import Slate, Stage

NAMED_MISSING = 5  # candidates that a note names
LEAST_STEP = 1e-30  # between two scores, so that they stay apart around 0 for every reader


class RunReport(NamedTuple):
    """The result of a run: answers, failed lines and notes; line numbers count from 1."""

    answered: int
    failures: list[tuple[int, str]]  # lines that are not in the run
    notes: list[tuple[int, str]]  # lines that are, with something worth knowing
    stages: dict[str, int]  # how many answers came from each stage


def run(requests: Path, engine: Answering, out: Path, stage: Stage, track: Track) -> RunReport:
    """Write the answers in order, and return which lines have none and why.

    `out` appears when all lines were tried, or not at all. An answer without products has no line.
    """
    answered: dict[str, int] = {}
    failures, notes, stages = [], [], Counter[str]()
    with _draft(_safe(out, requests)) as file:
        for number, line in track(request_lines(requests), "answer requests", _count(requests)):
            try:
                request = read_request(line)
                name = _new_name(request, answered)
                slate = engine.answer(to_query(request, requests.parent), stage)
                page = trec_lines(name, slate)
            except UserError as e:
                failures.append((number, str(e)))
                continue
            file.writelines(page)
            answered[name] = number
            stages[slate.stage] += 1
            notes += [(number, note) for note in _notes(request, slate)]
        if not answered and not failures:
            raise RunError(f"{requests} holds no request; expected one JSON object a line")
    return RunReport(len(answered), failures, notes, dict(stages))


def trec_lines(name: str, slate: Slate) -> list[str]:
    """Write a slate as `name Q0 product position score vetrina`, best first."""
    ids = [placed.product.id for placed in slate.products]
    scores = falling([placed.score for placed in slate.products])
    return [
        f"{name} Q0 {_word('product id', product_id)} {position} {score!s} vetrina\n"
        for position, (product_id, score) in enumerate(zip(ids, scores, strict=True), start=1)
    ]


def falling(scores: Sequence[float]) -> list[np.float32]:
    """Return the scores, each lowered as little as it takes to fall strictly.

    In 32 bits, because trec_eval reads so many and would reorder what is equal in them.
    """
    with np.errstate(over="ignore"):
        given = np.asarray(scores, np.float64).astype(np.float32)
    if not np.isfinite(given).all():
        place = int(np.flatnonzero(~np.isfinite(given))[0])
        raise RunError(f"the score at position {place + 1} is {scores[place]}, no 32-bit number")
    result: list[np.float32] = []
    for score in given:
        result.append(min(score, _below(result[-1])) if result else score)
    return result


def _below(score: np.float32) -> np.float32:
    return min(np.nextafter(score, np.float32(-np.inf)), score - np.float32(LEAST_STEP))


def _new_name(request: Request, answered: dict[str, int]) -> str:
    name = _word("id", str(request.id))
    if name in answered:
        raise RequestError("id", f"{name!r} was answered on line {answered[name]}; ids are unique")
    return name


def _word(what: str, text: str) -> str:
    """Return an id that a TREC line can carry; it is never changed to fit."""
    if text.split() != [text]:
        raise RequestError(what, f"{text!r} holds white space, which a TREC run cannot carry")
    return text


def _notes(request: Request, slate: Slate) -> Iterator[str]:
    if slate.missing:
        named = ", ".join(slate.missing[:NAMED_MISSING])
        more = ", ..." if len(slate.missing) > NAMED_MISSING else ""
        asked = len(request.candidates or ())
        yield (
            f"{len(slate.missing):,} of {asked:,} candidates are not in the release: {named}{more}"
        )
    if not slate.products:
        yield "no product fits, so the run has no line for it"


def _count(path: Path) -> int | None:
    """Return about how many lines there are, or None where reading would use them up."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def _safe(out: Path, requests: Path) -> Path:
    """Return where to write, links followed, or RunError before any work is done."""
    if out.exists() and not out.is_file():
        raise RunError(f"{out} is not a file; give --out the name of the run to write")
    if out.exists() and requests.exists() and out.samefile(requests):
        raise RunError(f"{out} holds the requests; give --out another name")
    return out.resolve()


@contextmanager
def _draft(out: Path) -> Iterator[IO[str]]:
    """Open a file beside `out` that takes its name at the end, or vanishes on an exception."""
    try:
        with (
            replaced_file(out) as draft,
            draft.open("w", encoding="utf-8", newline="\n") as file,
        ):
            yield file
    except OSError as e:
        raise RunError(f"{e.filename or out}: {e.strerror}; no run was written") from None
