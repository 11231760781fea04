"""Ads and people together: who withdrew ads sees none, and who is erased is in no file of ads."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
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
from pipelines.people.people_ledger import LedgerEntry
from pipelines.serving.app import create_app
from tests.pipelines.ads.conftest import NOON_MS, auction, showing
from tests.pipelines.serving.test_ads import asked, ids, put
from tests.pipelines.serving.workers.test_workers import wait_for

Client = TestClient[Litestar]
SHOPPERS = [{"visitor": "v1"}, {"user": "u1"}, {"user": "u1", "visitor": "v1"}]


@pytest.fixture
def serving(quick_releases: Path, tmp_path: Path) -> Iterator[Client]:
    config = with_live(load(None, ["people.http=true"]), str(tmp_path))
    with (
        closing(AdWriter(tmp_path, UTC)) as ads,
        closing(EventWriter(tmp_path, 35, erase_from_ads=ads.erase)) as events,
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


def test_a_denial_without_a_name_is_that_of_the_user_who_logs_in_there(serving: Client) -> None:
    put(serving)
    tell(serving, visitor="v1", consent={"ads": "denied"})
    before = sponsored(serving, user="u1")

    tell(serving, visitor="v1", user="u1")

    assert (before, sponsored(serving, user="u1")) == (["p30"], [])


@pytest.mark.parametrize("who", ["visitor", "user"])
def test_why_not_says_that_somebody_withdrew_consent(serving: Client, who: str) -> None:
    put(serving)
    tell(serving, **{who: "v1"}, consent={"ads": "denied"})

    answer = serving.get(f"/v1/campaigns/c1/why-not?text=bread&{who}=v1")

    assert answer.json()["products"] == [{"product": "p30", "reasons": ["no_consent"]}]


def test_the_records_of_who_withdrew_ads_name_nobody(serving: Client, tmp_path: Path) -> None:
    put(serving)
    tell(serving, visitor="v1", consent={"ads": "denied"})

    asked(serving, visitor="v1")
    serving.app.state.admission.ads.close()

    kept = [one.record for one in replay(tmp_path / FOLDER)]
    auctions = [one for one in kept if isinstance(one, HeldAuction)]
    assert [one.visitor for one in auctions] == [""]


def digests(folder: Path) -> list[str]:
    kept = [one.record for one in replay(folder / FOLDER)]
    return [one.visitor for one in kept if isinstance(one, HeldAuction)]


def in_bytes(folder: Path, digest: str) -> list[str]:
    """Return the files of ads that have a digest in a byte."""
    files = sorted(path for path in (folder / FOLDER).iterdir() if path.is_file())
    return [path.name for path in files if digest.encode() in path.read_bytes()]


@pytest.mark.parametrize("shopper", SHOPPERS)
def test_who_is_erased_is_in_no_byte_of_the_files_of_ads(
    serving: Client, tmp_path: Path, shopper: dict[str, str]
) -> None:
    ads = serving.app.state.admission.ads.intake
    put(serving)
    for _ in range(60):
        asked(serving, **shopper)
        asked(serving, visitor="another")
    wait_for(lambda: len(digests(tmp_path)) == 120)
    ads._keep()  # the ledger as a file
    with closing(sqlite3.connect(tmp_path / FOLDER / "ads.sqlite")) as journal:
        journal.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
    [mine, others] = dict.fromkeys(digests(tmp_path))
    before = in_bytes(tmp_path, mine)

    receipt = serving.post("/v1/people/erase", json=shopper).json()

    ads._keep()
    assert {"ads.sqlite", "ledger.json"} <= {*before}
    assert receipt["auctions"] == 60
    assert in_bytes(tmp_path, mine) == []
    assert digests(tmp_path).count(others) == 60


def test_the_browser_of_an_erased_user_leaves_the_files_of_ads_too(
    serving: Client, tmp_path: Path
) -> None:
    put(serving)
    tell(serving, user="u1", visitor="v1")
    asked(serving, visitor="v1")
    wait_for(lambda: len(digests(tmp_path)) == 1)

    receipt = serving.post("/v1/people/erase", json={"user": "u1"}).json()

    assert receipt["auctions"] == 1
    assert digests(tmp_path) == [""]


def test_an_auction_that_is_on_its_way_while_its_visitor_is_erased_names_nobody(
    tmp_path: Path,
) -> None:
    with closing(AdWriter(tmp_path, UTC, lambda: NOON_MS)) as ads:
        name = "visitor/1"
        late = auction(showing(1), visitor=ads.tokens.visitor(name))
        later = auction(showing(2, at_ms=NOON_MS + 1), visitor=ads.tokens.visitor(name))
        erased = ads.erase([name])

        ads.submit([late, later]).result()

    assert erased == 0
    assert digests(tmp_path) == ["", later.visitor]


def test_an_erasure_that_was_cut_off_before_the_ads_is_done_at_the_next_start(
    tmp_path: Path,
) -> None:
    with closing(AdWriter(tmp_path, UTC, lambda: NOON_MS)) as ads:
        with closing(EventWriter(tmp_path, 35, erase_from_ads=ads.erase)) as events:
            [name] = events.people.names_of(None, "v1")
            ads.submit([auction(showing(1), visitor=ads.tokens.visitor(name))]).result()
            events.people.ledger.append(
                LedgerEntry(at=datetime.now(UTC), names=(name,), erased=True)
            )
        before = digests(tmp_path)
        EventWriter(tmp_path, 35, erase_from_ads=ads.erase).close()

    assert before != [""]
    assert digests(tmp_path) == [""]
