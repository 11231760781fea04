"""Changes over HTTP: taken only where the server was told to, refused by line and by field."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from pipelines.config.loading import with_live
from pipelines.config.sections import Config
from pipelines.live.changes import LARGEST_CHANGE, Delete, Edit, Upsert
from pipelines.serving.app import create_app
from pipelines.serving.bodies.bodies import MOST_LINES
from retrieval import Availability, Product

pytestmark = pytest.mark.foreign

Client = TestClient[Litestar]
LINES = {"content-type": "application/x-ndjson"}


@pytest.fixture
def writer(engine: Any) -> Iterator[Client]:
    with TestClient(create_app(engine, with_live(Config(), "live"))) as client:
        yield client


def bulk(client: Client, *lines: bytes) -> list[dict[str, Any]]:
    answer = client.post("/v1/products:bulk", content=b"\n".join(lines), headers=LINES)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    return [msgspec.json.decode(line) for line in answer.content.splitlines()]


def test_a_server_that_was_not_told_to_takes_no_change(client: Client, engine: Any) -> None:
    answers = [
        client.put("/v1/products/p1", json={"id": "p1", "title": "x"}),
        client.patch("/v1/products/p1", json={"price": 1}),
        client.delete("/v1/products/p1"),
        client.post("/v1/products:bulk", content=b"{}", headers=LINES),
    ]

    assert [answer.status_code for answer in answers] == [403] * 4
    assert "--live" in answers[0].json()["error"]["message"]
    assert engine.taken == []


OAT = {"id": "p1", "title": "Oat", "attributes": {"a": ["b", "c"], "d": "e"}}


def test_a_product_is_put_edited_and_deleted(writer: Client, engine: Any) -> None:
    put = writer.put("/v1/products/p1", json=OAT)
    edit = writer.patch("/v1/products/p2", json={"price": None, "availability": "BACKORDER"})
    gone = writer.delete("/v1/products/p3")

    assert [a.json() for a in (put, edit, gone)] == [
        {"id": "p1", "sequence": 1},
        {"id": "p2", "sequence": 2},
        {"id": "p3", "sequence": 3},
    ]
    assert engine.taken == [
        Upsert(product=Product(id="p1", title="Oat", attributes={"a": ("b", "c"), "d": "e"})),
        Edit(id="p2", price=None, availability=Availability.BACKORDER),
        Delete(id="p3"),
    ]


def test_an_id_may_be_any_path(writer: Client, engine: Any) -> None:
    answer = writer.delete("/v1/products/a%2Fb%3Fc%23d%2520")

    assert answer.status_code == 200
    assert engine.taken == [Delete(id="a/b?c#d%20")]


@pytest.mark.parametrize(
    ("path", "body", "field", "said"),
    [
        ("p1", {"id": "p2", "title": "x"}, "id", "one id"),
        ("p1", {"id": "p1", "title": "x", "colour": 1}, "colour", "choose one of id, title"),
        ("p1", {"id": "p1"}, "body", "title"),
        ("p1", {"id": "p1", "title": "x", "price": -1}, "price", ">= 0"),
        ("%00", {"id": "\0", "title": "x"}, "id", "control character"),
        ("x" * 129, {"id": "x" * 129, "title": "x"}, "id", "128"),
        ("%20p1%20", {"id": " p1 ", "title": "x"}, "id", "begins or ends with a space; send 'p1'"),
        ("%FF", {"id": "p1", "title": "x"}, "id", "not UTF-8"),
        ("p1", {"id": "p1", "title": " \t "}, "title", "is empty"),
        ("p1", {"id": "p1", "title": "\x1b\x00"}, "title", "is empty"),
        ("p1", {"id": "p1", "title": "x" * 30_000}, "title", "30,000 characters, at most 2,000"),
        ("p1", {"id": "p1", "title": "x", "brand": "x" * 501}, "brand", "501 characters"),
        ("p1", {"id": "p1", "title": "x", "attributes": {" ": "y"}}, "attributes", "name is empty"),
        (
            "p1",
            {"id": "p1", "title": "x", "attributes": {"a": "y" * 10_001}},
            "attributes.a",
            "10,",
        ),
        ("p1", {"id": "p1", "title": "x", "tags": [f"t{i}" for i in range(101)]}, "tags", "101"),
        ("p1", {"id": "p1", "title": "x", "item_group_id": "g" * 129}, "item_group_id", "129"),
    ],
)
def test_a_product_that_cannot_be_used_is_refused_by_field(
    writer: Client, engine: Any, path: str, body: dict[str, Any], field: str, said: str
) -> None:
    answer = writer.put(f"/v1/products/{path}", json=body)

    error = answer.json()["error"]
    assert (answer.status_code, error["field"]) == (400, field)
    assert said in error["message"]
    assert engine.taken == []


UNCLEAN = {
    "id": "p1", "title": "  Oat\x1b\x00  milk ", "brand": "Cafe\u0301", "description": " a\nb ",
    "categories": ["", " > ", "Food>Milk ", "Food > > Milk"], "tags": ["", "new", "new", " new "],
    "attributes": {" colour ": [" red", "", "red"], "size": " "}, "images": [" a.jpg "],
    "item_group_id": " g ",
}  # fmt: skip


def test_a_product_is_cleaned_as_an_import_cleans_it(writer: Client, engine: Any) -> None:
    put = writer.put("/v1/products/p1", json=UNCLEAN)
    line = msgspec.json.encode({"type": "upsert", "product": UNCLEAN})
    [told] = bulk(writer, line)

    expected = Product(
        id="p1", title="Oat milk", brand="Caf\xe9", description="a\nb", categories=("Food > Milk",),
        tags=("new",), attributes={"colour": ("red",)}, images=("a.jpg",), item_group_id="g",
    )  # fmt: skip
    assert (put.status_code, told["status"]) == (200, 200)
    assert engine.taken == [Upsert(product=expected)] * 2


@pytest.mark.parametrize("path", ["%20p1", "p1%20", "p%1b", "%FF", "%00"])
def test_every_route_has_the_same_rule_for_an_id(writer: Client, engine: Any, path: str) -> None:
    answers = [
        writer.delete(f"/v1/products/{path}"),
        writer.patch(f"/v1/products/{path}", json={"price": 1}),
    ]

    assert [(a.status_code, a.json()["error"]["field"]) for a in answers] == [(400, "id")] * 2
    assert engine.taken == []


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b'{"type": "delete", "id": " p1"}', "id"),
        (b'{"type": "edit", "id": "p1 ", "price": 1}', "id"),
        (b'{"type": "upsert", "product": {"id": "p1", "title": "  "}}', "title"),
        (b'{"type": "upsert", "product": {"id": "p\\u0007", "title": "x"}}', "id"),
    ],
)
def test_a_line_of_a_bulk_follows_the_rules_of_a_put(
    writer: Client, engine: Any, line: bytes, field: str
) -> None:
    [told] = bulk(writer, line)

    assert (told["status"], told["error"]["field"]) == (400, field)
    assert engine.taken == []


def test_an_edit_of_nothing_and_of_an_unknown_product_is_refused(writer: Client) -> None:
    nothing = writer.patch("/v1/products/p1", json={})
    unknown = writer.patch("/v1/products/gone", json={"price": 1})

    assert nothing.status_code == 400
    assert "price, an availability or both" in nothing.json()["error"]["message"]
    assert unknown.status_code == 404
    assert unknown.json()["error"]["field"] == "id"


def test_each_line_of_a_bulk_has_its_own_status(writer: Client, engine: Any) -> None:
    told = bulk(
        writer,
        b'{"type": "upsert", "product": {"id": "p9", "title": "x"}}',
        b'{"type": "edit", "id": "p1", "prize": 2}',
        b'{"type": "delete", "id": "gone"}',
        b"",
        b'{"type": "edit", "id": "p1", "price": 2}',
        b'{"type": "delete", "id": "' + b"x" * LARGEST_CHANGE + b'"}',
        b"",
    )

    assert [line["status"] for line in told] == [200, 400, 404, 400, 200, 413]
    assert [line["line"] for line in told] == [1, 2, 3, 4, 5, 6]
    assert [line["sequence"] for line in told if line["status"] == 200] == [1, 2]
    assert "prize" in told[1]["error"]["message"]
    assert len(engine.taken) == 2


def test_a_bulk_of_too_many_lines_or_of_another_kind_is_refused_whole(
    writer: Client, engine: Any
) -> None:
    line = b'{"type": "delete", "id": "p1"}\n'
    many = writer.post("/v1/products:bulk", content=line * (MOST_LINES + 1), headers=LINES)
    other = writer.post("/v1/products:bulk", json={})

    assert many.status_code == 400
    assert "10,001 lines" in many.json()["error"]["message"]
    assert other.status_code == 415
    assert "application/x-ndjson" in other.json()["error"]["message"]
    assert engine.taken == []


def test_a_full_disk_is_a_503_and_takes_nothing(writer: Client, engine: Any) -> None:
    engine.disk_is_full = True

    answer = writer.patch("/v1/products/p1", json={"price": 1})

    assert answer.status_code == 503
    assert "cannot be written" in answer.json()["error"]["message"]
    assert "disk" not in answer.text


def test_a_refused_product_says_what_is_sent_instead(writer: Client) -> None:
    without_title = writer.put("/v1/products/p1", json={"id": "p1"})
    nothing = writer.patch("/v1/products/p1", json={})
    strange = writer.patch("/v1/products/p1", json={"availability": "maybe"})
    endless = writer.patch("/v1/products/p1", json={"price": 1e39})

    assert [a.status_code for a in (without_title, nothing, strange, endless)] == [400] * 4
    assert '"title": "Oat milk"' in without_title.json()["error"]["message"]
    assert '{"price": 2.5}' in nothing.json()["error"]["message"]
    assert "write one of IN_STOCK, OUT_OF_STOCK" in strange.json()["error"]["message"]
    assert endless.json()["error"]["field"] == "price"


@pytest.mark.parametrize("path", ["%ff", "p1%ff", "%c0%af", "%ed%a0%80"])
@pytest.mark.parametrize("method", ["DELETE", "PATCH", "PUT"])
def test_an_id_that_is_not_utf8_is_refused_because_replaced_two_would_be_one(
    writer: Client, engine: Any, method: str, path: str
) -> None:
    body = {"id": "\ufffd", "title": "x"} if method == "PUT" else {"price": 1}

    answer = writer.request(method, f"/v1/products/{path}", json=body)

    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "id")
    assert engine.taken == []


def test_a_change_that_names_a_field_twice_is_refused(writer: Client, engine: Any) -> None:
    put = writer.put(
        "/v1/products/p1",
        content=b'{"id": "p1", "title": "a", "attributes": {"size": "1", "size": "2"}}',
        headers={"content-type": "application/json"},
    )
    [line] = bulk(writer, b'{"type": "edit", "id": "p1", "price": 1, "price": 2}')

    assert (put.status_code, put.json()["error"]["field"]) == (400, "size")
    assert (line["status"], line["error"]["field"]) == (400, "price")
    assert engine.taken == []
