import base64
import logging
import re
from asyncio import BaseEventLoop
from math import inf
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from index import Unreachable
from pipelines.config.sections import Config
from pipelines.errors import StaleCursor
from pipelines.serving.app import create_app
from pipelines.serving.routes.pages import PAGE, PAGE_FILES
from retrieval import Query, Slate, Stage
from retrieval.types import Placement
from tests.assertions import each, every

Client = TestClient[Litestar]


def ids(answer: dict[str, Any]) -> list[str]:
    return [placed["product"]["id"] for placed in answer["products"]]


def test_the_process_is_healthy_and_not_ready_until_a_release_is_open(engine: Any) -> None:
    app = create_app(None, Config())

    with TestClient(app) as client:
        healthy, early, asked = (
            client.get("/healthz"),
            client.get("/readyz"),
            client.post("/v1/recommend", json={}),
        )
        app.state.admission.engine = engine
        ready = client.get("/readyz")

    assert healthy.json() == {"status": "ok"}
    assert early.status_code == asked.status_code == 503
    assert early.headers["retry-after"] == "1"
    assert ready.status_code == 200
    assert ready.json() == {"status": "ready", "release": engine.release}


def test_a_search_reaches_the_engine_whole(client: Client, engine: Any, picture: bytes) -> None:
    body = {
        "text": "oat milk",
        "image": base64.b64encode(picture).decode(),
        "user": "1228",
        "scene": {"at": "2017-11-15T10:00:00", "placement": "search"},
        "filter": "price < 5",
        "k": 3,
        "deadline_ms": 500,
    }

    answer = client.post("/v1/search", json=body)

    [asked] = engine.asked
    assert answer.status_code == 200
    assert (asked.text, asked.image, asked.user) == ("oat milk", picture, "1228")
    assert (asked.scene.at.isoformat(), asked.scene.placement) == (
        "2017-11-15T10:00:00",
        Placement.SEARCH,
    )
    assert (asked.filter, asked.k, asked.explain) == ("price < 5", 3, False)
    assert 400 < asked.deadline_ms <= 500


def test_a_slate_tells_products_stage_release_and_the_price_of_each_stage(client: Client) -> None:
    answer = client.post("/v1/search", json={"text": "milk", "k": 2}).json()

    assert ids(answer) == ["p1", "p2"]
    assert [placed["position"] for placed in answer["products"]] == [1, 2]
    assert (answer["stage"], answer["release"]) == ("ranking", "20171115-031500-fake")
    assert set(answer["timings_ms"]) == {"wait", "encode", "retrieve", "rank"}


@pytest.mark.parametrize("path", ["/v1/search", "/v1/recommend", "/v1/rank"])
def test_scores_and_features_are_told_to_whoever_asks_either_way(client: Client, path: str) -> None:
    body: dict[str, Any] = {"text": "milk"} if "search" in path else {"candidates": ["p1"]}

    silent = client.post(path, json=body).json()["products"][0]
    in_body = client.post(path, json=body | {"explain": True}).json()["products"][0]
    in_path = client.post(f"{path}?explain=true", json=body).json()["products"][0]

    assert silent["channels"] == silent["features"] == {}
    assert in_body["channels"] == {"semantic": 0.71, "repeat": 12.5}
    assert in_body["features"] == {"bought_before": 1.0, "trend": 0.0}
    assert in_path == in_body


def test_a_recommendation_needs_nothing_at_all(client: Client) -> None:
    answer = client.post("/v1/recommend", json={})

    assert answer.status_code == 200
    assert len(answer.json()["products"]) == 7


def test_candidates_are_ids_and_scores_from_retrieval_alone(client: Client) -> None:
    answer = client.post("/v1/candidates", json={"user": "1228", "k": 2}).json()

    assert answer["candidates"] == [
        {"id": "p1", "score": 1.0, "channels": {"semantic": 0.71, "repeat": 12.5}},
        {"id": "p2", "score": 0.5, "channels": {"semantic": 0.71, "repeat": 12.5}},
    ]
    assert answer["stage"] == Stage.RETRIEVAL


def test_ranking_orders_only_what_it_is_given_and_names_what_it_does_not_know(
    client: Client,
) -> None:
    answer = client.post("/v1/rank", json={"candidates": ["p7", "nobody", "p2"]}).json()

    assert ids(answer) == ["p2", "p7"]
    assert answer["missing"] == ["nobody"]


def test_the_engine_works_in_threads_of_admission_control(client: Client, engine: Any) -> None:
    client.post("/v1/recommend", json={})

    assert every(name.startswith("answer") for name in engine.threads)


