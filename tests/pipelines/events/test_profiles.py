"""What profiles hold: the same whatever the order, bounded, and made again from the log."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines.events.event_log import FOLDER
from pipelines.events.intake import EventWriter
from pipelines.events.kept_act import KeptAct, kept_act
from pipelines.events.profiles import ProfileLine
from pipelines.events.sqlite_profiles import FILE, MOST_LINES, SqliteProfiles
from retrieval.types import Act

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)


def act(number: int, **fields: Any) -> KeptAct:
    at = (NOW + timedelta(minutes=number)).isoformat()
    body = {"type": "view", "at": at, "lines": [{"product": f"p{number}"}]} | fields
    return kept_act(msgspec.convert(body, Act), NOW + timedelta(days=1), UTC, "granted")


def profile(
    folder: Path, acts: Sequence[KeptAct], user: str | None, visitor: str | None = None
) -> list[ProfileLine]:
    events = EventWriter(folder, 35)
    events.submit(acts).result()
    lines = events.profiles.lines(user, visitor)
    events.close()
    return lines


def products(lines: Sequence[ProfileLine]) -> list[str]:
    return [line.product for line in lines]


@pytest.mark.parametrize("seed", range(5))
def test_acts_in_any_order_and_repeated_leave_the_same_profile(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    acts = [act(i, user="u" if i % 3 else None, visitor="v" if i % 2 else "w") for i in range(60)]
    mixed = [one for one in acts for _ in range(chance.randint(1, 5))]
    chance.shuffle(mixed)

    plain = profile(tmp_path / "plain", acts, "u", "v")
    other = profile(tmp_path / "other", mixed, "u", "v")

    assert [line._replace(sequence=0) for line in plain] == [
        line._replace(sequence=0) for line in other
    ]
    assert len(plain) > 40


def test_a_visit_belongs_to_the_next_who_logs_in_there_and_to_nobody_else(tmp_path: Path) -> None:
    acts = [
        act(1, visitor="v"),
        act(2, visitor="v", user="anna"),
        act(3, visitor="v"),
        act(4, visitor="v", user="ben"),
        act(5, visitor="v"),
    ]

    assert products(profile(tmp_path / "a", acts, "anna")) == ["p1", "p2"]
    assert products(profile(tmp_path / "b", acts, "ben")) == ["p3", "p4"]
    assert products(profile(tmp_path / "c", acts, None, "v")) == ["p5"]
    assert products(profile(tmp_path / "d", acts, "carl", "v")) == ["p5"]


def test_a_profile_keeps_the_newest_lines(tmp_path: Path) -> None:
    acts = [act(i, user="u") for i in range(MOST_LINES + 50)]
    random.Random(1).shuffle(acts)

    lines = profile(tmp_path, acts, "u")

    assert products(lines) == [f"p{i}" for i in range(50, MOST_LINES + 50)]


def test_lost_or_damaged_profiles_are_made_again_from_the_log(tmp_path: Path) -> None:
    acts = [act(i, user="u") for i in range(5)]
    before = profile(tmp_path, acts, "u")
    file = tmp_path / FOLDER / FILE

    file.unlink()
    assert profile(tmp_path, acts, "u") == before
    file.write_bytes(b"not a database" * 1_000)
    assert profile(tmp_path, acts, "u") == before


def test_an_act_without_consent_for_answers_is_in_no_profile(tmp_path: Path) -> None:
    denied = {"search": "denied", "recommend": "denied"}

    assert profile(tmp_path, [act(1, user="u", consent=denied)], "u") == []


def test_profiles_that_are_made_again_are_seen_by_who_reads_them_already(tmp_path: Path) -> None:
    acts = [act(i, user="u") for i in range(5)]
    profile(tmp_path, acts[:4], "u")
    reader = SqliteProfiles(tmp_path / FOLDER)
    before = reader.lines("u", None)
    (tmp_path / FOLDER / FILE).write_bytes(b"not a database" * 1_000)
    unreadable = reader.lines("somebody else", None)

    profile(tmp_path, acts, "u")

    assert (len(before), unreadable) == (4, [])
    assert products(reader.lines("u", None)) == [f"p{i}" for i in range(5)]
    reader.close()
