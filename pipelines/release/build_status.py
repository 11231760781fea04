"""What is still being built beside the served release: a small file that the server reads."""

import math
import os
import time
from pathlib import Path
from typing import Any

import msgspec

from pipelines.durable.files import replaced_file

FILE = "building.json"  # beside CURRENT
_DRAFT = f".{FILE}-"  # and the number of the process that writes it
SILENT_SECONDS = 30.0  # after which a builder that writes nothing is taken to be gone


class PlannedRelease(msgspec.Struct, frozen=True, kw_only=True):
    """One release of a plan; each holds what those before it hold, and `adds`."""

    adds: tuple[str, ...]
    name: str = ""  # of the release, once it is built
    dark: bool = False  # the gate kept it from being served


class BuildStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A plan of releases, how far it is, and how long it will about take."""

    releases: tuple[PlannedRelease, ...]
    doing: str = ""  # the step in progress; "": none
    seconds_left: float = 0.0  # about, until the plan is done
    written_at: float = 0.0  # seconds since 1970
    failed: str = ""  # why nothing more is built


def write_status(releases: Path, status: BuildStatus) -> None:
    """Replace the file in one step; a reader sees the old one or the new one."""
    releases.mkdir(parents=True, exist_ok=True)
    beside = releases / f"{_DRAFT}{os.getpid()}"
    with replaced_file(releases / FILE, draft=beside) as draft:
        draft.write_bytes(msgspec.json.encode(status))


def clear_drafts(releases: Path) -> None:
    """Remove what processes that were killed while they wrote a status left behind."""
    for draft in releases.glob(f"{_DRAFT}*"):
        pid = draft.name.removeprefix(_DRAFT)
        if not (pid.isdecimal() and Path("/proc", pid).exists()):
            draft.unlink(missing_ok=True)


def read_status(releases: Path) -> BuildStatus | None:
    """Return what the file says; None where there is none, or where it cannot be read."""
    try:
        return msgspec.json.decode((releases / FILE).read_bytes(), type=BuildStatus)
    except (OSError, msgspec.DecodeError):
        return None


def describe_progress(releases: Path, served: str) -> dict[str, Any]:
    """Return what a page says about the plan that `served` is a release of; {} without a plan.

    A builder that was killed says nothing, so a plan that is silent for long is not told as one
    in progress.
    """
    status = read_status(releases)
    number = 0 if status is None else _number(status, served)
    if status is None or not number:
        return {}
    holds = [part for one in status.releases[:number] for part in one.adds]
    learning = [part for one in status.releases[number:] if not one.dark for part in one.adds]
    active = bool(status.doing) and time.time() - status.written_at < SILENT_SECONDS
    return {
        "number": number,
        "of": len(status.releases),
        "holds": holds,
        "learning": learning if active else [],
        "seconds_left": math.ceil(status.seconds_left) if active else 0,
        "dark": [place for place, one in enumerate(status.releases, 1) if one.dark],
        "failed": status.failed,
    }


def _number(status: BuildStatus, served: str) -> int:
    """Return the place of a release in the plan, from 1 on; 0 where it is none of the plan."""
    names = [one.name for one in status.releases]
    return names.index(served) + 1 if served in names else 0
