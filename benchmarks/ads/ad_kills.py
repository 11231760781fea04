"""Sells ads for a simulated day in eight processes, kills them and the writer, checks all money.

    python -m benchmarks ad_kills --kills 10000

One process writes the journal, eight hold auctions and are told of clicks. The day has 10,000 steps
of some eight simulated seconds, and at as many as `--kills` says one of the nine is killed by
kill -9 and started again. A click whose answer did not come is told again, as a page would. At
every hundredth kill, and at the end, ledger and journal are compared to the micro with what was
acknowledged.

The day takes some minutes, so what takes milliseconds between processes is hundreds of times as
long beside it, and more is given away than in a real day.
"""

import argparse
import os
import random
import secrets
import select
import signal
import sys
import traceback
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from heapq import heappop, heappush
from mmap import mmap
from pathlib import Path
from struct import pack, unpack
from tempfile import TemporaryDirectory
from threading import Event
from time import monotonic, sleep
from typing import Any, NamedTuple

from benchmarks.machine import run_benchmark
from pipelines.ads.ad_log import FOLDER, replay
from pipelines.ads.campaigns.campaign import AdCampaign, Bid, Budget
from pipelines.ads.intake import WIRE, AdForwarder, AdWriter
from pipelines.ads.ledger.records import (
    AdAct,
    AdOutcome,
    CountedAct,
    HeldAuction,
    PutCampaign,
    Showing,
    ToldAct,
    UnwrittenAd,
)
from pipelines.live.remote.change_client import connect
from pipelines.live.remote.change_server import LogServer
from ranking.auction.values import Pricing

WORKERS = 8
STEPS = 10_000
START_MS = 1_717_200_000_000  # 2024-06-01T00:00:00Z
DAY, DAY_MS = "2024-06-01", 86_400_000
WINDOW_MS = 1_800_000
PRICE = 500_000
CLICK_RATE = 0.1
CLICK_SECONDS = 60.0  # on average, from a showing to its click
OFFERED = 1.5  # times the showings that the budgets need
CLICKS = (50, 80, 100, 150, 200, 400)  # that the budgets are for


class Clock:
    """The simulated time, which the parent moves and all processes read."""

    def __init__(self) -> None:
        self._shared = mmap(-1, 8)
        self.set(START_MS)

    def set(self, ms: int) -> None:
        """Move the time."""
        self._shared[:8] = pack("q", ms)

    def __call__(self) -> int:
        """Return the milliseconds since 1970."""
        [ms] = unpack("q", self._shared[:8])
        return int(ms)


class Child(NamedTuple):
    """A process, and the pipes to and from it."""

    pid: int
    orders: int
    answers: int


def forked(work: Callable[[int, int], None]) -> Child:
    """Let a child work, with a pipe to read from and one to write to."""
    from_us, to_child = os.pipe()
    from_child, to_us = os.pipe()
    pid = os.fork()
    if pid:
        os.close(from_us)
        os.close(to_us)
        os.set_blocking(from_child, False)
        return Child(pid, to_child, from_child)
    try:
        os.close(to_child)
        os.close(from_child)
        work(from_us, to_us)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def write(folder: Path, clock: Clock) -> None:
    """Be the process that writes, until killed."""
    ads = AdWriter(folder, UTC, clock)
    LogServer(folder / "socket", ads.submit, WIRE)
    Event().wait()


def sell(folder: Path, clock: Clock, orders: int, answers: int) -> None:
    """Be a process that holds auctions and is told of clicks, until killed."""
    connect(folder / "socket", 60).close()
    ads = AdForwarder(folder, folder / "socket")
    ads.follow()
    waiting: list[Future[Any]] = []  # the record of the newest auction
    with os.fdopen(orders) as lines:
        for line in lines:
            order, _, token = line.strip().partition(" ")
            if order == "show":
                _show(ads, clock(), answers, waiting)
            else:
                _click(ads, token, answers)


