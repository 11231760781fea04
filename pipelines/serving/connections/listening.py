"""The address of the server: checks it, binds a socket to it, closes it to new connections."""

import socket
import struct
import sys
from contextlib import suppress
from ctypes import addressof, create_string_buffer

from pipelines.config.sections import Config
from pipelines.errors import UserError

Address = tuple[str, int]  # IP address and port
ATTACH_FILTER = 26  # SO_ATTACH_FILTER of Linux
DROP_SYN = (  # classic BPF over a segment of TCP: code, jump if true, jump if false, constant
    (0x30, 0, 0, 13),  # load the byte of flags
    (0x45, 0, 1, 0x02),  # is SYN among them?
    (0x06, 0, 0, 0),  # then drop the segment
    (0x06, 0, 0, 0xFFFFFFFF),  # else take it
)


def listening_address(config: Config, host: str | None, port: int | None) -> Address:
    """Return the address to listen on: these, else those of the configuration."""
    serve = config.serve
    return free_address(serve.host if host is None else host, serve.port if port is None else port)


def free_address(host: str, port: int) -> Address:
    """Return the IP address and port to listen on; UserError if nobody can listen there."""
    with bound_socket((host, port)) as probe:
        address, chosen, *_ = probe.getsockname()
        return str(address), int(chosen)


def bound_socket(address: Address) -> socket.socket:
    """Return a socket bound to an address, port 0 being any free one; UserError if it cannot be.

    It is bound without SO_REUSEPORT, under which two servers would share a port without a word.
    """
    host, port = address
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )[0]
        listener = socket.socket(family, kind, protocol)  # asyncio sets TCP_NODELAY by protocol
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
        except OSError:
            listener.close()
            raise
    except OSError as e:
        raise UserError(
            f"cannot listen on {host}:{port}: {e.strerror or e}; stop what listens there, "
            "or choose another with --port (0: any free one)"
        ) from None
    listener.setblocking(False)
    return listener


def refuse_connections(listener: socket.socket) -> None:
    """Let no new connection be made; those that were made can still be accepted.

    To close the socket would reset those. A client that connects meanwhile is not answered, and
    tries again after a second. Nothing happens where the system has no such filter.
    """
    program = create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in DROP_SYN))
    if sys.platform == "linux":
        with suppress(OSError):
            pointer = struct.pack("HP", len(DROP_SYN), addressof(program))
            listener.setsockopt(socket.SOL_SOCKET, ATTACH_FILTER, pointer)


def url_of(listener: socket.socket) -> str:
    """Return the URL of a bound socket."""
    host, port, *_ = listener.getsockname()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
