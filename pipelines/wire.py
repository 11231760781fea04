"""The format on the wire: bytes to a Query, or an error that names the field; errors to bytes."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypeVar

import msgspec

from pipelines.errors import RequestError
from pipelines.live.changes import Change, NewValues, Refusal, read_change
from pipelines.live.log import Outcome
from retrieval import Availability, Placement, Product, Query, Scene, Slate, Stage
from retrieval.types import Collapse, Facet, Matched, Noun, ProductId, Sort

NOUNS: dict[str, type[Noun]] = {  # where an unknown field can stand
    "": Query,
    "scene": Scene,
    "facets": Facet,
    "sort": Sort,
    "collapse": Collapse,
}
BODIES: dict[type[Noun], str] = {  # what a change is sent as
    Product: 'send one JSON object in UTF-8, such as {"id": "p1", "title": "Oat milk", "price": 2}',
    NewValues: 'send one JSON object in UTF-8, such as {"price": 2.5}',
}
HINTS = {  # what to do, where the message of the decoder does not say it
    "body": 'send one JSON object in UTF-8, such as {"text": "oat milk", "k": 20}',
    "image": "send a JPEG, PNG, WebP, GIF or BMP picture of at most 10 MB as plain base64 "
    "(no `data:` in front, no line breaks)",
    "availability": f"write one of {', '.join(Availability)}",
    "scene.placement": f"write one of {', '.join(Placement)}",
    "scene.at": "write the shop's local time, such as 2017-11-15T08:30:00",
    "filter": "position 10001 is one too many",
    "facets": 'send at most 20, such as {"field": "brand"} or {"field": "price", "intervals": '
    "[[null, 10], [10, 20]]}",
    "sort": 'send at most 4, such as {"field": "price", "order": "desc"}',
    "collapse": 'send for example {"field": "item_group_id"}',
    "cursor": "send one as it was given, or * to begin a list",
    "candidates": "send the ids of at most 100,000 products",
    "liked": 'send at most 100 product ids with weights above 0 and up to 1: {"p17": 1.0}',
    "disliked": 'send at most 100 product ids with weights above 0 and up to 1: {"p17": 1.0}',
}
WHERE = re.compile(r" - at `\$\.?(?P<field>[^`]*)`$")
UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>.*)`", re.DOTALL)
ELEMENT = re.compile(r"\[[^\]]*\]")  # of a list, in the name of a field
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
MOST_LINES = 10_000  # of a bulk
LONGEST_NAME = 80  # characters of a foreign name that a message repeats


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


def read_query(body: bytes) -> Query:
    """Return the request, or RequestError with the field's name and what to send instead."""
    try:
        query = msgspec.json.decode(body, type=Query)
    except msgspec.ValidationError as e:
        raise _invalid(str(e), NOUNS) from None
    except UnicodeDecodeError:
        raise RequestError("body", f"is not UTF-8; {HINTS['body']}") from None
    except msgspec.DecodeError as e:
        raise RequestError("body", f"{e}; {HINTS['body']}") from None
    for field, text in _texts(query):
        _refuse_control_characters(field, text)
    if query.candidates is not None and not query.candidates:
        raise RequestError("candidates", "holds no product; leave it out to ask the whole shop")
    return query


def prefix(text: str) -> str:
    """Return the beginning of a search, or RequestError."""
    _refuse_control_characters("q", text)
    return text


def read_product(body: bytes) -> Product:
    """Return the product of a body, or RequestError with the field's name."""
    return _read(body, Product)


def read_values(body: bytes) -> NewValues:
    """Return the new price and availability of a body, or RequestError with the field's name."""
    return _read(body, NewValues)


def product_id(text: str) -> str:
    """Return the id of a path, or RequestError."""
    try:
        name: str = msgspec.convert(text, ProductId)
    except msgspec.ValidationError as e:
        raise RequestError("id", str(e)) from None
    _refuse_control_characters("id", name)
    return name


def read_lines(body: bytes) -> list[Change | Refusal]:
    """Return the changes of a bulk, one JSON object a line, or RequestError where it has too many.

    A line that is not a change is a refusal, and stops no other.
    """
    lines = body.removesuffix(b"\n").split(b"\n")
    if len(lines) > MOST_LINES:
        raise RequestError("body", f"has {len(lines):,} lines; send at most {MOST_LINES:,} at once")
    return [read_change(line) for line in lines]


def line_statuses(changes: Sequence[Change | Refusal], outcomes: Sequence[Outcome]) -> bytes:
    """Return a line for each line that was sent, in their order; `outcomes` are of the changes."""
    coming = iter(outcomes)
    told = [
        _line_status(place, one, one if isinstance(one, Refusal) else next(coming))
        for place, one in enumerate(changes, start=1)
    ]
    return b"".join(msgspec.json.encode(line) + b"\n" for line in told)


def _line_status(line: int, change: Change | Refusal, outcome: Outcome) -> LineStatus:
    name = "" if isinstance(change, Refusal) else change.id
    if isinstance(outcome, int):
        return LineStatus(line=line, status=200, id=name, sequence=outcome)
    failure = Failure(field=outcome.field, message=outcome.message, status=outcome.status)
    return LineStatus(line=line, status=outcome.status, id=name, error=failure)


N = TypeVar("N", bound=Noun)


def _read(body: bytes, kind: type[N]) -> N:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as e:
        raise _invalid(str(e), {"": kind}, BODIES[kind]) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise RequestError("body", f"{e}; {BODIES[kind]}") from None


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


def _invalid(
    message: str, nouns: Mapping[str, type[Noun]], body: str = HINTS["body"]
) -> RequestError:
    """Turn `Expected ... - at `$.scene.at`` into the field `scene.at` and what to do about it."""
    where = WHERE.search(message)
    field = where["field"] if where else ""
    said = message[: where.start()] if where else message
    if unknown := UNKNOWN.fullmatch(said):
        name = unknown["field"][:LONGEST_NAME]
        known = ", ".join(nouns[ELEMENT.sub("", field)].__struct_fields__)
        return RequestError(
            f"{field}.{name}".lstrip("."), f"is not a field here; choose one of {known}"
        )
    field = field or "body"
    hint = body if field == "body" else HINTS.get(field.partition("[")[0])
    return RequestError(field, f"{said}; {hint}" if hint else said)


def _texts(query: Query) -> Iterator[tuple[str, str]]:
    yield "text", query.text
    yield "user", query.user or ""
    yield "filter", query.filter
    yield "facets", "".join(facet.field for facet in query.facets)
    yield "sort", "".join(sort.field for sort in query.sort)
    yield "collapse", "" if query.collapse is None else query.collapse.field
    yield "cursor", query.cursor
    yield "liked", "".join(query.liked)
    yield "disliked", "".join(query.disliked)
    yield "candidates", "".join(query.candidates or ())
    for name in ("device", "channel", "country"):
        yield f"scene.{name}", getattr(query.scene, name)


def _refuse_control_characters(field: str, text: str) -> None:
    if found := CONTROL.search(text):
        raise RequestError(
            field, f"holds the control character U+{ord(found[0]):04X}; send it without"
        )