def _show(ads: AdForwarder, now_ms: int, answers: int, waiting: list[Future[Any]]) -> None:
    """Hold an auction, unless the record of the one before is not written yet."""
    if waiting and not waiting[-1].done():
        return
    names = list(ads.ledger.books.campaigns)
    random.shuffle(names)
    standings = ads.ledger.standings(names, DAY, now_ms)
    name = next((n for n in names if min(standings[n].left, standings[n].left_today) > 0), None)
    if name is None:
        return
    showing = Showing(
        auction=secrets.token_hex(16),
        position=1,
        campaign=name,
        product="p1",
        placement="search",
        exposure_ppm=1_000_000,
        kind=Pricing.CPC,
        price_micros=PRICE,
        hold_micros=int(PRICE * CLICK_RATE),
        at_ms=now_ms,
        expires_ms=now_ms + WINDOW_MS,
    )
    ads.ledger.serve((showing,), DAY, "")
    held = HeldAuction(
        id=showing.auction,
        at_ms=now_ms,
        day=DAY,
        origin=ads.ledger.origin,
        visitor="",
        showings=(showing,),
        lost={},
        record="{}",
    )
    waiting[:] = [ads.submit([held])]
    os.write(answers, f"shown {ads.tokens.token(showing)}\n".encode())


def _click(ads: AdForwarder, token: str, answers: int) -> None:
    showing = ads.tokens.read(token)
    assert showing is not None, "a token of ours was refused"
    told = ads.submit([ToldAct(act=AdAct.CLICK, showing=showing)])
    told.add_done_callback(lambda done: _say(answers, token, done))


def _say(answers: int, token: str, done: Future[list[AdOutcome]]) -> None:
    """Say what became of a click; where the writer ended meanwhile, it is told again."""
    if done.exception() is not None:
        return
    [outcome] = done.result()
    is_late = isinstance(outcome, UnwrittenAd) and outcome.status != 200
    with suppress(OSError):
        os.write(answers, f"{'late' if is_late else 'told'} {token}\n".encode())


