"""Catches up: applies the logged changes that a release lacks, then every new one."""

from pathlib import Path
from typing import Any

from pipelines.durable.journal_file import in_parts
from pipelines.live.change_log import ChangeLog, LiveError, open_change_log
from pipelines.live.overlay import Overlay
from pipelines.live.remote.change_tail import ChangeTail
from pipelines.release.manifest import Manifest

SharedLog = ChangeLog | ChangeTail
FOLDED = "folded"  # what a manifest's `shop` calls it


def follow(folder: Path, overlay: Overlay, manifest: Manifest) -> ChangeLog:
    """Open the log of a folder, bring an overlay up to date, and let it follow."""
    log = open_change_log(folder, prepare=overlay.prepare, apply=overlay.apply)
    try:
        refuse_older(folder, log.id, log.last, manifest)
        for part in in_parts(log.replay(after=folded_upto(manifest.shop, log.id))):
            overlay.apply(part)
    except BaseException:
        log.close()
        raise
    return log


def follow_on(log: SharedLog, overlay: Overlay, manifest: Manifest) -> None:
    """Bring an overlay up to date with a log in use, and let it follow beside the one before it."""
    last = log.last
    refuse_older(log.folder, log.id, last, manifest)
    for part in in_parts(log.replay(folded_upto(manifest.shop, log.id), last)):
        overlay.apply(part)
    log.subscribe(overlay.prepare, overlay.apply, after=last)


def folded_upto(shop: dict[str, Any], log: str) -> int:
    """Return the number of the newest change of this log that is in a release; 0: none is."""
    folded = shop.get(FOLDED)
    if not isinstance(folded, dict) or folded.get("log") != log:
        return 0  # of another log, or built without one
    return int(folded["sequence"])


def refuse_older(folder: Path, log: str, last: int, manifest: Manifest) -> None:
    """Raise LiveError where a release holds more of a log than there is.

    New changes would get numbers that the release seems to hold, and be passed over.
    """
    folded = folded_upto(manifest.shop, log)
    if folded > last:
        raise LiveError(
            f"{folder}: the log of changes ends at number {last}, but release {manifest.name} "
            f"holds changes up to {folded}: it is an older copy; bring back the newer log"
        )
