"""Removes old releases, and what they hold on other machines."""

import shutil
from pathlib import Path

from pipelines.elsewhere import drop, drop_orphans
from pipelines.engine import config_of
from pipelines.release import DRAFT, current, draft, names, read_manifest


def prune(releases: Path, keep: int) -> list[str]:
    """Remove all releases but the current one and the `keep` newest; return their names.

    Collections on Milvus that no release here names go, too: give each folder its own prefix.
    """
    live = current(releases)
    old = [name for name in names(releases)[keep:] if name != live]
    with draft(releases):  # no build may write meanwhile
        for name in old:
            drop(releases / name)
            gone = (releases / name).rename(releases / f"{DRAFT}{name}")  # never half a release
            shutil.rmtree(gone)
        drop_orphans(releases, config_of(read_manifest(releases / live)).index)
    return old
