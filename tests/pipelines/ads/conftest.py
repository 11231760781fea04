"""Campaigns, showings and a ledger with a clock that a test moves."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines.ads.campaigns.campaign import AdCampaign, Bid, Budget
from pipelines.ads.intake import AdWriter
from pipelines.ads.ledger.records import (
    AdAct,
    AdOutcome,
    HeldAuction,
    PutCampaign,
    Showing,
    ToldAct,
)

NOON_MS = 1_717_243_200_000  # 2024-06-01T12:00:00Z
MINUTE_MS = 60_000
DAY_MS = 86_400_000


def campaign(name: str = "c1", total: int = 1_000_000, **fields: Any) -> AdCampaign:
    daily = fields.pop("daily", None)
    bid = fields.pop("bid", Bid(micros=500_000))
    usual: dict[str, Any] = {
        "id": name,
        "advertiser": "Oats & Co",
        "currency": "EUR",
        "budget": Budget(total_micros=total, daily_micros=daily),
        "start": datetime(2024, 1, 1, tzinfo=UTC),
        "end": datetime(2090, 1, 1, tzinfo=UTC),
        "bid": bid,
        "products": ("p1",),
    }
    return AdCampaign(**usual | fields)


def showing(number: int = 0, **fields: Any) -> Showing:
    usual: dict[str, Any] = {
        "auction": f"{number:032x}",
        "position": 1,
        "campaign": "c1",
        "product": "p1",
        "placement": "search",
        "exposure_ppm": 1_000_000,
        "kind": "cpc",
        "price_micros": 300_000,
        "hold_micros": 3_000,
        "at_ms": NOON_MS,
        "expires_ms": NOON_MS + 30 * MINUTE_MS,
    }
    return msgspec.convert(usual | fields, Showing)


def auction(*showings: Showing, **fields: Any) -> HeldAuction:
    usual: dict[str, Any] = {
        "id": showings[0].auction,
        "at_ms": showings[0].at_ms,
        "day": "2024-06-01",
        "origin": "another",
        "visitor": "",
        "showings": showings,
        "lost": {},
        "record": "{}",
    }
    return HeldAuction(**usual | fields)


class Till:
    """A writer of ads whose clock stands still until a test moves it."""

    def __init__(self, folder: Path) -> None:
        self.now_ms = NOON_MS
        self._folder = folder
        self.open()

    def open(self) -> None:
        self.ads = AdWriter(self._folder, UTC, lambda: self.now_ms)

    def reopen(self) -> None:
        self.ads.close()
        self.open()

    def put(self, *campaigns: AdCampaign) -> list[AdOutcome]:
        return self.ads.submit([PutCampaign(campaign=one) for one in campaigns]).result()

    def tell(self, *showings: Showing, act: AdAct = AdAct.CLICK) -> list[AdOutcome]:
        return self.ads.submit([ToldAct(act=act, showing=one) for one in showings]).result()

    def spent(self, name: str = "c1", day: str = "2024-06-01") -> tuple[int, int]:
        return self.ads.ledger.spent(name, day)


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    till = Till(tmp_path)
    yield till
    till.ads.close()
