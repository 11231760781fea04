import base64
import json
import socket
import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from tests.assertions import each

pytestmark = pytest.mark.foreign

JSON = {"content-type": "application/json"}
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


class Bad(NamedTuple):
    """A request that is refused: what is sent, and what the sender reads."""

    name: str
    body: Any  # bytes as they are, anything else as JSON
    field: str
    says: str
    path: str = "/v1/search"
    status: int = 400
    headers: dict[str, str] = JSON
    method: str = "POST"

    @property
    def content(self) -> Any:
        raw = isinstance(self.body, bytes | Iterator)
        return self.body if raw else json.dumps(self.body).encode()


def png_of(width: int, height: int, data: bytes = b"") -> bytes:
    """Return a PNG that claims a size, whatever it holds."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def shown(picture: bytes) -> dict[str, str]:
    return {"image": base64.b64encode(picture).decode()}


def at(text: Any) -> dict[str, Any]:
    return {"text": "milk", "scene": {"at": text}}


NOT_JSON = [
    Bad("words", b"hello", "body", "malformed"),
    Bad("nothing at all", b"", "body", "is empty; send one JSON object"),
    Bad("a list", [], "body", "Expected `object`, got `array`; send one JSON object"),
    Bad("null", None, "body", "got `null`"),
    Bad("cut short", b'{"text": "milk"', "body", "truncated"),
    Bad("two documents", b'{"text": "a"} {}', "body", "trailing characters"),
    Bad("UTF-16", '{"text": "a"}'.encode("utf-16"), "body", "is not UTF-8"),
    Bad("bytes that are not UTF-8", b'{"text": "\xff\xfe"}', "body", "is not UTF-8"),
    Bad("a lone surrogate", b'{"text": "\\udc00 milk"}', "body", "surrogate"),
    Bad("half a surrogate pair", b'{"text": "\\ud800"}', "body", "send one JSON object"),
    Bad("a raw NUL", b'{"text": "a\x00b"}', "body", "malformed"),
    Bad("NaN", b'{"k": NaN}', "body", "malformed"),
    Bad("Infinity", b'{"k": -Infinity}', "body", "malformed"),
    Bad("lists 100,000 deep", b"[" * 100_000 + b"]" * 100_000, "body", "Expected `object`"),
    Bad("text 100,000 deep", b'{"text": ' + b"[" * 100_000, "text", "Expected `str`"),
    Bad("objects 100,000 deep", b'{"scene": ' * 100_000, "scene.scene", "is not a field"),
    Bad("a field twice", b'{"text": "a", "k": 1, "k": 2}', "k", "is written twice"),
    Bad("an inner field twice", b'{"scene": {"device": "a", "device": "b"}}', "device", "twice"),
    Bad("a field twice, once escaped", b'{"k": 1, "\\u006b": 2}', "k", "is written twice"),
    Bad(
        "a million fields",
        b"{" + b",".join(b'"f%d":1' % i for i in range(1_000_000)) + b"}",
        "f0",
        "is not a field here; choose one of text, image",
    ),
]
FIELDS = [
    Bad("an unknown field", {"text": "a", "query": 1}, "query", "is not a field here; choose one"),
    Bad("one in the scene", {"scene": {"time": 1}}, "scene.time", "choose one of at, placement"),
    Bad("markup as a field", {"<script>" * 99: 1}, "<script>" * 10, "is not a field here"),
    Bad("a number for a text", {"text": 5}, "text", "Expected `str`, got `int`"),
    Bad("3,000 characters", {"text": "m" * 3_000}, "text", "length <= 2000"),
    Bad("k=0", {"text": "a", "k": 0}, "k", "Expected `int` >= 1"),
    Bad("k=1001", {"text": "a", "k": 1001}, "k", "Expected `int` <= 1000"),
    Bad("k=2**63", {"text": "a", "k": 2**63}, "k", "Expected `int` <= 1000"),
    Bad("k=10**4000", b'{"k": ' + b"9" * 4_000 + b"}", "k", "Expected `int` <= 1000"),
    Bad("k=1e400", b'{"k": 1e400}', "k", "out of range"),
    Bad("k in words", {"text": "a", "k": "5"}, "k", "got `str`"),
    Bad("half a product", {"text": "a", "k": 5.5}, "k", "got `float`"),
    Bad("no time at all", {"text": "a", "deadline_ms": 0}, "deadline_ms", "Expected `int` >= 1"),
    Bad("all the time", {"text": "a", "deadline_ms": 10**9}, "deadline_ms", "<= 60000"),
    Bad("yes for true", {"text": "a", "explain": "yes"}, "explain", "Expected `bool`"),
    Bad("an empty user", {"text": "a", "user": ""}, "user", "length >= 1"),
    Bad("a long user", {"text": "a", "user": "u" * 129}, "user", "length <= 128"),
    Bad("a NUL in the user", {"text": "a", "user": "12\x0028"}, "user", "U+0000; send it without"),
    Bad("an escape in the text", {"text": "\x1b[2Jmilk"}, "text", "control character U+001B"),
    Bad("a month too many", at("2017-13-45T00:00:00"), "scene.at", "2017-11-15T08:30:00"),
    Bad("a day without a time", at("2017-11-15"), "scene.at", "write the shop's local time"),
    Bad("a date in words", at("tomorrow"), "scene.at", "write the shop's local time"),
    Bad("seconds since 1970", at(1510704000), "scene.at", "got `int`"),
    Bad("a strange window", {"scene": {"placement": "moon"}}, "scene.placement", "'moon'; write"),
]
PICTURES = [
    Bad("not base64", {"image": "!!!"}, "image", "Invalid base64"),
    Bad("a data URL", {"image": "data:image/png;base64,iVBORw0KGgo="}, "image", "no `data:`"),
    Bad("an empty picture", {"image": ""}, "image", "the picture is empty"),
    Bad("words as a picture", shown(b"I am a picture"), "image", "not a JPEG, PNG, WebP"),
    Bad("SVG", shown(SVG), "image", "not a JPEG, PNG, WebP"),
    Bad("a bomb of 3.6 gigapixels", shown(png_of(60_000, 60_000)), "image", "25 megapixels"),
    Bad("a picture cut short", shown(png_of(64, 64, b"x" * 99)), "image", "damaged or cut short"),
    Bad("a bomb of 25 megapixels", shown(png_of(5_000, 5_000)), "image", "12 megapixels"),
    Bad("over 10 MB", shown(bytes(10_000_001)), "image", "at most 10 MB"),
]
LISTS = [
    Bad("21 facets", {"facets": [{"field": "brand"}] * 21}, "facets", "send at most 20"),
    Bad("a facet by name alone", {"facets": ["brand"]}, "facets[0]", "send at most 20"),
    Bad("a strange key", {"facets": [{"field": "brand", "size": 3}]}, "facets[0].size", "limit"),
    Bad("no value at all", {"facets": [{"field": "brand", "limit": 0}]}, "facets[0].limit", ">= 1"),
    Bad("301 values", {"facets": [{"field": "brand", "limit": 301}]}, "facets[0].limit", "<= 300"),
    Bad(
        "51 intervals",
        {"facets": [{"field": "price", "intervals": [[1, 2]] * 51}]},
        "facets[0].intervals",
        "length <= 50",
    ),
    Bad(
        "an interval of three ends",
        {"facets": [{"field": "price", "intervals": [[1, 2, 3]]}]},
        "facets[0].intervals[0]",
        "length 2",
    ),
    Bad("five columns", {"sort": [{"field": "price"}] * 5}, "sort", "send at most 4"),
    Bad("up", {"sort": [{"field": "price", "order": "up"}]}, "sort[0].order", "'up'"),
    Bad("a strange group", {"collapse": {"by": "x"}}, "collapse.by", "choose one of field"),
    Bad("a long cursor", {"cursor": "x" * 401}, "cursor", "length <= 400"),
    Bad("a NUL in a cursor", {"cursor": "a\x00"}, "cursor", "U+0000"),
    Bad("an escape in a facet", {"facets": [{"field": "\x1b"}]}, "facets", "U+001B"),
]
FILTERS = [
    Bad("an unreadable filter", {"text": "a", "filter": "price <"}, "filter", "cannot be read"),
    Bad("SQL", {"text": "a", "filter": "1; DROP TABLE x"}, "filter", "write for example brand"),
    Bad("a foreign field", {"text": "a", "filter": "shop = 1"}, "filter", "unknown field 'shop'"),
    Bad("words as numbers", {"text": "a", "filter": "brand < 5"}, "filter", "holds words"),
    Bad("a deep filter", {"text": "a", "filter": "(" * 5_000}, "filter", "more than 32 deep"),
    Bad("a long filter", {"text": "a", "filter": "x" * 10_001}, "filter", "length <= 10000"),
]
PURPOSES = [
    Bad("a search for nothing", {}, "text", "needs a text or an image"),
    Bad("a search for blanks", {"text": " \n\t "}, "text", "needs a text or an image"),
    Bad("a spoken wish", {"text": "a"}, "text", "is for /v1/search", "/v1/recommend"),
    Bad("a shown wish", shown(SVG), "image", "is for /v1/search", "/v1/recommend"),
    Bad("own candidates", {"candidates": ["p1"]}, "candidates", "/v1/rank", "/v1/candidates"),
    Bad("nothing to rank", {}, "candidates", "is missing; send the ids", "/v1/rank"),
    Bad("an empty list", {"candidates": []}, "candidates", "holds no product", "/v1/rank"),
    Bad("not a list", {"candidates": "p1"}, "candidates", "Expected `array", "/v1/rank"),
    Bad("a number as id", {"candidates": ["p", 3]}, "candidates[1]", "got `int`", "/v1/rank"),
    Bad("an empty id", {"candidates": [""]}, "candidates[0]", "length >= 1", "/v1/rank"),
    Bad("a NUL in an id", {"candidates": ["p1", "a\0"]}, "candidates", "U+0000", "/v1/rank"),
    Bad(
        "a million candidates",
        {"candidates": ["p1"] * 1_000_000},
        "candidates",
        "at most 100,000 products",
        "/v1/rank",
    ),
]
HTTP = [
    Bad("plain text", b"{}", "content-type", "send the header", status=415,
        headers={"content-type": "text/plain"}),
    Bad("a form", b"text=milk", "content-type", "application/json", status=415,
        headers={"content-type": "application/x-www-form-urlencoded"}),
    Bad("no content type", b"{}", "content-type", "send the header", status=415, headers={}),
    Bad("markup as content type", b"{}", "content-type", "send the header", status=415,
        headers={"content-type": "<script>/" + "x" * 5_000}),
    Bad("compressed", zlib.compress(b"{}"), "content-encoding", "identity", status=415,
        headers=JSON | {"content-encoding": "deflate"}),
    Bad("over 16 MB", b" " * 16_000_001, "body", "more than 16,000,000 bytes", status=413),
    Bad("perhaps explained", {"text": "a"}, "explain", "`bool`", "/v1/search?explain=perhaps"),
    Bad("an unknown path", {}, "", "nothing at this path; /docs", "/v1/serach", 404),
    Bad("an unknown version", {}, "", "nothing at this path", "/v2/search", 404),
    Bad("reading a search", b"", "", "takes POST", status=405, method="GET"),
    Bad("deleting the shop", b"", "", "takes GET", "/v1/about", 405, method="DELETE"),
    Bad("no shoppers", b"", "limit", ">= 1", "/v1/shoppers?limit=0", method="GET"),
    Bad("all shoppers", b"", "limit", "<= 1000", "/v1/shoppers?limit=99999", method="GET"),
    Bad("NaN shoppers", b"", "limit", "`int`", "/v1/shoppers?limit=NaN", method="GET"),
    Bad("a hidden traversal", b"", "product_id", "holds no picture",
        "/v1/pictures/..%2F..%2F..%2Fetc%2Fpasswd", 404, method="GET"),
    Bad("a NUL in a picture's id", b"", "product_id", "holds no picture",
        "/v1/pictures/p1%00.png", 404, method="GET"),
    Bad("a picture's id that is not UTF-8", b"", "product_id", "holds no picture",
        "/v1/pictures/%ff%fe", 404, method="GET"),
    Bad("a completion of bytes that are not UTF-8", b"", "query", "not UTF-8",
        "/v1/complete?q=%ff", method="GET"),
    Bad("a page's own folder", b"", "", "nothing at this path", "/..%2fpage.css", 404,
        method="GET"),
]  # fmt: skip
EVERY = NOT_JSON + FIELDS + PICTURES + LISTS + FILTERS + PURPOSES + HTTP


@pytest.mark.parametrize("bad", EVERY, ids=lambda bad: bad.name)
def test_a_bad_request_is_refused_by_name_and_the_server_answers_on(
    client: TestClient[Litestar], bad: Bad
) -> None:
    answer = client.request(bad.method, bad.path, content=bad.content, headers=bad.headers)
    after = client.post("/v1/search", json={"text": "milk"})

    assert answer.status_code == bad.status, answer.text[:500]
    error = answer.json()["error"]
    assert (error["field"], error["status"]) == (bad.field, bad.status)
    assert bad.says in error["message"]
    assert len(answer.content) < 1_000
    assert "Traceback" not in answer.text
    assert ".py" not in answer.text
    assert after.status_code == 200


def test_a_body_that_does_not_tell_its_size_is_cut_off_at_the_same_limit(
    client: TestClient[Litestar],
) -> None:
    def long() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 1_000_000

    answer = client.post("/v1/search", content=long(), headers=JSON)

    assert answer.status_code == 413
    assert "more than 16,000,000 bytes" in answer.json()["error"]["message"]


POST = b"POST /v1/search HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
ON_THE_WIRE = {
    "no HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n",
    "an unknown method": b"BREW /v1/search HTTP/1.1\r\nhost: x\r\n\r\n",
    "a length that is no number": POST + b"content-length: many\r\n\r\n{}",
    "a negative length": POST + b"content-length: -1\r\n\r\n{}",
    "two lengths": POST + b"content-length: 2\r\ncontent-length: 30\r\n\r\n{}",
    "a chunk that is no chunk": POST + b"transfer-encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n",
    "a length of 10 GB": POST + b"content-length: 10000000000\r\n\r\n{}",
    "a header of a megabyte": POST + b"x-long: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "a thousand headers": POST + b"".join(b"x-%d: 1\r\n" % i for i in range(1_000)) + b"\r\n",
    "a header with a NUL": POST + b"x-odd: a\x00b\r\n\r\n",
    "a header that is folded": POST + b"x-odd: a\r\n b\r\ncontent-length: 2\r\n\r\n{}",
    "a path that climbs": b"GET /v1/pictures/../../../etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n",
    "a path of 100,000 letters": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    "a path with a broken escape": b"GET /v1/pictures/%zz%f HTTP/1.1\r\nhost: x\r\n\r\n",
}


def test_what_is_no_proper_http_gets_a_4xx_or_a_closed_door_and_the_server_answers_on(
    address: str,
) -> None:
    place = urlsplit(address)

    for name, request in each(ON_THE_WIRE.items()):
        answer = say(place.hostname, place.port, request)
        after = say(place.hostname, place.port, b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n")

        assert answer == b"" or answer.split(b" ")[1].startswith(b"4"), (name, answer[:200])
        assert b"Traceback" not in answer, name
        assert b"root:" not in answer, name
        assert after.startswith(b"HTTP/1.1 200"), name


def say(host: Any, port: Any, request: bytes) -> bytes:
    """Send bytes as they are, and return the first bytes of the answer; none: the door is shut."""
    with socket.create_connection((host, port), timeout=10) as connection:
        try:
            connection.sendall(request)
            return connection.recv(65_536)
        except ConnectionError:
            return b""
