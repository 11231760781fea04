"""Replaces files and folders atomically: write beside, fsync, rename."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def flush(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_all(folder: Path) -> None:
    """Flush every file and folder under this folder, and the folder itself."""
    for path in folder.rglob("*"):
        flush(path)
    flush(folder)


@contextmanager
def replaced_file(out: Path, draft: Path | None = None) -> Iterator[Path]:
    """Yield a path to write to, and rename it to `out` at the end.

    A reader sees the old file or the new one, whole. Where writing fails the old file stays, and
    the draft is removed. `draft` is by default a name beside `out` that no other process uses.
    """
    draft = draft or out.with_name(f"{out.name}.{os.getpid()}.draft")
    try:
        yield draft
        flush(draft)
        draft.replace(out)
        flush(out.parent)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


@contextmanager
def replaced_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder to write into, and rename it to `out` at the end.

    Whenever a reader looks, `out` is the old folder or the new one, whole, or for the moment
    between two renames not there. Where writing fails the old folder stays, and the draft is
    removed. One process at a time may replace a folder.
    """
    restore(out)
    draft = draft_of(out)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
        swap(draft, out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def draft_of(out: Path) -> Path:
    """Return where the folder that will replace `out` is written."""
    return out.with_name(f".{out.name}.draft")


def swap(draft: Path, out: Path) -> None:
    """Flush a finished folder, and put it in the place of `out`, which is removed."""
    flush_all(draft)
    old = _old(out)
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    draft.rename(out)
    flush(out.parent)
    shutil.rmtree(old, ignore_errors=True)


def restore(out: Path) -> None:
    """Put the old folder back where a process was killed between the two renames of `swap`."""
    if _old(out).exists() and not out.exists():
        _old(out).rename(out)


def _old(out: Path) -> Path:
    return out.with_name(f".{out.name}.old")


def is_in_place(path: Path, inode: int) -> bool:
    """Tell whether a file that is open under an inode is the one that others find at its path."""
    try:
        return path.stat().st_ino == inode
    except OSError:
        return False
