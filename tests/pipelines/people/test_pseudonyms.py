"""Names of visitors and users: equal for equal ids, and of no use without the key."""

import hmac
import stat
from pathlib import Path

import pytest

from pipelines.errors import ConfigError
from pipelines.people.pseudonyms import Pseudonyms, open_pseudonyms

KEY = bytes(range(32))


def test_a_name_is_the_keyed_hash_of_an_id() -> None:
    expected = hmac.new(KEY, b"user\0anna", "sha256").hexdigest()[:32]

    assert Pseudonyms([KEY]).user("anna") == expected


def test_a_visitor_and_a_user_of_one_id_have_different_names() -> None:
    names = Pseudonyms([KEY])

    assert names.user("a") != names.visitor("a")


def test_after_a_rotation_new_names_come_from_the_new_key_and_old_ones_are_found() -> None:
    old, both = Pseudonyms([KEY]), Pseudonyms([bytes(32), KEY])

    assert both.user("anna") != old.user("anna")
    assert both.users("anna") == (both.user("anna"), old.user("anna"))
    assert both.visitors(None) == ()


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "live" / "people.key"

    first, second = (open_pseudonyms(path, make=True) for _ in range(2))

    assert first.user("anna") == second.user("anna")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["people.key"]


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        (None, 0o600, "is missing, the key of the shoppers' names; set people.key"),
        ("", 0o600, "has no key of 64 hexadecimal digits"),
        ("secret\n", 0o600, "has no key of 64 hexadecimal digits"),
        (f"{KEY.hex()}\nsecret\n", 0o600, "has no key of 64 hexadecimal digits"),
        ("\xe9", 0o600, "cannot be read"),
        (KEY.hex(), 0o640, "may be read by others; run `chmod 600`"),
    ],
)
def test_an_unfit_key_is_refused(
    tmp_path: Path, content: str | None, mode: int, message: str
) -> None:
    path = tmp_path / "people.key"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)

    with pytest.raises(ConfigError, match=message):
        open_pseudonyms(path)


def test_a_signature_is_of_its_content_and_its_key() -> None:
    names = Pseudonyms([KEY])
    signature = names.signature("receipt")

    assert Pseudonyms([bytes(32), KEY]).signed("receipt", signature)
    assert not names.signed("another", signature)
    assert not Pseudonyms([bytes(32)]).signed("receipt", signature)
