"""Whoever is told how far a server is: a terminal, or the supervisor of several processes."""

from typing import Protocol


class Reports(Protocol):
    """Whoever is told how far the server is."""

    def listens(self) -> None:
        """Note that the port is open."""
        ...

    def answers(self, release: str) -> None:
        """Note that requests are answered from a release."""
        ...

    def say(self, line: str) -> None:
        """Note what a person should read."""
        ...
