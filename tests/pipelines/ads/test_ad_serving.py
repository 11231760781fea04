"""A process that serves ads records what it shows, and sells nothing while nothing is written."""

from collections.abc import Sequence
from concurrent.futures import Future

import pytest

from pipelines.ads import ad_serving
from pipelines.ads.ad_serving import AdServing, AuctionToRecord
from pipelines.ads.ledger.records import AdItem, AdOutcome, HeldAuction
from pipelines.config.sections import Config
from tests.pipelines.ads.conftest import NOON_MS, Till, campaign, showing
from tests.pipelines.serving.workers.test_workers import wait_for

DAY = "2024-06-01"


class Slow:
    """An intake whose writer answers when a test says so."""

    def __init__(self, till: Till) -> None:
        self.ledger, self.tokens = till.ads.ledger, till.ads.tokens
        self.asked: list[tuple[Sequence[AdItem], Future[list[AdOutcome]]]] = []

    def submit(self, items: Sequence[AdItem]) -> Future[list[AdOutcome]]:
        future: Future[list[AdOutcome]] = Future()
        self.asked.append((items, future))
        return future

    def close(self) -> None:
        """Close nothing."""


def held(number: int = 1) -> AuctionToRecord:
    one = showing(number)
    return AuctionToRecord(one.auction, NOON_MS, "", (one,), lambda: ("{}", {"c2": ("outranked",)}))


def test_what_is_shown_is_held_at_once_and_recorded_behind(till: Till) -> None:
    till.put(campaign())
    slow = Slow(till)
    serving = AdServing(slow, Config())

    serving.hold(held(), DAY)
    at_once = till.ads.ledger.standings(["c1"], DAY, NOON_MS)["c1"].left

    [(items, future)] = wait_for(lambda: slow.asked)
    future.set_result([1])
    serving.close()
    [auction] = items
    assert isinstance(auction, HeldAuction)
    assert at_once == 1_000_000 - 3_000
    assert (auction.record, auction.lost) == ("{}", {"c2": ("outranked",)})
    assert auction.origin == till.ads.ledger.origin


def test_nothing_is_sold_while_the_writer_does_not_answer(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ad_serving, "STALLED_SECONDS", 0.05)
    monkeypatch.setattr(ad_serving, "PAUSE_SECONDS", 0.05)
    till.put(campaign())
    slow = Slow(till)
    serving = AdServing(slow, Config())
    before = serving.sells

    serving.hold(held(1), DAY)
    wait_for(lambda: not serving.sells)
    slow.asked[0][1].set_exception(OSError("the writer has ended"))

    wait_for(lambda: serving.sells)
    serving.close()
    assert before
    assert serving.dropped == 1
