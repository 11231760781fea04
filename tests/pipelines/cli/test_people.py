"""The verbs about people: export, erasure with a receipt, and its check."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from pipelines.cli.people import people
from pipelines.config.sections import Config, ConsentConfig, ServeConfig
from pipelines.errors import UserError
from pipelines.events.intake import EventWriter
from pipelines.events.kept_act import kept_act, pseudonymous
from pipelines.people.people import people_of
from pipelines.people.people_ledger import LedgerEntry
from retrieval.types import Act

NOW = datetime.now(UTC)


@pytest.fixture
def live(tmp_path: Path) -> Path:
    events = EventWriter(tmp_path / "live", 35)
    for user in ("anna", "ben"):
        body = {"type": "view", "user": user, "lines": [{"product": "p1"}]}
        act = pseudonymous(msgspec.convert(body, Act), events.people.names)
        events.submit([kept_act(act, NOW - timedelta(hours=1), UTC, ConsentConfig())]).result()
    events.close()
    return tmp_path / "live"


def run(*words: object) -> Result:
    return CliRunner().invoke(people, [str(word) for word in words])


def told(*words: object) -> Any:
    result = run(*words)
    assert result.exit_code == 0, result.output
    return msgspec.json.decode(result.output)


def test_a_person_is_exported_and_erased_and_the_receipt_is_genuine(
    live: Path, tmp_path: Path
) -> None:
    before = told("export", "--live", live, "--user", "anna")
    receipt = tmp_path / "receipt.json"

    erased = run("erase", "--live", live, "--user", "anna")

    receipt.write_text(erased.output)
    after = told("export", "--live", live, "--user", "anna")
    assert (len(before["acts"]), len(before["archived"])) == (1, 1)
    assert (after["acts"], after["archived"]) == ([], [])
    assert len(told("export", "--live", live, "--user", "ben")["acts"]) == 1
    assert run("check", "--live", live, receipt).output == "genuine\n"
    receipt.write_text(erased.output.replace('"acts": 1', '"acts": 2'))
    with pytest.raises(UserError, match="was changed, or signed with another key"):
        raise run("check", "--live", live, receipt).exception or AssertionError


@pytest.mark.parametrize("verb", ["export", "erase"])
def test_a_person_has_to_be_named(live: Path, verb: str) -> None:
    with pytest.raises(UserError, match="name a person with --user, --visitor or both"):
        raise run(verb, "--live", live).exception or AssertionError


def test_nobody_is_erased_beside_a_server_that_writes(live: Path) -> None:
    events = EventWriter(live, 35)

    with pytest.raises(UserError, match="another process takes events here"):
        raise run("erase", "--live", live, "--user", "anna").exception or AssertionError
    events.close()


def test_a_build_without_an_archive_finds_the_ledger_where_the_server_s_is(live: Path) -> None:
    config = Config(serve=ServeConfig(live=str(live)))
    found = people_of(None, None, config)
    assert found is not None

    found.ledger.append(LedgerEntry(at=NOW, names=found.names_of("anna", None), erased=True))

    for archive, folder in ((live / "events" / "archive", None), (None, live)):
        people_there = people_of(archive, folder, Config())
        assert people_there is not None
        assert people_there.ledger.erased_at(found.names.users("anna")) == NOW
    assert people_of(None, None, Config()) is None
