"""Which acts of a log a release holds, as its manifest says."""

from typing import Any

ARCHIVED = "archived"  # what a manifest's `shop` calls it


def archived_upto(shop: dict[str, Any], log: str) -> int:
    """Return the number of the newest act of this log that a release holds; 0: none."""
    archived = shop.get(ARCHIVED)
    if not isinstance(archived, dict):
        return 0
    return int(archived.get(log, 0))
