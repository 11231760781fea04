"""What goes over the socket between the writer of a log and the other processes."""

import socket
import struct
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

import msgspec

from pipelines.live.changes import Change, RejectedChange

LENGTH = struct.Struct("!I")
MOST_BYTES = 256 << 20  # of one message; a bulk of 16 MB is far below
Fault = str  # why none of the items was written

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


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


class Wire(NamedTuple, Generic[Item, Outcome]):
    """How the items of one log, and their outcomes, are read from a message."""

    items: "msgspec.json.Decoder[list[Item]]"
    outcomes: "msgspec.json.Decoder[list[Outcome] | Fault]"
    title: str  # what the items are called


CHANGES: Wire[Change, int | RejectedChange] = Wire(
    msgspec.json.Decoder(list[Change]),
    msgspec.json.Decoder(list[int | RejectedChange] | Fault),
    "changes",
)


def encode(items: Sequence[object] | Fault) -> bytes:
    """Return items, the outcome of each, or why none was written, as JSON."""
    return msgspec.json.encode(items if isinstance(items, str) else list(items))


def _exactly(connection: socket.socket, length: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < length:
        part = connection.recv(min(length - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)