class Day:
    """The parent: shoppers who see and click, and whoever kills."""

    def __init__(self, folder: Path, kills: int, seed: int, pause: float) -> None:
        self.folder, self.kills, self.pause = folder, kills, pause
        self.random = random.Random(seed)
        self.clock = Clock()
        self.budgets = {f"c{i}": PRICE * CLICKS[i % len(CLICKS)] for i in range(18)}
        self.told: set[str] = set()  # tokens of clicks that were acknowledged
        self.late: set[str] = set()  # whose tokens had expired before the writer was there again
        self.coming: list[tuple[float, str]] = []  # clicks, by the moment when they are told
        self.rest: dict[int, bytes] = {}
        self.open_campaigns()
        self.writer = forked(lambda *_: write(folder, self.clock))
        self.workers = [self.worker() for _ in range(WORKERS)]

    def open_campaigns(self) -> None:
        """Put the campaigns; every third has a daily budget of its half."""
        ads = AdWriter(self.folder, UTC, self.clock)
        for i, (name, total) in enumerate(self.budgets.items()):
            daily = total // 2 if i % 3 == 2 else None
            campaign = AdCampaign(
                id=name,
                advertiser=name,
                currency="EUR",
                budget=Budget(total_micros=total, daily_micros=daily),
                start=datetime(2024, 1, 1, tzinfo=UTC),
                end=datetime(2030, 1, 1, tzinfo=UTC),
                bid=Bid(micros=PRICE),
                products=("p1",),
            )
            ads.submit([PutCampaign(campaign=campaign)]).result()
            self.budgets[name] = daily or total
        ads.close()

    def worker(self) -> Child:
        """Start a process that sells."""
        return forked(lambda orders, answers: sell(self.folder, self.clock, orders, answers))

    def run(self) -> None:
        """Let the day pass."""
        needed = OFFERED * sum(self.budgets.values()) / PRICE / CLICK_RATE
        shown = 0.0
        kills = 0
        for step in range(STEPS):
            self.clock.set(START_MS + DAY_MS * 9 // 10 * step // STEPS)
            shown += needed / STEPS
            while shown >= 1:
                shown -= 1
                self.order("show")
            self.step()
            if self.kills * (step + 1) // STEPS > kills:
                kills += 1
                self.kill()
                if kills % 100 == 0:
                    self.compare(f"after {kills:,} kills")
        end = monotonic() + 120
        while self.coming and monotonic() < end:  # the clicks that are still to be told
            self.clock.set(min(self.clock() + 5_000, START_MS + DAY_MS - 1))
            self.step()
            sleep(0.02)
        for child in (self.writer, *self.workers):
            self.end(child)

    def order(self, line: str) -> None:
        """Tell one of the processes."""
        with suppress(OSError):  # it is being killed
            os.write(self.random.choice(self.workers).orders, f"{line}\n".encode())

    def step(self) -> None:
        """Hear what was shown and told, and tell of the clicks whose time has come."""
        sleep(self.pause)
        for child in self.workers:
            self.hear(child)
        now = self.clock()
        while self.coming and self.coming[0][0] <= now:
            _, token = heappop(self.coming)
            if token not in self.told and token not in self.late:
                self.order(f"click {token}")
                heappush(self.coming, (now + 30_000, token))  # until it is acknowledged

    def hear(self, child: Child) -> None:
        """Read what a process says; half a line waits for its other half."""
        while select.select([child.answers], [], [], 0)[0]:
            part = os.read(child.answers, 1 << 16)
            if not part:
                return
            *lines, self.rest[child.answers] = (self.rest.get(child.answers, b"") + part).split(
                b"\n"
            )
            for line in lines:
                what, _, token = line.decode().partition(" ")
                if what == "told":
                    self.told.add(token)
                elif what == "late":
                    self.late.add(token)
                elif self.random.random() < CLICK_RATE:
                    delay = self.random.expovariate(1 / CLICK_SECONDS)
                    if 1_000 * delay < WINDOW_MS / 2:
                        heappush(self.coming, (self.clock() + 1_000 * delay, token))

    def kill(self) -> None:
        """Kill one process, the writer as often as all others together, and start another."""
        if self.random.random() < 0.5:
            self.end(self.writer)
            self.writer = forked(lambda *_: write(self.folder, self.clock))
            return
        place = self.random.randrange(WORKERS)
        self.end(self.workers[place])
        self.workers[place] = self.worker()

    def end(self, child: Child) -> None:
        """Kill a process, and hear its last words."""
        os.kill(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, 0)
        self.hear(child)
        self.rest.pop(child.answers, None)
        os.close(child.orders)
        os.close(child.answers)

    def compare(self, when: str) -> dict[str, tuple[int, int]]:
        """Return what each campaign was charged and gave away; AssertionError where it is wrong."""
        charged: defaultdict[str, int] = defaultdict(int)
        away: defaultdict[str, int] = defaultdict(int)
        clicked: list[tuple[str, int]] = []
        for _, record in replay(self.folder / FOLDER):
            if isinstance(record, CountedAct):
                name = record.showing.campaign
                clicked.append((record.showing.auction, record.showing.position))
                _sure(record.charged_micros + record.given_away_micros == PRICE, f"{record}")
                charged[name] += record.charged_micros
                away[name] += record.given_away_micros
        _sure(len(clicked) == len(set(clicked)), f"{when}: a click was charged twice")
        for name, budget in self.budgets.items():
            _sure(charged[name] <= budget, f"{when}: {name} spent {charged[name]} of {budget}")
        return {name: (charged[name], away[name]) for name in self.budgets}

    def close(self) -> None:
        """Compare the ledger that a new server opens with the journal and the acknowledgements."""
        found = self.compare("at the end")
        ads = AdWriter(self.folder, UTC, self.clock)
        for name, (charged, away) in found.items():
            account = ads.ledger.account(name)
            _sure(account is not None, f"{name} is lost")
            if account is not None:
                _sure((account.spent, account.given_away) == (charged, away), f"{name} differs")
        records = replay(self.folder / FOLDER)
        counted = {r.record.showing.auction for r in records if isinstance(r.record, CountedAct)}
        told = {s.auction for t in self.told if (s := ads.tokens.read(t)) is not None}
        ads.close()
        _sure(told <= counted, "a click was acknowledged and lost")
        spent = sum(charged for charged, _ in found.values())
        away = sum(given for _, given in found.values())
        budget = sum(self.budgets.values())
        least = min(charged / self.budgets[name] for name, (charged, _) in found.items())
        most = max(given / self.budgets[name] for name, (_, given) in found.items())
        sys.stdout.write(
            f"{self.kills:,} kills: {len(counted):,} clicks, {len(told):,} acknowledged, "
            f"{len(self.late):,} too late, none lost "
            f"or charged twice; no budget exceeded by a micro, ledger and journal equal\n"
            f"spent {spent / budget:.4f} of the budgets (least of a campaign {least:.4f}), given "
            f"away {away / budget:.4f} (most of a campaign {most:.4f})\n"
        )


def _sure(fact: bool, message: str) -> None:  # noqa: FBT001
    if not fact:
        raise AssertionError(message)


def main() -> None:
    """Sell, kill, compare, and say what was spent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pause", type=float, default=0.02, help="seconds of a step, at least")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="ads-") as folder:
        day = Day(Path(folder), options.kills, options.seed, options.pause)
        day.run()
        day.close()


if __name__ == "__main__":
    run_benchmark(main)
