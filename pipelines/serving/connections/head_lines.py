"""Feeds the head of a request to the parser without the wish for another protocol."""

import re

END = b"\r\n\r\n"
UPGRADE = b"upgrade:"
ANY_UPGRADE = re.compile(rb"(?:^|\n)upgrade:", re.IGNORECASE)


class HeadLines:
    """Hides `Upgrade` in one head, which a server may ignore (RFC 9110, section 7.8).

    Clients of HTTP/2 such as Java's send it with each request, and the parser would take the body
    for the other protocol's. A line is read when it is whole, and bytes of a body are left alone.
    """

    def __init__(self) -> None:
        self._held = b""  # a line of the head that is not whole yet
        self._in_fields = False  # the request line is read

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what the parser may read, and the rest, for which the head may have ended."""
        if not self._held and END in data and not ANY_UPGRADE.search(data):
            return data, b""
        line, end, rest = data.partition(b"\n")
        line = self._held + line + end
        if self._in_fields and not end:
            self._held = line
            return b"", b""
        self._held = b""
        if not self._in_fields:
            self._in_fields = bool(end and line.strip())
        elif line[: len(UPGRADE)].lower() == UPGRADE:
            line = b"x-" + line
        return line, rest
