"""What profiles hold: the same whatever the order, bounded, and made again from the log."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines.config.sections import ConsentConfig
from pipelines.events.event_log import FOLDER
from pipelines.events.intake import EventWriter
from pipelines.events.kept_act import KeptAct, kept_act
from pipelines.events.profiles.profiles import ProfileLine
from pipelines.events.profiles.sqlite_profiles import FILE, MOST_LINES, SqliteProfiles
from pipelines.live.change_log import LiveError
from pipelines.people.people import People
from pipelines.people.people_ledger import PeopleLedger
from pipelines.people.pseudonyms import Pseudonyms
from retrieval.types import Act

NOBODY = People(Pseudonyms([bytes(32)]), PeopleLedger(Path("none")))
NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)


def act(number: int, **fields: Any) -> KeptAct:
    at = (NOW + timedelta(minutes=number)).isoformat()
    body = {"type": "view", "at": at, "lines": [{"product": f"p{number}"}]} | fields
    return kept_act(msgspec.convert(body, Act), NOW + timedelta(days=1), UTC, ConsentConfig())


def profile(
    folder: Path, acts: Sequence[KeptAct], user: str | None, visitor: str | None = None
) -> list[ProfileLine]:
    events = EventWriter(folder, 35)
    events.submit(acts).result()
    lines = events.profiles.lines((user,) if user else (), (visitor,) if visitor else ())
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
    reader = SqliteProfiles(tmp_path / FOLDER, NOBODY)
    before = reader.lines(["u"], [])
    (tmp_path / FOLDER / FILE).write_bytes(b"not a database" * 1_000)
    unreadable = reader.lines(["somebody else"], [])

    profile(tmp_path, acts, "u")

    assert (len(before), unreadable) == (4, [])
    assert products(reader.lines(["u"], [])) == [f"p{i}" for i in range(5)]
    reader.close()


def test_what_was_shown_pushes_nothing_out_that_was_bought(tmp_path: Path) -> None:
    page = [{"product": f"q{place}"} for place in range(200)]
    acts = [act(0, user="u", type="purchase")]
    acts += [act(i, user="u", type="impression", lines=page) for i in range(1, 5)]

    assert products(profile(tmp_path, acts, "u")) == ["p0"]


def test_acts_past_their_time_leave_the_profiles_of_a_quiet_shop(tmp_path: Path) -> None:
    old = (NOW - timedelta(days=40)).isoformat()
    profile(tmp_path, [act(1, user="u", at=old), act(2, user="u")], "u")

    reader = SqliteProfiles(tmp_path / FOLDER, NOBODY)

    assert products(reader.lines(["u"], [])) == ["p2"]
    reader.close()


def test_profiles_that_are_removed_while_they_are_written_are_made_again(tmp_path: Path) -> None:
    events = EventWriter(tmp_path, 35)
    events.submit([act(1, user="u")]).result()
    for path in (tmp_path / FOLDER).glob(f"{FILE}*"):
        path.unlink()
    lost = events.profiles.upto

    [number] = events.submit([act(2, user="u")]).result()

    assert (lost, events.profiles.upto) == (0, number)
    assert products(events.profiles.lines(["u"], [])) == ["p1", "p2"]
    events.close()


def test_a_log_that_is_removed_while_it_is_written_takes_no_more(tmp_path: Path) -> None:
    events = EventWriter(tmp_path, 35)
    events.submit([act(1, user="u")]).result()
    (tmp_path / FOLDER / "events.sqlite").unlink()

    with pytest.raises(LiveError, match=r"events\.sqlite was removed or replaced"):
        events.submit([act(2, user="u")]).result()
    events.close()
