"""Logs that are hostile or broken: each is refused clearly, or counted by line and field."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines.errors import UserError
from pipelines.importers.mapping import Mapping
from pipelines.importers.table import import_table
from pipelines.progress import silent
from tests.pipelines.importers.events.shapes import Line, Told, ga4, segment
from tests.pipelines.importers.exports.analytics import kept_of, told

GOOD = ga4(Told("view", 0, (Line("p1"),)))
ONE = msgspec.json.encode(GOOD)


def row(**fields: Any) -> bytes:
    return msgspec.json.encode(GOOD | fields)


def bought(**fields: Any) -> bytes:
    line = {"item_id": "p1", "price": 1.0, "quantity": 1} | fields
    return row(event_name="purchase", items=[line])


DEEP = b'{"event_name": "view_item", "items": ' + b"[" * 5_000 + b"]" * 5_000 + b"}"
DEEP_ITEM = b'{"event_name": "view_item", "event_timestamp": 1, "items": [' + (
    b'{"item_id": ' * 400 + b"1" + b"}" * 400 + b"]}"
)

# The row, and how the report names what is wrong with it: the kind, and the beginning of why.
ROWS: dict[str, tuple[bytes, str, str]] = {
    "no JSON": (b"{broken", "unreadable row", "not JSON"),
    "a list": (b"[1, 2]", "unreadable row", "expected an object"),
    "a text": (b'"view_item"', "unreadable row", "expected an object"),
    "nothing": (b"null", "unreadable row", "expected an object"),
    "nested too deep": (DEEP, "unreadable row", "not JSON"),
    "an id nested deep": (DEEP_ITEM, "event: product is not text", "product {"),
    "NUL": (b'{"event_name": "view_item\x00"}', "event: no product", "product is empty"),
    "half a letter": (b'{"event_name": "\xff\xfe"}', "event: unknown type", "type "),
    "half a pair": (
        row(items=[{"item_id": "XX"}]).replace(b"XX", b"\\ud800"), "unreadable row", "not JSON",
    ),
    "a control letter in an id": (
        row(items=[{"item_id": "p\x01"}]), "event: product unprintable", "product holds",
    ),
    "an id that is too long": (
        row(items=[{"item_id": "p" * 500}]), "event: product too long", "product has 500",
    ),
    "a user that is a list": (row(user_id=["u1"]), "event: user is not text", "user ['u1']"),
    "a visitor that is an object": (
        row(user_pseudo_id={"$ne": 1}), "event: visitor is not text", "visitor {",
    ),
    "a user who says to be a visitor": (
        row(user_id="visitor/1"), "event: user is a visitor", "user 'visitor/1'",
    ),
    "a type that is a number of thousands of digits": (
        row(event_name="XX").replace(b'"XX"', b"9" * 5_000), "event: ", "",
    ),
    "a type that is a list": (
        row(event_name=["view_item"]), "event: type is not text", "type ['view_item']",
    ),
    "a type that nobody knows": (
        row(event_name="'; DROP TABLE events; --"), "event: unknown type", "type ",
    ),
    "no time": (row(event_timestamp=None, event_date=None), "event: unreadable time", "time None"),
    "a time that is a text": (
        row(event_timestamp="yesterday"), "event: unreadable time", "time 'yesterday'",
    ),
    "a time before the shop": (row(event_timestamp=-5), "event: unreadable time", "time -5"),
    "a time of the year 2098": (
        row(event_timestamp=4_070_908_800_000_000), "event: future time", "time 4070908800000000",
    ),
    "an endless time": (
        row(event_timestamp="XX").replace(b'"XX"', b"1e400"), "unreadable row", "not JSON",
    ),
    "a true time": (row(event_timestamp=True), "event: unreadable time", "time True"),
    "negative money": (
        row(event_name="add_to_cart", items=[{"item_id": "p1", "price": -1}]),
        "event: impossible price", "price -1",
    ),
    "money without end": (bought(price=1e300), "event: impossible value", "value 1e+300"),
    "money that is a list": (bought(price=[1]), "event: impossible value", "value '[1]'"),
    "more micros than there are": (bought(price=1e11), "event: impossible value", "value 1000"),
    "a negative total": (
        row(ecommerce={"purchase_revenue": -5}), "event: impossible total", "total -5",
    ),
    "pieces that are none": (bought(quantity="NaN pieces"), "event: impossible quantity", "quant"),
    "pieces that are true": (bought(quantity=True), "event: impossible quantity", "quantity True"),
    "more pieces than there are": (bought(quantity=10**9), "event: impossible quantity", "quant"),
    "a place below the first": (
        row(items=[{"item_id": "p1", "item_list_index": -3}]),
        "event: impossible position", "position -3",
    ),
    "a currency that is an object": (
        row(event_params=[{"key": "currency", "value": {"string_value": {"a": 1}}}]),
        "event: currency is not text", "currency {",
    ),
    "a search without words": (
        row(event_name="view_search_results", items=[]), "event: no text", "text is empty",
    ),
    "a search of a whole book": (
        row(event_name="view_search_results", items=[], event_params=[
            {"key": "search_term", "value": {"string_value": "x" * 9_000}}]),
        "event: text too long", "text has 9,000",
    ),
    "a purchase of nothing": (
        row(event_name="purchase", items=[]), "event: no product", "product is empty",
    ),
    "items that are an object": (
        row(event_name="purchase", items={"item_id": "p1"}), "event: no product", "product is",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_a_row_that_makes_no_sense_is_counted_by_line_and_field(tmp_path: Path, name: str) -> None:
    content, kind, reason = ROWS[name]

    acts, report = kept_of(tmp_path, b"\n".join([ONE, ONE, content]))

    assert told(acts, "product") == [("p1",)]
    [(found, count)] = report.refused.items()
    assert found.removeprefix("event: ").startswith(kind.removeprefix("event: "))
    assert count == 1
    [example] = report.examples
    assert example.line == 3
    assert example.reason.startswith(reason)


FILES: dict[str, tuple[str, bytes, str]] = {
    "nothing but page views": (
        "log.jsonl", row(event_name="page_view"), "none of 1 events is of shopping: 'page_view' 1",
    ),
    "nothing but hostile rows": (
        "log.jsonl", b"\n".join([row(items=[{"item_id": [n]}]) for n in range(3)]),
        "3 of 3 events were refused",
    ),
    "an empty file": ("log.jsonl", b"", "is empty"),
    "a Parquet file that is none": ("log.parquet", b"PAR1 and no more", "not a Parquet file"),
    "JSON that is Parquet": ("log.jsonl", b"PAR1\x00\x00\x00\x00", "it is a Parquet file"),
    "an archive": ("log.jsonl", b"PK\x03\x04aaaa", "zip archive"),
    "an array without an end": ("log.json", b"[" + ONE, "not JSON"),
    "two lists": ("log.json", b'{"a": [%b],\n"b": [%b]}' % (ONE, ONE), "several lists"),
    "columns that say nothing": ("log.jsonl", b'{"a": 1}', "no column is known to be `time`"),
    "packed and cut short": ("log.jsonl.gz", b"\x1f\x8b\x08\x00abcdefgh", "damaged or cut short"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_log_is_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    path, content, reason = FILES[name]

    with pytest.raises(UserError) as refused:
        kept_of(tmp_path, content, path)

    assert reason in str(refused.value)
    assert path in str(refused.value)
    assert not (tmp_path / "shop").exists()


def test_an_act_of_a_million_lines_is_bounded(tmp_path: Path) -> None:
    many = row(items=[{"item_id": f"p{n}"} for n in range(20_000)])

    acts, report = kept_of(tmp_path, b"\n".join([ONE, many]))

    assert len(acts) == 1 + 10_000
    assert report.refused == {"event: unreadable row": 1}
    assert "items holds over 10,000 values" in report.examples[0].reason


def test_consent_denied_for_every_purpose_keeps_nothing(tmp_path: Path) -> None:
    denied = dict.fromkeys(("search", "recommend", "ads", "train"), "consent")
    (tmp_path / "p.csv").write_text("id,title\np1,Cup\n")
    (tmp_path / "log.csv").write_text(
        "u,t,p,consent\na,2024-03-01,p1,denied\nb,2024-03-01,p1,granted\nc,2024-03-01,p1,\n"
    )
    events = {"user": "u", "time": "t", "product": "p", "consent": denied}
    raw = {"columns": {"id": "id", "title": "title"}, "events": events}

    report = import_table(
        tmp_path / "p.csv",
        tmp_path / "shop",
        msgspec.convert(raw, Mapping),
        silent,
        events=tmp_path / "log.csv",
    )

    assert (report.events_kept, report.refused) == (2, {"event: consent denied": 1})


def test_robots_are_left_out_and_counted(tmp_path: Path) -> None:
    google = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
    named = segment(Told("view", 1, (Line("p1"),), visitor="bot")) | {
        "context": {"userAgent": google}
    }
    fast = [segment(Told("view", n / 10, (Line("p1"),), visitor="fast")) for n in range(100)]
    person = [segment(Told("view", n * 30, (Line("p2"),), visitor="slow")) for n in range(5)]

    acts, report = kept_of(tmp_path, [named, *fast, *person])

    assert sum(act["visitor"] == "slow" for act in acts) == 5
    assert sum(act["visitor"] == "fast" for act in acts) == 60
    assert not any(act["visitor"] == "bot" for act in acts)
    assert any(note.startswith("41 events are of robots") for note in report.notes)
