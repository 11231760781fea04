"""Ads and people together: who withdrew ads sees none, and who is erased is in no file of ads."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from pipelines.ads.ad_consent import AdConsent
from pipelines.ads.ad_log import FOLDER, replay
from pipelines.ads.ad_serving import AdServing
from pipelines.ads.intake import AdWriter
from pipelines.ads.ledger.records import HeldAuction
from pipelines.config.loading import load, with_live
from pipelines.engine.engine import Engine
from pipelines.events.intake import EventWriter
from pipelines.serving.app import create_app
from tests.pipelines.serving.test_ads import asked, ids, put

Client = TestClient[Litestar]
SHOPPERS = [{"visitor": "v1"}, {"user": "u1"}, {"user": "u1", "visitor": "v1"}]


@pytest.fixture
def serving(quick_releases: Path, tmp_path: Path) -> Iterator[Client]:
    config = with_live(load(None, ["people.http=true"]), str(tmp_path))
    with (
        closing(AdWriter(tmp_path, UTC)) as ads,
        closing(EventWriter(tmp_path, 35)) as events,
        closing(AdServing(ads, config, AdConsent(config.consent, events.profiles))) as serving,
        closing(Engine.open(quick_releases, ads=serving, tolerant=True)) as engine,
        TestClient(create_app(engine, config, events, serving)) as client,
    ):
        yield client


def tell(client: Client, **fields: Any) -> None:
    body = {"type": "view", "lines": [{"product": "p1"}], **fields}
    answer = client.post("/v1/events", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["kept"]


def sponsored(client: Client, **fields: Any) -> list[str]:
    return ids(asked(client, **fields), sponsored=True)


@pytest.mark.parametrize("shopper", SHOPPERS)
@pytest.mark.parametrize("known", [True, False])
def test_who_denies_ads_by_an_event_is_shown_none_until_a_request_grants_them(
    serving: Client, shopper: dict[str, str], *, known: bool
) -> None:
    put(serving)
    if known:
        tell(serving, **shopper)
    before = sponsored(serving, **shopper)

    tell(serving, **shopper, consent={"ads": "denied"})
    tell(serving, **shopper)  # silence takes nothing back

    assert before == ["p30"]
    assert sponsored(serving, **shopper) == []
    assert sponsored(serving, visitor="another") == ["p30"]
    assert sponsored(serving, **shopper, ads_consent="granted") == ["p30"]


def test_why_not_says_that_a_visitor_withdrew_consent(serving: Client) -> None:
    put(serving)
    tell(serving, visitor="v1", consent={"ads": "denied"})

    answer = serving.get("/v1/campaigns/c1/why-not?text=bread&visitor=v1")

    assert answer.json()["products"] == [{"product": "p30", "reasons": ["no_consent"]}]


def test_the_records_of_who_withdrew_ads_name_nobody(serving: Client, tmp_path: Path) -> None:
    put(serving)
    tell(serving, visitor="v1", consent={"ads": "denied"})

    asked(serving, visitor="v1")
    serving.app.state.admission.ads.close()

    kept = [one.record for one in replay(tmp_path / FOLDER)]
    auctions = [one for one in kept if isinstance(one, HeldAuction)]
    assert [one.visitor for one in auctions] == [""]
