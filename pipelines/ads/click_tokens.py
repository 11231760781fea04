"""Click tokens: a showing, signed by the server, so that only what was shown can be charged.

A token is base64url of the showing in MessagePack and 32 bytes of HMAC-SHA256 (RFC 2104) over it.
"""

import hmac
import os
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from hashlib import blake2b, sha256
from pathlib import Path

import msgspec

from pipelines.ads.ledger.records import Showing
from pipelines.durable.files import flush
from pipelines.live.change_log import LiveError
from ranking.auction.values import Pricing

KEY_FILE = "key"
KEY_BYTES = 32
SIGNATURE_BYTES = 32
PURPOSE = b"vetrina ad 1\0"  # so that a signature of this key means nothing elsewhere
LONGEST_TOKEN = 2_000  # characters


class _Packed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A showing in the fewest bytes."""

    auction: bytes
    position: int
    campaign: str
    product: str
    placement: str
    exposure_ppm: int
    kind: Pricing
    price_micros: int
    hold_micros: int
    at_ms: int
    expires_ms: int


class ClickTokens:
    """Signs showings, and reads what was signed with the same key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._digest_key = hmac.digest(key, b"vetrina visitor 1\0", sha256)

    def token(self, showing: Showing) -> str:
        """Return a showing as a token, which may stand in an address."""
        fields = msgspec.structs.asdict(showing) | {"auction": bytes.fromhex(showing.auction)}
        content = msgspec.msgpack.encode(_Packed(**fields))
        return urlsafe_b64encode(content + self._signature(content)).rstrip(b"=").decode()

    def read(self, token: str) -> Showing | None:
        """Return the showing of a token; None: it was not signed here, or not as it stands."""
        if len(token) > LONGEST_TOKEN or not token.isascii():
            return None
        try:
            whole = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except ValueError:
            return None
        content, signature = whole[:-SIGNATURE_BYTES], whole[-SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(content)):
            return None
        packed = msgspec.msgpack.decode(content, type=_Packed)
        return Showing(**msgspec.structs.asdict(packed) | {"auction": packed.auction.hex()})

    def visitor(self, name: str) -> str:
        """Return the digest of somebody in the records of auctions, of a name in the ledger."""
        return blake2b(name.encode(), digest_size=8, key=self._digest_key).hexdigest()

    def _signature(self, content: bytes) -> bytes:
        return hmac.digest(self._key, PURPOSE + content, sha256)


def make_key(folder: Path) -> None:
    """Make the key of a folder where there is none, in a file that its owner alone may read."""
    path = folder / KEY_FILE
    if path.exists():
        return
    draft = folder / f".{KEY_FILE}.{os.getpid()}.draft"
    with suppress(FileNotFoundError):
        draft.unlink()
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
    flush(draft)
    draft.rename(path)
    flush(folder)


def open_tokens(folder: Path) -> ClickTokens:
    """Return what signs with the key of a folder; LiveError where it cannot be used."""
    path = folder / KEY_FILE
    try:
        mode, key = path.stat().st_mode, path.read_bytes()
    except OSError as e:
        raise LiveError(
            f"{path} cannot be read: {e.strerror}; it signs the clicks of ads"
        ) from None
    if mode & 0o077:
        raise LiveError(f"{path} can be read by others (mode {mode & 0o777:o}); chmod 600 {path}")
    if len(key) != KEY_BYTES:
        raise LiveError(
            f"{path} has {len(key)} bytes, not {KEY_BYTES}; remove it, and tokens that are out "
            "count no more"
        )
    return ClickTokens(key)
