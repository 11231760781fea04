"""The ledger of people: grows, is read as it grows, and is refused where it is damaged."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.config.sections import PeopleConfig
from pipelines.errors import ConfigError
from pipelines.people.people import open_people
from pipelines.people.people_ledger import LedgerEntry, PeopleLedger

NOW = datetime(2024, 3, 2, 12, tzinfo=UTC)


def test_what_one_process_appends_another_reads(tmp_path: Path) -> None:
    path = tmp_path / "people.jsonl"
    writer, reader = PeopleLedger(path), PeopleLedger(path)
    before = reader.end_of("ads", ["a"])

    for hours in (1, 3, 2):
        at = NOW + timedelta(hours=hours)
        writer.append(LedgerEntry(at=at, names=("a", "b"), purposes=("ads",)))
        assert reader.end_of("ads", ["a"]) is not None
    writer.append(LedgerEntry(at=NOW, names=("a",), erased=True))

    assert before is None
    assert reader.end_of("ads", ["x", "b"]) == NOW + timedelta(hours=3)
    assert reader.end_of("train", ["b"]) is None
    assert (reader.erased_at(["a"]), reader.erased_at(["b"])) == (NOW, None)
    assert len(reader.entries) == 4


def test_a_ledger_that_is_another_file_is_read_anew(tmp_path: Path) -> None:
    ledger, other = PeopleLedger(tmp_path / "one"), PeopleLedger(tmp_path / "other")
    ledger.append(LedgerEntry(at=NOW, names=("a",)))
    other.append(LedgerEntry(at=NOW, names=("b",)))
    assert ledger.end_of("ads", ["a"]) == NOW

    other.path.replace(ledger.path)

    assert (ledger.end_of("ads", ["a"]), ledger.end_of("ads", ["b"])) == (None, NOW)


def test_a_ledger_with_a_damaged_line_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "people.jsonl").write_text('{"at": "soon", "names": []}\n')

    with pytest.raises(ConfigError, match=r"people\.jsonl, line 1: .*; bring back a copy"):
        open_people(tmp_path, PeopleConfig(), make=True)