def test_a_fault_leaves_a_traceback_in_the_log_and_none_on_the_wire(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken:
        release = "r1"
        newest_change = 0

        def answer(
            self, query: Query, stage: Stage = Stage.RANKING, spare_ms: float = inf
        ) -> Slate:
            raise ZeroDivisionError("a secret of /etc")

    with (
        TestClient(create_app(Broken(), Config()), raise_server_exceptions=False) as client,
        caplog.at_level(logging.ERROR),
    ):
        answer = client.post("/v1/search", json={"text": "milk"})

    message = answer.json()["error"]["message"]
    [record] = caplog.records
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert record.exc_info is not None
    assert re.search(r"under (\w{12})$", message)[1] in record.getMessage()


def test_a_picture_comes_as_its_own_type_and_may_be_kept_for_a_day(client: Client) -> None:
    answer = client.get("/v1/pictures/p1?release=r1")

    assert answer.content.startswith(b"\x89PNG")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["cache-control"] == "public, max-age=86400"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


def test_a_picture_whose_product_has_an_odd_id_is_found(client: Client) -> None:
    assert client.get("/v1/pictures/a%2Fb%3Fc%23d%2520").status_code == 200


def test_what_a_shop_calls_a_picture_is_never_run_by_a_browser(client: Client) -> None:
    answer = client.get("/v1/pictures/p7")  # this shop says: text/html

    assert answer.headers["content-type"] == "application/octet-stream"


def test_a_product_without_a_picture_is_not_found(client: Client) -> None:
    answer = client.get("/v1/pictures/p5")

    assert answer.status_code == 404
    assert answer.json()["error"] == {
        "field": "product_id",
        "message": "this release holds no picture of this product",
        "status": 404,
    }


def test_the_page_learns_the_release_and_some_shoppers(client: Client) -> None:
    assert client.get("/v1/about").json()["pictures"] == "drawn"
    assert client.get("/v1/shoppers?limit=2").json() == {"shoppers": ["1228", "906"]}


@pytest.mark.parametrize("path", ["/", "/docs", "/healthz", "/v1/about", "/nowhere", "/v1/rank"])
def test_every_answer_tells_the_browser_to_trust_nothing_else(client: Client, path: str) -> None:
    headers = client.get(path).headers

    assert headers["content-security-policy"].startswith("default-src 'self'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_the_event_loop_sends_an_answer_without_a_thread_of_its_own(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_over: list[Any] = []
    run = BaseEventLoop.run_in_executor

    def note(loop: BaseEventLoop, executor: Any, work: Any, *arguments: Any) -> Any:
        handed_over.append(work)
        return run(loop, executor, work, *arguments)

    monkeypatch.setattr(BaseEventLoop, "run_in_executor", note)

    assert client.post("/v1/search", json={"text": "tea"}).status_code == 200
    assert handed_over == []


@pytest.mark.parametrize("path", PAGE_FILES)
def test_each_file_of_the_page_is_served_as_what_it_is(client: Client, path: str) -> None:
    name, media_type = PAGE_FILES[path]

    answer = client.get(path)

    assert answer.content == (PAGE / name).read_bytes()
    assert answer.headers["content-type"].partition(";")[0] == media_type


def test_the_pages_fetch_nothing_from_elsewhere_and_never_make_markup_from_words() -> None:
    for file in each(PAGE.iterdir()):
        words = file.read_text().replace("http://www.w3.org/2000/svg", "")

        assert not re.search(r"https?://|src=\"//|@import", words), file.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", words)
        assert not re.search(r"<script>|<style|\son\w+=\"|\sstyle=\"", words), file.name


def test_an_index_elsewhere_that_does_not_answer_is_503_without_its_address(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> Slate:
        raise Unreachable("Milvus at http://inner:19530 could not search within 1 s")

    monkeypatch.setattr(engine, "answer", away)
    with TestClient(create_app(engine, Config())) as client:
        refused = client.post("/v1/search", json={"text": "milk"})

    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "5"
    assert "inner" not in refused.text


def test_what_is_listed_reaches_the_engine_and_comes_back(client: Client, engine: Any) -> None:
    body = {
        "text": "milk",
        "facets": [{"field": "price", "intervals": [[None, 10], [10, 20]], "limit": 3}],
        "sort": [{"field": "price", "order": "desc"}],
        "collapse": {},
        "cursor": "*",
    }

    answer = client.post("/v1/search", json=body).json()

    [asked] = engine.asked
    assert asked.facets[0].intervals == ((None, 10), (10, 20))
    assert (asked.sort[0].field, asked.sort[0].order) == ("price", "desc")
    assert (asked.collapse.field, asked.cursor) == ("item_group_id", "*")
    assert (answer["matched"], answer["cursor"]) == (None, "")


def test_a_list_of_a_release_that_is_served_no_more_is_a_conflict() -> None:
    class Newer:
        release = "r2"
        newest_change = 0

        def answer(
            self, query: Query, stage: Stage = Stage.RANKING, spare_ms: float = inf
        ) -> Slate:
            raise StaleCursor("cursor", "is of release 'r1'; begin the list again")

    with TestClient(create_app(Newer(), Config())) as client:
        answer = client.post("/v1/search", json={"text": "milk", "cursor": "abc"})

    assert answer.status_code == 409
    assert answer.json()["error"]["field"] == "cursor"
