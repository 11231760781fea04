"""Puts what was written onto the disk, so that a crash cannot take it back."""

import os
from pathlib import Path


def flush(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_all(folder: Path) -> None:
    """Do so for every file and folder under this one, and for itself."""
    for path in folder.rglob("*"):
        flush(path)
    flush(folder)
