"""A writer that is killed at any moment loses no act that it acknowledged, and has none twice."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.events.archive_writer import ARCHIVE, ArchiveWriter
from pipelines.events.event_log import FOLDER, identity, replay
from pipelines.events.intake import EventWriter
from pipelines.people.pseudonyms import FILE, open_pseudonyms
from pipelines.shop.archive import archive_parts, read_index

WRITER = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from pipelines.events import archive_writer, intake
from pipelines.config.sections import ConsentConfig
from pipelines.events.kept_act import kept_act
from retrieval.types import Act, ActLine

archive_writer.ACTS_AT_ONCE, archive_writer.MOST_PARTS, intake.ARCHIVE_SECONDS = 7, 2, 0.01
events = intake.EventWriter(Path(sys.argv[1]), 35)
print("open", flush=True)
now = datetime.now(UTC) - timedelta(days=3)
for number in range(10**9):
    name = f"{sys.argv[2]}-{number}"
    act = Act(id=name, type="purchase", user=f"u{number % 3}",
              at=now + timedelta(hours=number % 40),
              lines=(ActLine(product="p1"), ActLine(product="p2")))
    kept = kept_act(act, now + timedelta(days=3), UTC, ConsentConfig())
    [first], [again] = events.submit([kept]).result(), events.submit([kept]).result()
    assert (again.status, again.sequence) == (200, first), again
    print(kept.key, flush=True)
"""


@pytest.mark.parametrize("kills", [12, pytest.param(100, marks=pytest.mark.slow)])
def test_what_was_acknowledged_is_archived_once_after_kills(tmp_path: Path, kills: int) -> None:
    chance = random.Random(7)
    acknowledged: list[str] = []
    for life in range(kills):
        acknowledged += killed_writer(tmp_path, life, chance.uniform(0.0, 0.3))

    EventWriter(tmp_path, 35).close()

    log = {one.kept.key for one in replay(tmp_path / FOLDER)}
    assert len(acknowledged) > kills
    assert set(acknowledged) <= log
    archived = archived_lines(tmp_path / FOLDER)
    assert len(archived) == len(set(archived))
    assert set(archived) == {(key, line) for key in log for line in (0, 1)}


def killed_writer(folder: Path, life: int, seconds: float) -> list[str]:
    """Return the keys of the acts that a process acknowledged until its end."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(life)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGKILL)
    lines = process.stdout.read().split("\n")
    process.wait()
    process.stdout.close()
    return lines[:-1]  # behind the last end of a line nothing was acknowledged


def archived_lines(folder: Path) -> list[tuple[str, int]]:
    archive = folder / ARCHIVE
    ArchiveWriter(folder, open_pseudonyms(folder.parent / FILE).key_ids).write()
    assert read_index(archive).logs == dict([identity(folder)])
    paths = [path for _, day in archive_parts(archive, read_index(archive)) for path in day]
    rows = [row for path in paths for row in pq.read_table(path, partitioning=None).to_pylist()]
    return [(row["key"], row["line"]) for row in rows]
