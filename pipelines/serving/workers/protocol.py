"""What the supervisor and its processes tell each other, a JSON object a line."""

from pathlib import Path
from typing import Literal

import msgspec

from pipelines.config.sections import Config
from retrieval.types import Noun

SOCKET = "changes"  # of the writer, in the folder that the processes share
EVENTS = "events"  # of the writer, for acts of shoppers
PEOPLE = "people"  # of the writer, for people who are to be erased
ADS = "ads"  # of the writer, for campaigns, auctions and clicks
TURN = "turn"  # lock of the process that opens a release


class Task(Noun, frozen=True, kw_only=True):
    """The first line to a process: what it does, and with what."""

    writes: bool  # takes changes; else it answers requests
    releases: str
    config: Config
    listener: int  # file descriptor of the port; -1 for the writer
    port_first: bool = False  # it answers /healthz while it opens its release
    folder: str  # that the processes of one server share

    @property
    def socket_path(self) -> Path:
        """Where the writer listens."""
        return Path(self.folder) / SOCKET

    @property
    def events_path(self) -> Path:
        """Where the writer listens for acts of shoppers."""
        return Path(self.folder) / EVENTS

    @property
    def people_path(self) -> Path:
        """Where the writer listens for people who are to be erased."""
        return Path(self.folder) / PEOPLE

    @property
    def ads_path(self) -> Path:
        """Where the writer listens for what happens with ads."""
        return Path(self.folder) / ADS


class End(Noun, frozen=True, kw_only=True):
    """The last line to a process: end in order."""

    notice_seconds: float


class Report(Noun, frozen=True, kw_only=True):
    """A line from a process: how far it is."""

    kind: Literal["listens", "answers", "line", "failed"]
    text: str = ""  # the release, the line, or why


def encode(message: Task | End | Report) -> bytes:
    """Return a message as a line."""
    return msgspec.json.encode(message) + b"\n"
