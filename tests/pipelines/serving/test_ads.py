"""Ads over HTTP: campaigns are durable and seen at once, answers are marked, clicks charge once."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from pipelines.ads.ad_log import FIRST, FOLDER, replay
from pipelines.ads.ad_serving import AdServing
from pipelines.ads.intake import AdWriter
from pipelines.ads.ledger.records import CountedAct, HeldAuction
from pipelines.config.loading import load, with_live
from pipelines.config.sections import Config
from pipelines.engine.engine import Engine
from pipelines.engine.sponsoring import sponsorship
from pipelines.serving.app import create_app
from ranking.auction.record import Record, recompute
from tests.assertions import each, every

Client = TestClient[Litestar]
CAMPAIGN: dict[str, Any] = {
    "id": "c1",
    "advertiser": "Oats & Co",
    "currency": "EUR",
    "budget": {"total_micros": 1_000_000},
    "start": "2020-01-01T00:00:00",
    "end": "2090-01-01T00:00:00",
    "bid": {"micros": 400_000},
    "products": ["p30"],
}
SEARCH = {"text": "bread", "k": 8}


@contextmanager
def selling(releases: Path, folder: Path, *settings: str) -> Iterator[Client]:
    """A server of a release with a folder of ads, as one process serves it."""
    config = with_live(load(None, [f"serve.{one}" for one in settings]), str(folder))
    with (
        closing(AdWriter(folder, UTC)) as ads,
        closing(AdServing(ads, config)) as serving,
        closing(Engine.open(releases, ads=serving, tolerant=True)) as engine,
        TestClient(create_app(engine, config, None, serving)) as client,
    ):
        yield client


@pytest.fixture
def shop_window(quick_releases: Path, tmp_path: Path) -> Iterator[Client]:
    with selling(quick_releases, tmp_path) as client:
        yield client


def put(client: Client, **fields: Any) -> Any:
    body = CAMPAIGN | fields
    return client.put(f"/v1/campaigns/{body['id']}", json=body)


def asked(client: Client, path: str = "/v1/search", **fields: Any) -> Any:
    answer = client.post(path, json=(SEARCH if path == "/v1/search" else {"k": 8}) | fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(slate: Any, *, sponsored: bool) -> list[str]:
    return [one["product"]["id"] for one in slate["products"] if one["sponsored"] is sponsored]


def report(client: Client, name: str = "c1") -> Any:
    answer = client.get(f"/v1/campaigns/{name}/report")
    assert answer.status_code == 200, answer.text
    return answer.json()


def records(folder: Path, kind: type) -> list[Any]:
    return [one.record for one in replay(folder / FOLDER) if isinstance(one.record, kind)]


def test_a_campaign_is_durable_and_in_the_next_answer(quick_releases: Path, tmp_path: Path) -> None:
    with selling(quick_releases, tmp_path) as client:
        taken = put(client)
        first = asked(client)

    with selling(quick_releases, tmp_path) as client:
        kept = client.get("/v1/campaigns/c1").json()
        again = asked(client)

    assert taken.status_code == 200, taken.text
    assert taken.json()["sequence"] == FIRST
    assert kept["products"] == ["p30"]
    assert ids(first, sponsored=True) == ids(again, sponsored=True) == ["p30"]


@pytest.mark.parametrize("path", ["/v1/search", "/v1/recommend"])
def test_what_is_sponsored_is_marked_and_the_others_keep_their_order(
    shop_window: Client, path: str
) -> None:
    before = asked(shop_window, path)
    put(shop_window, products=[before["products"][5]["product"]["id"]])

    after = asked(shop_window, path)

    [name] = ids(after, sponsored=True)
    others = [one for one in ids(before, sponsored=False) if one != name]
    assert ids(after, sponsored=False) == others
    assert [one["position"] for one in after["products"]] == list(range(1, 9))
    [ad] = [one["ad"] for one in after["products"] if one["sponsored"]]
    assert (ad["campaign"], ad["advertiser"]) == ("c1", "Oats & Co")
    assert "Oats & Co pays" in ad["why"][0]
    assert ad["token"]


def test_without_campaigns_an_answer_is_the_same_in_every_byte(
    shop_window: Client, quick_releases: Path
) -> None:
    plain = Engine.open(quick_releases, tolerant=True)
    with TestClient(create_app(plain, Config())) as other:
        theirs = other.post("/v1/search", json=SEARCH)
    ours = shop_window.post("/v1/search", json=SEARCH)

    one, two = (msgspec.json.decode(a.content) | {"timings_ms": {}} for a in (ours, theirs))
    assert msgspec.json.encode(one) == msgspec.json.encode(two)
    assert b'"ad"' not in ours.content
    assert ours.headers["cache-status"] == theirs.headers["cache-status"]
    assert "ads" not in msgspec.json.decode(ours.content)["timings_ms"]


def test_a_click_is_charged_once_and_the_report_says_so(shop_window: Client) -> None:
    put(shop_window)
    [token] = tokens(asked(shop_window))

    told = [shop_window.post(f"/v1/clicks/{token}") for _ in range(2)]
    told.append(shop_window.get(f"/v1/clicks/{token}"))

    assert [answer.json() for answer in told] == [
        {"counted": True},
        {"counted": False},
        {"counted": False},
    ]
    found = report(shop_window)
    assert (found["clicks"], found["charged"]) == (1, 1)
    assert 0 < found["spent_micros"] <= 400_000
    assert found["cost_per_click_micros"] == found["spent_micros"]


def tokens(slate: Any) -> list[str]:
    return [one["ad"]["token"] for one in slate["products"] if one["sponsored"]]


def test_impressions_and_views_are_counted_apart_and_cost_no_click(shop_window: Client) -> None:
    put(shop_window)
    [token] = tokens(asked(shop_window))

    answers = [shop_window.post(f"/v1/{act}/{token}") for act in ("impressions", "views")]

    assert [a.json() for a in answers] == [{"counted": True}] * 2
    found = report(shop_window)
    assert (found["served"], found["impressions"], found["views"]) == (1, 1, 1)
    assert found["spent_micros"] == 0
    assert found["held_micros"] > 0


def test_a_forged_token_and_a_head_request_charge_nothing(shop_window: Client) -> None:
    put(shop_window)
    [token] = tokens(asked(shop_window))
    letter = "A" if token[20] != "A" else "B"

    forged = [
        shop_window.post(f"/v1/clicks/{one}")
        for one in (token[:20] + letter + token[21:], token[:-9], "x", "%FF", "a" * 5_000)
    ]
    head = shop_window.head(f"/v1/clicks/{token}")

    for answer in each(forged):
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["field"] == "token"
    assert head.status_code == 405
    assert report(shop_window)["clicks"] == 0


def test_spend_ends_at_the_budget_and_the_campaign_leaves_the_page(shop_window: Client) -> None:
    put(shop_window, budget={"total_micros": 150_000})
    given = [token for _ in range(8) for token in tokens(asked(shop_window))]

    answers = [shop_window.post(f"/v1/clicks/{token}") for token in given]

    assert every(answer.json()["counted"] for answer in answers)
    found = report(shop_window)
    assert found["spent_micros"] == 150_000
    assert found["given_away_micros"] > 0
    assert ids(asked(shop_window), sponsored=True) == []
    assert why_not(shop_window, text="bread") == ["budget_spent", "daily_budget_spent"]


def why_not(client: Client, **asked: Any) -> list[str]:
    answer = client.get("/v1/campaigns/c1/why-not", params=asked)
    assert answer.status_code == 200, answer.text
    [product] = answer.json()["products"]
    reasons: list[str] = product["reasons"]
    return reasons


def test_why_not_gives_every_reason(shop_window: Client) -> None:
    put(
        shop_window,
        start="2080-01-01T00:00:00",
        products=["p47"],  # hidden
        targeting={"terms": ["rye bread"], "placements": ["cart"], "devices": ["phone"]},
    )

    assert why_not(shop_window, text="bread", ads_consent="denied") == [
        "not_started",
        "hidden_product",
        "no_consent",
        "other_words",
        "other_placement",
        "other_device",
    ]


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"targeting": {"terms": ["bread"]}}, {"text": "the BREAD"}),
        ({"targeting": {"terms": ["rye milk", "bread"]}}, {"text": "bread"}),
        ({"targeting": {"placements": ["search"]}}, {"text": "bread"}),
        ({"targeting": {"countries": ["US"]}}, {"text": "bread"}),
    ],
)
def test_a_campaign_is_shown_where_it_is_targeted(
    shop_window: Client, fields: dict[str, Any], where: dict[str, Any]
) -> None:
    put(shop_window, **fields)

    assert ids(asked(shop_window, **where), sponsored=True) == ["p30"]


@pytest.mark.parametrize(
    "fields",
    [
        {"targeting": {"terms": ["rye bread"]}},
        {"targeting": {"placements": ["cart"]}},
        {"targeting": {"categories": ["Toys"]}},
        {"targeting": {"products": ["p1"]}},
        {"end": "2021-01-01T00:00:00"},
        {"bid": {"micros": 1}},
        {"products": ["p47"]},
    ],
)
def test_a_campaign_is_not_shown_where_it_is_not_for(
    shop_window: Client, fields: dict[str, Any]
) -> None:
    put(shop_window, **fields)

    assert ids(asked(shop_window), sponsored=True) == []


def test_a_shopper_who_denies_ads_sees_none(shop_window: Client) -> None:
    put(shop_window)

    assert tokens(asked(shop_window, ads_consent="granted"))
    assert tokens(asked(shop_window, ads_consent="denied")) == []


def test_nothing_is_kept_of_a_shopper_who_denies_ads(quick_releases: Path, tmp_path: Path) -> None:
    with selling(quick_releases, tmp_path) as client:
        put(client)
        asked(client, visitor="v1", ads_consent="denied")
        asked(client, visitor="v1", ads_consent="granted")

    denied, granted = records(tmp_path, HeldAuction)
    assert (denied.visitor, denied.lost) == ("", {"c1": ("no_consent",)})
    assert granted.visitor not in ("", "v1")


def test_campaigns_that_have_ended_leave_answers_as_they_were(shop_window: Client) -> None:
    put(shop_window, end="2021-01-01T00:00:00")

    answers = [shop_window.post("/v1/search", json=SEARCH) for _ in range(2)]

    assert answers[1].headers["cache-status"] == "vetrina; hit"
    assert answers[0].content == answers[1].content


def test_a_cap_bounds_what_a_visitor_is_shown_in_a_day(shop_window: Client) -> None:
    put(shop_window, daily_cap=2)

    shown = [len(tokens(asked(shop_window, visitor="v1"))) for _ in range(4)]

    assert shown == [1, 1, 0, 0]
    assert tokens(asked(shop_window, visitor="v2"))
    assert "capped" in why_not(shop_window, text="bread", visitor="v1")


def test_one_advertiser_and_one_exclusion_group_have_one_place_on_a_page(
    shop_window: Client,
) -> None:
    put(shop_window, id="c1", products=["p30"], exclusion_groups=["bread"])
    put(shop_window, id="c2", products=["p24"])
    put(shop_window, id="c3", products=["p18"], advertiser="Rye", exclusion_groups=["bread"])
    put(shop_window, id="c4", products=["p36"], advertiser="Barley")

    ads = [one["ad"] for one in asked(shop_window)["products"] if one["sponsored"]]

    assert len(ads) == 2
    assert len({ad["advertiser"] for ad in ads}) == 2
    assert not {"c1", "c3"} <= {ad["campaign"] for ad in ads}


def test_a_page_with_ads_is_not_kept_for_the_next_shopper(shop_window: Client) -> None:
    put(shop_window)

    answers = [shop_window.post("/v1/search", json=SEARCH) for _ in range(2)]

    one, two = (tokens(answer.json()) for answer in answers)
    assert one != two
    for answer in each(answers):
        assert "cache-status" not in answer.headers


def test_a_cached_page_without_ads_is_not_sent_once_there_are_campaigns(
    shop_window: Client,
) -> None:
    asked(shop_window)
    put(shop_window)

    assert tokens(asked(shop_window))


@pytest.mark.parametrize("fields", [{"candidates": ["p30", "p1"]}, {"cursor": "*"}])
def test_given_candidates_and_lists_carry_no_ads(
    shop_window: Client, fields: dict[str, Any]
) -> None:
    put(shop_window)

    assert ids(asked(shop_window, **fields), sponsored=True) == []
    rank = shop_window.post("/v1/rank", json={"candidates": ["p30"]}).json()
    assert ids(rank, sponsored=True) == []


def test_each_auction_is_recorded_and_computed_again_from_its_record(
    quick_releases: Path, tmp_path: Path
) -> None:
    with selling(quick_releases, tmp_path) as client:
        put(client)
        put(client, id="c2", products=["p24"])
        for _ in range(5):
            asked(client)
        lost = report(client, "c2")["lost"]

    auctions = records(tmp_path, HeldAuction)
    assert len(auctions) == 5
    for auction in each(auctions):
        kept = msgspec.json.decode(auction.record, type=Record)
        assert msgspec.json.encode(recompute(kept)).decode() == auction.record
        [showing] = auction.showings
        [bid] = [b for b in kept.auction.sponsored if b.campaign == showing.campaign]
        assert showing.price_micros <= bid.bid_micros
    assert lost is not None
    assert every("advertiser_on_page" in r for a in auctions for r in a.lost.values())


def test_what_is_sponsored_pays_at_least_what_it_pushes_out(
    quick_releases: Path, tmp_path: Path
) -> None:
    with selling(quick_releases, tmp_path) as client:
        put(client)
        asked(client)

    [auction] = records(tmp_path, HeldAuction)
    kept = msgspec.json.decode(auction.record, type=Record)
    [showing], [bid] = auction.showings, kept.auction.sponsored
    worth = 1_000 * showing.price_micros * bid.probability
    below = [
        one.value_micros
        for one in sorted(kept.auction.organic, key=lambda one: -one.value_micros)
        if one.product != bid.product
    ][showing.position - 1 :]
    assert worth >= below[0]


def test_what_was_shown_is_counted_once_before_and_after_a_restart(
    quick_releases: Path, tmp_path: Path
) -> None:
    ends, begins = [], []
    for _ in range(3):
        with selling(quick_releases, tmp_path) as client:
            put(client)
            begins.append(report(client))
            asked(client)
            ends.append(report(client))

    assert [one["served"] for one in ends] == [1, 2, 3]
    for before, after in each(zip(ends, begins[1:], strict=False)):
        assert before["held_micros"] == after["held_micros"] > 0
        assert before["days"] == after["days"]


def test_where_the_auction_fails_the_page_is_the_organic_one_and_holds_nothing(
    shop_window: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = asked(shop_window)
    put(shop_window)
    monkeypatch.setattr(sponsorship, "run", fail)

    after = asked(shop_window)

    assert ids(after, sponsored=False) == ids(before, sponsored=False)
    assert report(shop_window)["served"] == report(shop_window)["held_micros"] == 0


def fail(*_: object) -> None:
    raise RuntimeError("the auction has a fault")


def test_ledger_report_and_journal_agree(quick_releases: Path, tmp_path: Path) -> None:
    with selling(quick_releases, tmp_path) as client:
        put(client, budget={"total_micros": 500_000, "daily_micros": 300_000})
        for number in range(6):
            for token in tokens(asked(client)):
                client.post(f"/v1/impressions/{token}")
                if number % 2:
                    client.post(f"/v1/clicks/{token}")
        found = report(client)

    counted = records(tmp_path, CountedAct)
    assert found["spent_micros"] == sum(one.charged_micros for one in counted)
    assert found["given_away_micros"] == sum(one.given_away_micros for one in counted)
    assert found["impressions"] + found["clicks"] == len(counted)
    assert found["spent_micros"] == sum(day["spent_micros"] for day in found["days"]) <= 300_000


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"budget": {"total_micros": -1}}, "budget.total_micros"),
        ({"budget": {"total_micros": 0.5}}, "budget.total_micros"),
        ({"budget": {"total_micros": 2**70}}, "budget.total_micros"),
        ({"bid": {"micros": 1, "colour": 1}}, "bid.colour"),
        ({"end": "2019-01-01T00:00:00"}, "end"),
        ({"currency": "XXZ"}, "currency"),
        ({"products": ["p1", "nothing"]}, "products[1]"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_campaign_that_cannot_be_is_refused_and_leaves_nothing(
    shop_window: Client, fields: dict[str, Any], field: str
) -> None:
    answer = put(shop_window, **fields)

    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["field"] == field
    assert shop_window.get("/v1/campaigns").json() == {"campaigns": []}


def test_a_campaign_that_is_deleted_ends_and_charges_nothing_more(shop_window: Client) -> None:
    put(shop_window)
    [token] = tokens(asked(shop_window))

    gone = shop_window.delete("/v1/campaigns/c1")
    click = shop_window.post(f"/v1/clicks/{token}")

    assert gone.status_code == 200, gone.text
    assert click.json() == {"counted": True}
    assert ids(asked(shop_window), sponsored=True) == []
    assert shop_window.get("/v1/campaigns/c1").status_code == 404
    assert shop_window.delete("/v1/campaigns/c1").status_code == 404
    put(shop_window)
    assert report(shop_window)["spent_micros"] == 0
    assert report(shop_window)["given_away_micros"] > 0


def test_a_server_without_live_has_no_ads(client: Client) -> None:
    answers = [
        put(client),
        client.get("/v1/campaigns"),
        client.get("/v1/campaigns/c1/report"),
        client.post("/v1/clicks/x"),
    ]

    assert [answer.status_code for answer in answers] == [403] * 4


@pytest.mark.parametrize(
    ("body", "field", "hint"),
    [
        (b"", "body", '"advertiser": "Oats"'),
        (b'{"start": "2026-06-01"}', "start", "2024-06-01T00:00:00"),
        (b'{"end": "soon"}', "end", "2024-07-01T00:00:00"),
    ],
)
def test_what_cannot_be_read_as_a_campaign_is_refused_with_what_to_send(
    shop_window: Client, body: bytes, field: str, hint: str
) -> None:
    headers = {"content-type": "application/json"}

    answer = shop_window.put("/v1/campaigns/c1", content=body, headers=headers)

    error = answer.json()["error"]
    assert (answer.status_code, error["field"]) == (400, field)
    assert hint in error["message"]
