"""Decodes the JSON of a request into a Query, or an error that names the field."""

import re
from collections.abc import Iterator, Mapping
from typing import TypeVar

import msgspec

from pipelines.errors import RequestError, json_fault
from retrieval import Availability, EventType, Placement, Query, Scene
from retrieval.types import Collapse, Facet, Noun, Sort

NOUNS: dict[str, type[Noun]] = {  # where an unknown field can stand
    "": Query,
    "scene": Scene,
    "facets": Facet,
    "sort": Sort,
    "collapse": Collapse,
}

HINTS = {  # what to do, where the message of the decoder does not say it
    "body": 'send one JSON object in UTF-8, such as {"text": "oat milk", "k": 20}',
    "image": "send a JPEG, PNG, WebP, GIF or BMP picture of at most 10 MB as plain base64 "
    "(no `data:` in front, no line breaks)",
    "type": f"write one of {', '.join(EventType)}",
    "availability": f"write one of {', '.join(Availability)}",
    "scene.placement": f"write one of {', '.join(Placement)}",
    "scene.at": "write the shop's local time, such as 2017-11-15T08:30:00, or name its offset",
    "start": "write a moment such as 2024-06-01T00:00:00, local or with its offset",
    "end": "write a moment such as 2024-07-01T00:00:00, local or with its offset",
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
LONGEST_NAME = 80  # characters of a foreign name that a message repeats
N = TypeVar("N", bound=Noun)


def read_query(body: bytes) -> Query:
    """Return the request, or RequestError with the field's name and what to send instead."""
    query = read_noun(body, Query, NOUNS, HINTS["body"])
    for field, text in _texts(query):
        refuse_control_characters(field, text)
    if query.candidates is not None and not query.candidates:
        raise RequestError("candidates", "holds no product; leave it out to ask the whole shop")
    return query


def read_noun(body: bytes, kind: type[N], nouns: Mapping[str, type[Noun]], expected: str) -> N:
    """Return the one JSON object of a body, or RequestError with the field's name.

    `nouns` are the kinds of the objects in it by their fields, "" the whole; `expected` is an
    example of a body.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as e:
        raise _invalid_body(str(e), nouns, expected) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise RequestError("body", f"{json_fault(body, e)}; {expected}") from None


def _invalid_body(message: str, nouns: Mapping[str, type[Noun]], expected: str) -> RequestError:
    """Turn `Expected ... - at `$.scene.at`` into the field `scene.at` and what to do about it."""
    where = WHERE.search(message)
    field = where["field"] if where else ""
    fault = message[: where.start()] if where else message
    if unknown := UNKNOWN.fullmatch(fault):
        name = unknown["field"][:LONGEST_NAME]
        fields = ", ".join(nouns[ELEMENT.sub("", field)].__struct_fields__)
        return RequestError(
            f"{field}.{name}".lstrip("."), f"is not a field here; choose one of {fields}"
        )
    field = field or "body"
    hint = expected if field == "body" else HINTS.get(field.partition("[")[0])
    return RequestError(field, f"{fault}; {hint}" if hint else fault)


def _texts(query: Query) -> Iterator[tuple[str, str]]:
    yield "text", query.text
    yield "user", query.user or ""
    yield "visitor", query.visitor or ""
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


def refuse_control_characters(field: str, text: str) -> None:
    """Raise a RequestError where a text has a control character."""
    if control := CONTROL.search(text):
        raise RequestError(
            field, f"holds the control character U+{ord(control[0]):04X}; send it without"
        )
