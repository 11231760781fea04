"""What goes over the socket between the writer of a log of changes and the other processes."""

import socket
import struct
from collections.abc import Sequence

import msgspec

from pipelines.live.change_log import Outcome
from pipelines.live.changes import Change, RejectedChange

LENGTH = struct.Struct("!I")
MOST_BYTES = 256 << 20  # of one message; a bulk of 16 MB is far below
Fault = str  # why none of the changes was written


def write_message(connection: socket.socket, content: bytes) -> None:
    """Send one message, with its length in front."""
    connection.sendall(LENGTH.pack(len(content)))
    connection.sendall(content)


def read_message(connection: socket.socket) -> bytes | None:
    """Return the next message, or None at the end of the connection."""
    head = _exactly(connection, LENGTH.size)
    if head is None:
        return None
    [length] = LENGTH.unpack(head)
    if length > MOST_BYTES:
        raise ValueError(f"a message of {length:,} bytes; at most {MOST_BYTES:,} are read")
    return _exactly(connection, length)


def encode_changes(changes: Sequence[Change]) -> bytes:
    """Return changes as JSON."""
    return msgspec.json.encode(list(changes))


def decode_changes(content: bytes) -> list[Change]:
    """Read what `encode_changes` wrote."""
    return msgspec.json.decode(content, type=list[Change])


def encode_outcomes(outcomes: Sequence[Outcome] | Fault) -> bytes:
    """Return the outcome of each change, or why none was written, as JSON."""
    return msgspec.json.encode(outcomes if isinstance(outcomes, str) else list(outcomes))


def decode_outcomes(content: bytes) -> list[Outcome] | Fault:
    """Read what `encode_outcomes` wrote."""
    return msgspec.json.decode(content, type=list[int | RejectedChange] | Fault)


def _exactly(connection: socket.socket, length: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < length:
        part = connection.recv(min(length - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)
