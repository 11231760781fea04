"""The bodies of requests and responses over HTTP, beside the nouns."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from pipelines.engine.decoding import read_noun, refuse_control_characters
from pipelines.errors import RequestError
from pipelines.live.change_log import Outcome
from pipelines.live.changes import Change, NewValues, RejectedChange, read_change
from pipelines.live.product_rules import RuleError, checked_id, cleaned_product
from retrieval import Product, Query, Slate, Stage
from retrieval.types import Matched, Noun, ProductId

BODIES: dict[type[Noun], str] = {  # what a change is sent as
    Product: 'send one JSON object in UTF-8, such as {"id": "p1", "title": "Oat milk", "price": 2}',
    NewValues: 'send one JSON object in UTF-8, such as {"price": 2.5}',
}

MOST_LINES = 10_000  # of a bulk
NOT_UTF8 = "has bytes behind `%` that are not UTF-8; escape the bytes of UTF-8"


class Failure(Noun, frozen=True, kw_only=True):
    """What was wrong: the field, where one is to blame, and what to do."""

    field: str = ""
    message: str
    status: int


class FailureBody(Noun, frozen=True, kw_only=True):
    """The body of every answer that is an error."""

    error: Failure


class Candidate(Noun, frozen=True, kw_only=True):
    """One proposed product: its fused score, and what each channel that proposed it thinks."""

    id: str
    score: float
    channels: dict[str, float]


class CandidateList(Noun, frozen=True, kw_only=True):
    """What retrieval proposes, best first, for a system that ranks on its own."""

    candidates: tuple[Candidate, ...]
    stage: Stage
    release: str
    timings_ms: dict[str, float]
    matched: Matched | None = None
    cursor: str = ""


class Taken(Noun, frozen=True, kw_only=True):
    """A change that is on the disk and in every answer from now on."""

    id: str
    sequence: int


class LineStatus(Noun, frozen=True, kw_only=True):
    """What became of one line of a bulk: taken under a number, or refused with the reason."""

    line: int
    status: int
    id: str = ""
    sequence: int | None = None
    error: Failure | None = None


class Shoppers(Noun, frozen=True, kw_only=True):
    """Some known shoppers."""

    shoppers: tuple[str, ...]


class Completions(Noun, frozen=True, kw_only=True):
    """What may be meant by the beginning of a search, the likeliest first."""

    completions: tuple[str, ...]


class Health(Noun, frozen=True, kw_only=True):
    """The process lives."""

    status: Literal["ok"] = "ok"


class Readiness(Noun, frozen=True, kw_only=True):
    """The release that answers."""

    status: Literal["ready"] = "ready"
    release: str


def prefix(text: str) -> str:
    """Return the beginning of a search, or RequestError."""
    refuse_control_characters("q", text)
    return text


def read_product(body: bytes) -> Product:
    """Return the product of a body, cleaned, or RequestError with the field's name."""
    product = read_noun(body, Product, {"": Product}, BODIES[Product])
    try:
        return cleaned_product(product)
    except RuleError as e:
        raise RequestError(e.field, str(e)) from None


def read_values(body: bytes) -> NewValues:
    """Return the new price and availability of a body, or RequestError with the field's name."""
    return read_noun(body, NewValues, {"": NewValues}, BODIES[NewValues])


def product_id(text: str) -> str:
    """Return the id of a path, or RequestError."""
    try:
        name: str = msgspec.convert(text, ProductId)
    except msgspec.ValidationError as e:
        raise RequestError("id", str(e)) from None
    if not name.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in name):
        raise RequestError("id", "is not UTF-8; write the id's bytes in UTF-8, as %C3%A9 for é")
    refuse_control_characters("id", name)
    try:
        return checked_id(name)
    except RuleError as e:
        raise RequestError("id", str(e)) from None


def read_lines(body: bytes) -> list[Change | RejectedChange]:
    """Return the changes of a bulk, one JSON object a line, or RequestError where it has too many.

    A line that is not a change is a refusal, and stops no other.
    """
    lines = body.removesuffix(b"\n").split(b"\n")
    if len(lines) > MOST_LINES:
        raise RequestError("body", f"has {len(lines):,} lines; send at most {MOST_LINES:,} at once")
    return [_read_line(line) for line in lines]


def _read_line(line: bytes) -> Change | RejectedChange:
    change = read_change(line)
    if isinstance(change, RejectedChange):
        return change
    try:
        refuse_repeated_keys(line)
    except RequestError as e:
        return RejectedChange(400, e.field, e.message)
    return change


def refuse_repeated_keys(body: bytes) -> None:
    """Raise a RequestError where an object of some JSON, which was read, names a field twice."""
    json.loads(body, object_pairs_hook=_without_repeats, parse_int=str, parse_float=str)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise RequestError(name[:80], "is written twice in one object; write it once")
    return fields


def line_statuses(changes: Sequence[Change | RejectedChange], outcomes: Sequence[Outcome]) -> bytes:
    """Return a line for each line that was sent, in their order; `outcomes` are of the changes."""
    coming = iter(outcomes)
    statuses = (
        _line_status(place, one, one if isinstance(one, RejectedChange) else next(coming))
        for place, one in enumerate(changes, start=1)
    )
    return b"".join(msgspec.json.encode(status) + b"\n" for status in statuses)


def _line_status(line: int, change: Change | RejectedChange, outcome: Outcome) -> LineStatus:
    name = "" if isinstance(change, RejectedChange) else change.id
    if isinstance(outcome, int):
        return LineStatus(line=line, status=200, id=name, sequence=outcome)
    failure = Failure(field=outcome.field, message=outcome.message, status=outcome.status)
    return LineStatus(line=line, status=outcome.status, id=name, error=failure)


def explained(query: Query, *, explain: bool) -> Query:
    """Return the same request, told to explain if either place asks for it."""
    return msgspec.structs.replace(query, explain=query.explain or explain)


def for_search(query: Query) -> Query:
    """Return a query that says or shows what is looked for, or RequestError."""
    if not query.is_search:
        raise RequestError("text", "a search needs a text or an image; /v1/recommend needs neither")
    return query


def for_recommendation(query: Query) -> Query:
    """Return a query without text and image, or RequestError."""
    if query.is_search:
        field = "text" if query.text.strip() else "image"
        raise RequestError(field, "is for /v1/search; a recommendation is asked without it")
    return query


def for_retrieval(query: Query) -> Query:
    """Return a query that leaves the candidates open, or RequestError."""
    if query.candidates is not None:
        raise RequestError("candidates", "is for /v1/rank; here the candidates are the answer")
    return query


def for_ranking(query: Query) -> Query:
    """Return a query with candidates, or RequestError."""
    if query.candidates is None:
        raise RequestError("candidates", "is missing; send the ids of the products to rank")
    return query


def candidate_list(slate: Slate) -> CandidateList:
    """Return the light form of an answer: ids and scores, no product."""
    return CandidateList(
        candidates=tuple(
            Candidate(id=placed.product.id, score=placed.score, channels=placed.channels)
            for placed in slate.products
        ),
        stage=slate.stage,
        release=slate.release,
        timings_ms=slate.timings_ms,
        matched=slate.matched,
        cursor=slate.cursor,
    )
