"""Events over HTTP: read one by one or line by line, and what became of each."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from pipelines.engine.decoding import read_noun, refuse_control_characters
from pipelines.errors import RequestError
from pipelines.events.event_log import LARGEST_ACT, ActOutcome, UnwrittenAct
from pipelines.events.kept_act import KeptAct, fault_of
from pipelines.live.product_rules import RuleError, checked_id
from pipelines.serving.bodies.bodies import Failure, refuse_repeated_keys
from retrieval.types import Act, ActLine, Noun, StatedConsent

MOST_EVENTS = 10_000  # lines of a body
NOUNS: dict[str, type[Noun]] = {"": Act, "lines": ActLine, "consent": StatedConsent}
EXAMPLE = (
    'send one JSON object in UTF-8, such as {"type": "view", "visitor": "v1", "lines": '
    '[{"product": "p1"}]}'
)
PLACEHOLDERS = frozenset({"(not set)", "undefined", "null", "[object object]"})
IDS = ("id", "visitor", "user", "session", "order")
TEXTS = (*IDS, "agent", "text", "list", "placement", "filter", "experiment", "release", "stage")


class TakenEvent(Noun, frozen=True, kw_only=True):
    """An event that is on the disk, and in the shopper's next answer.

    `duplicate`: it had been taken before, under this number. `clamped`: its time was too far ahead
    and is that of its arrival. Without `kept`, nothing was written: consent allows no
    purpose, or the shopper was erased since.
    """

    sequence: int | None = None
    duplicate: bool = False
    clamped: bool = False
    kept: bool = True


class EventStatus(Noun, frozen=True, kw_only=True):
    """What became of one line: taken, or refused with the reason."""

    line: int
    status: int
    id: str = ""
    taken: TakenEvent | None = None
    error: Failure | None = None


class ReadLine(NamedTuple):
    """A line as it was read: an act, or why it is none."""

    act: Act | None
    error: Failure | None = None


def read_event(body: bytes) -> Act:
    """Return the act of one JSON object, or RequestError with the field's name."""
    if len(body) > LARGEST_ACT:
        raise RequestError("body", f"has {len(body):,} bytes; an event may have {LARGEST_ACT:,}")
    act = read_noun(body, Act, NOUNS, EXAMPLE)
    refuse_repeated_keys(body)
    for field in TEXTS:
        refuse_control_characters(field, getattr(act, field) or "")
    for field, name in _ids(act):
        _refuse_unfit(field, name)
    if fault := fault_of(act):
        raise RequestError(*fault)
    return act


def read_event_lines(body: bytes) -> list[ReadLine]:
    """Return the acts of a body, one JSON object a line; RequestError where it has too many.

    A line that is no act is a refusal, and stops no other.
    """
    if body.count(b"\n") > MOST_EVENTS:
        raise RequestError("body", f"has too many lines; send at most {MOST_EVENTS:,} at once")
    return [_read_line(line) for line in body.removesuffix(b"\n").split(b"\n")]


def taken_event(kept: KeptAct, outcome: ActOutcome) -> TakenEvent | UnwrittenAct:
    """Return what became of an act."""
    if isinstance(outcome, int):
        return TakenEvent(sequence=outcome, clamped=kept.clamped)
    if outcome.status == 204:
        return TakenEvent(clamped=kept.clamped, kept=False)
    if outcome.status == 200:
        return TakenEvent(sequence=outcome.sequence, clamped=kept.clamped, duplicate=True)
    return outcome


def event_statuses(lines: list[ReadLine], taken: Iterator[TakenEvent | UnwrittenAct]) -> bytes:
    """Return a line for each line that was sent, in their order; `taken` are of the acts."""
    statuses = (
        _refused(place, line.error)
        if line.act is None
        else _status(place, line.act.id or "", next(taken))
        for place, line in enumerate(lines, start=1)
    )
    return b"".join(msgspec.json.encode(status) + b"\n" for status in statuses)


def _read_line(line: bytes) -> ReadLine:
    try:
        return ReadLine(read_event(line))
    except RequestError as e:
        status = 413 if len(line) > LARGEST_ACT else 400
        return ReadLine(None, Failure(field=e.field, message=e.message, status=status))


def _ids(act: Act) -> Iterator[tuple[str, str]]:
    for field in IDS:
        yield field, getattr(act, field) or ""
    for place, line in enumerate(act.lines):
        yield f"lines[{place}].product", line.product


def _refuse_unfit(field: str, name: str) -> None:
    """Refuse an id that is a browser's word for none, or that an import would not take."""
    if name.casefold() in PLACEHOLDERS:
        raise RequestError(
            field, f"is {name!r}, which stands for no id; send the id or leave it out"
        )
    if name:
        refuse_control_characters(field, name)
        try:
            checked_id(name)
        except RuleError as e:
            raise RequestError(field, str(e)) from None


def _status(place: int, name: str, taken: TakenEvent | UnwrittenAct) -> EventStatus:
    if isinstance(taken, TakenEvent):
        return EventStatus(line=place, status=200, id=name, taken=taken)
    error = Failure(field=taken.field, message=taken.message, status=taken.status)
    return EventStatus(line=place, status=taken.status, id=name, error=error)


def _refused(place: int, error: Failure | None) -> EventStatus:
    status = 400 if error is None else error.status
    return EventStatus(line=place, status=status, error=error)
