"""Puts what was written onto the disk, so that a crash cannot take it back."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def replaced(out: Path) -> Iterator[Path]:
    """Give a folder to write into, and put it in the place of `out` when it is done.

    Whenever it is looked at, `out` is the old folder or the new one, whole, or for the moment
    between two renames not there; where writing fails it stays the old one.
    """
    draft, old = (out.with_name(f".{out.name}.{kind}") for kind in ("draft", "old"))
    for left in (draft, old):
        shutil.rmtree(left, ignore_errors=True)
    draft.mkdir(parents=True)
    yield draft
    flush_all(draft)
    if out.exists():
        out.rename(old)
    draft.rename(out)
    flush(out.parent)
    shutil.rmtree(old, ignore_errors=True)
