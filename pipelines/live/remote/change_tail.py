"""The log of changes in a process that does not write it."""

from pathlib import Path

from pipelines.live.change_log import CHANGES, Logged, Outcome
from pipelines.live.changes import Change
from pipelines.live.remote.change_client import ChangeClient
from pipelines.live.remote.log_tail import LogTail


class ChangeTail(LogTail[Change, Logged, Outcome]):
    """What `ChangeLog` is in the writing process, with the same methods, in the others."""

    def __init__(self, folder: Path, client: ChangeClient) -> None:
        """Follow the log of a folder, which is there; LiveError where it cannot be read."""
        super().__init__(folder, CHANGES, client)
