"""A writer of ads that is killed at any moment has charged what it acknowledged, and never more."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.ads.ad_log import FOLDER, replay
from pipelines.ads.ledger.records import CountedAct
from tests.pipelines.ads.conftest import NOON_MS, Till

TOTAL, PRICE, TOKENS = 9_999_999, 1_000, 20_000
WRITER = """
import sys
from pathlib import Path
from tests.pipelines.ads.conftest import Till, campaign, showing

till = Till(Path(sys.argv[1]))
first, total, price, tokens = map(int, sys.argv[2:])
till.put(campaign(total=total))
print("open", flush=True)
for number in range(first, first + tokens):
    one = showing(number, price_micros=price)
    told = till.tell(one, one)
    if isinstance(told[0], int):
        print(number, flush=True)
"""


@pytest.mark.parametrize("kills", [8, pytest.param(100, marks=pytest.mark.slow)])
def test_what_was_acknowledged_is_charged_once_after_kills(tmp_path: Path, kills: int) -> None:
    chance = random.Random(7)
    acknowledged: set[int] = set()
    for _ in range(kills):
        first = max(acknowledged, default=0) - 3  # tokens that were used, and perhaps one in doubt
        acknowledged |= killed_writer(tmp_path, max(first, 0), chance.uniform(0.0, 0.3))

    till = Till(tmp_path)
    counted = [e.record for e in replay(tmp_path / FOLDER) if isinstance(e.record, CountedAct)]
    numbers = [int(one.showing.auction, 16) for one in counted]
    spent = till.spent()[0]
    till.ads.close()
    assert len(acknowledged) > kills
    assert acknowledged <= set(numbers)
    assert len(numbers) == len(set(numbers))
    assert spent == sum(one.charged_micros for one in counted) == min(TOTAL, PRICE * len(numbers))
    assert {one.at_ms for one in counted} == {NOON_MS}


def killed_writer(folder: Path, first: int, seconds: float) -> set[int]:
    """Return the tokens that a process acknowledged until its end."""
    arguments = [str(folder), str(first), str(TOTAL), str(PRICE), str(TOKENS)]
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGKILL)
    lines = process.stdout.read().split("\n")
    process.wait()
    process.stdout.close()
    return {int(line) for line in lines[:-1]}
