"""Pseudonyms: the names under which visitors and users are kept, made from their ids by a key."""

import hmac
import os
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pipelines.durable.files import flush
from pipelines.errors import ConfigError

FILE = "people.key"  # inside the folder of --live
KEY = re.compile(r"[0-9a-f]{64}")
DIGITS = 32  # of a pseudonym, in hexadecimal
OTHERS = 0o077  # permissions of whoever is not the owner


class Pseudonyms:
    """Names by HMAC-SHA256 (RFC 2104): equal for equal ids, and useless without the key.

    New names are made with the first key; what was kept under an older one is found by `users` and
    `visitors`. A visitor and a user of one id have different names.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """What tells the keys from others, and does not give them away; the newest first."""
        return tuple(_digest(key, "key", "") for key in self._keys)

    def user(self, name: str) -> str:
        """Return the name of a user."""
        return _digest(self._keys[0], "user", name)

    def visitor(self, name: str) -> str:
        """Return the name of a visitor."""
        return _digest(self._keys[0], "visitor", name)

    def users(self, name: str | None) -> tuple[str, ...]:
        """Return the names that a user has or had, the newest first; none of nobody."""
        return () if name is None else tuple(_digest(key, "user", name) for key in self._keys)

    def visitors(self, name: str | None) -> tuple[str, ...]:
        """Return the names that a visitor has or had, the newest first; none of nobody."""
        return () if name is None else tuple(_digest(key, "visitor", name) for key in self._keys)

    def signature(self, content: str) -> str:
        """Return a signature that only who has the key can make or check."""
        return hmac.digest(self._keys[0], f"receipt\0{content}".encode(), "sha256").hex()

    def signed(self, content: str, signature: str) -> bool:
        """Tell whether a signature is of this content, by any of the keys."""
        made = (hmac.digest(k, f"receipt\0{content}".encode(), "sha256").hex() for k in self._keys)
        return any([hmac.compare_digest(one, signature) for one in made])


def open_pseudonyms(path: Path, *, make: bool = False) -> Pseudonyms:
    """Open the file of the keys, one a line with the newest first; ConfigError where it is unfit.

    With `make` a file that is not there is made, once, whichever process comes first.
    """
    if make and not path.exists():
        _make(path)
    try:
        mode, lines = path.stat().st_mode, path.read_text("ascii").split()
    except FileNotFoundError:
        raise ConfigError(
            f"{path} is missing, the key of the shoppers' names; set people.key to where it is"
        ) from None
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(f"{path} cannot be read as the key of the shoppers' names: {e}") from None
    if mode & OTHERS:
        raise ConfigError(f"{path} may be read by others; run `chmod 600` on it")
    if not lines or not all(KEY.fullmatch(line) for line in lines):
        raise ConfigError(f"{path} has no key of 64 hexadecimal digits a line; bring back a copy")
    return Pseudonyms([bytes.fromhex(line) for line in lines])


def _make(path: Path) -> None:
    """Write a new key, unless another process was faster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(f"{secrets.token_hex(32)}\n")
        flush(draft)
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    flush(path.parent)


def _digest(key: bytes, kind: str, name: str) -> str:
    return hmac.digest(key, f"{kind}\0{name}".encode(), "sha256").hex()[:DIGITS]
