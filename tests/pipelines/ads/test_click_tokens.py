"""Click tokens: only what was signed with the key of the folder is read, and exactly as it was."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.ads.click_tokens import KEY_FILE, ClickTokens, make_key, open_tokens
from pipelines.live.change_log import LiveError
from tests.pipelines.ads.conftest import showing

KEY = bytes(range(32))


def test_a_token_holds_the_showing() -> None:
    tokens = ClickTokens(KEY)
    one = showing(7, product="a/b?c#é", price_micros=2**62)

    assert tokens.read(tokens.token(one)) == one


@given(place=st.integers(0, 10**4), flip=st.integers(1, 255))
def test_a_token_with_one_byte_changed_is_forged(place: int, flip: int) -> None:
    tokens = ClickTokens(KEY)
    token = bytearray(tokens.token(showing()).encode())
    place %= len(token)
    token[place] ^= flip

    read = tokens.read(token.decode("latin-1"))

    # The last letter of base64 may have bits that say nothing.
    assert read is None or (place == len(token) - 1 and read == showing())


@given(st.text(max_size=300))
def test_any_text_is_refused_without_an_error(text: str) -> None:
    assert ClickTokens(KEY).read(text) is None


def test_another_key_reads_nothing() -> None:
    token = ClickTokens(KEY).token(showing())

    assert ClickTokens(bytes(32)).read(token) is None


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    make_key(tmp_path)
    token = open_tokens(tmp_path).token(showing())
    make_key(tmp_path)

    assert open_tokens(tmp_path).read(token) == showing()
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


@pytest.mark.parametrize("fault", ["readable", "short", "missing"])
def test_a_key_that_is_not_safe_is_refused(tmp_path: Path, fault: str) -> None:
    make_key(tmp_path)
    path = tmp_path / KEY_FILE
    if fault == "readable":
        path.chmod(0o644)
    elif fault == "short":
        path.write_bytes(b"short")
    else:
        path.unlink()

    with pytest.raises(LiveError, match=KEY_FILE):
        open_tokens(tmp_path)
