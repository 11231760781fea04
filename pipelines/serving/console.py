"""Tells on the terminal how far a server is."""

import socket
import sys

from pipelines.serving.connections.listening import url_of


class Console:
    """Tells on standard output how far the server is."""

    def __init__(self, listener: socket.socket) -> None:
        self._url = url_of(listener)

    def listens(self) -> None:
        """Say that the port is open."""
        self.say(f"{self._url} is open; reading the release")

    def answers(self, release: str) -> None:
        """Say that requests are answered."""
        self.say(f"{self._url} answers from release {release}; Ctrl-C stops it")

    def say(self, line: str) -> None:
        """Write a line."""
        say(line)


def say(line: str) -> None:
    """Write a line at once, also into a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
