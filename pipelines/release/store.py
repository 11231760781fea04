"""The folder of releases: drafts, publishing, rolling back, pruning, and which one is current."""

import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
from filelock import Timeout

from pipelines.durable.files import flush, flush_all, replaced_file
from pipelines.durable.locks import lock_file
from pipelines.errors import ReleaseError
from pipelines.release.build_status import clear_drafts
from pipelines.release.manifest import (
    DRAFT,
    FORMAT,
    LONGEST_NAME,
    MANIFEST,
    SEAL,
    File,
    Manifest,
    _plain,
    _shown,
    describe_file,
    put_manifest,
    read_manifest,
)
from pipelines.release.verdict import UnfitDraft, Verdict

CURRENT = "CURRENT"
LOCK = ".lock"
SWITCH = ".switch"  # a lock, too, held for a moment by who points CURRENT or takes releases away
NAME = "%Y%m%d-%H%M%S-%f"  # of a release: the moment in UTC, so names are in the order of time
TICK = timedelta(microseconds=1)
HASHING = 4  # files at once; a core reads about 1 GB a second


class Release(NamedTuple):
    """A release whose files were all checked."""

    path: Path
    manifest: Manifest

    @property
    def dark(self) -> bool:
        """Whether the gate kept it from being served."""
        return self.manifest.gate is not None and not self.manifest.gate.opens


class Draft:
    """A release that is being written; nobody reads it until `publish`."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name

    def seal(self, known: Mapping[str, File] = MappingProxyType({}), **about: Any) -> Release:
        """Write the manifest over everything in the folder and flush it all to disk.

        Files that are `known` were described a moment ago, and are not read again. Everything can
        be read by whom the umask lets read, also what a library wrote for its own user alone.
        """
        files = {
            name: known.get(name) or describe_file(self.path / name)
            for name in sorted(_names(self.path))
        }
        manifest = Manifest(
            format=FORMAT, name=self.name, made_at=datetime.now(UTC), files=files, **about
        )
        put_manifest(self.path, manifest)
        _permit_reading(self.path)
        flush_all(self.path)
        return Release(self.path, manifest)

    def judge(self, verdict: Verdict) -> None:
        """Write what the gate says into the manifest of a sealed draft."""
        manifest = msgspec.structs.replace(read_manifest(self.path), gate=verdict)
        put_manifest(self.path, manifest)

    def keep(self) -> str:
        """Rename a sealed draft to its name, and leave it dark: CURRENT stays where it is."""
        releases = self.path.parent
        self.path.rename(releases / self.name)
        flush(releases)
        return self.name

    def publish(self) -> str:
        """Rename a sealed draft to its name and point CURRENT at it."""
        releases = self.path.parent
        with _switching(releases):
            name = self.keep()
            point_current(releases, name)
        return name


@contextmanager
def draft(releases: Path) -> Iterator[Draft]:
    """Open a draft; one build at a time, and what killed builds left behind is cleared away."""
    with locked(releases):
        _clear(releases)
        name = _next_name(releases)
        path = releases / f"{DRAFT}{name}"
        path.mkdir()
        try:
            yield Draft(path, name)
        finally:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def locked(releases: Path) -> Iterator[None]:
    """Be the only one who adds or removes releases here; ReleaseError where another one is."""
    try:
        releases.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise ReleaseError(f"{releases}: no folder for releases: {e.strerror}") from None
    try:
        lock = lock_file(releases / LOCK).acquire(blocking=False)
    except Timeout:
        raise ReleaseError(
            f"{releases}: another build is writing here; wait until it has ended"
        ) from None
    except OSError as e:
        raise _unwritable(releases, e) from None
    with lock:
        yield


@contextmanager
def _switching(releases: Path) -> Iterator[None]:
    """Wait until nobody else points CURRENT or takes releases away, and keep others from it."""
    try:
        lock = lock_file(releases / SWITCH).acquire()
    except OSError as e:
        raise _unwritable(releases, e) from None
    with lock:
        yield


def _unwritable(releases: Path, error: OSError) -> ReleaseError:
    return ReleaseError(
        f"{releases} cannot be written: {error.strerror}; let this user write there, or name "
        "another folder"
    )


def _clear(releases: Path) -> None:
    """Take away what killed builds and switches left behind."""
    for draft_ in releases.glob(f"{DRAFT}*"):
        shutil.rmtree(draft_)
    with _switching(releases):
        for name in (CURRENT, MANIFEST, SEAL):
            for temporary in releases.glob(f".{name}-*"):
                temporary.unlink()
    clear_drafts(releases)


def _next_name(releases: Path) -> str:
    """Return a name that sorts behind all releases here, also where a clock was set back."""
    now = datetime.now(UTC)
    for newest in names(releases):
        with suppress(ValueError, OverflowError):
            now = max(now, datetime.strptime(newest, NAME).replace(tzinfo=UTC) + TICK)
            break
    return f"{now:{NAME}}"


def _permit_reading(folder: Path) -> None:
    """Give every file and folder at least the mode that the umask gives new ones."""
    file_mode = stat.S_IMODE((folder / MANIFEST).stat().st_mode)
    folder_mode = stat.S_IMODE(folder.stat().st_mode)
    for path in folder.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = mode | (folder_mode if path.is_dir() else file_mode)
        if mode != wanted:
            path.chmod(wanted)


def point_current(releases: Path, name: str) -> None:
    """Replace CURRENT in one step: a reader sees the old name or the new one."""
    beside = releases / f".{CURRENT}-{secrets.token_hex(4)}"
    with replaced_file(releases / CURRENT, draft=beside) as draft:
        draft.write_text(name + "\n")


def current(releases: Path) -> str:
    """Return the name that CURRENT holds."""
    try:
        with _plain(releases / CURRENT, os.O_RDONLY) as file:
            text = file.read(LONGEST_NAME).decode().strip()
    except OSError:
        raise ReleaseError(
            f"{releases} holds no published release; run `vetrina build` first"
        ) from None
    except UnicodeDecodeError:
        text = ""
    if text in _folders(releases) and text not in names(releases):
        raise ReleaseError(f"release {text} is damaged: {MANIFEST} is missing")
    if text not in names(releases):
        raise ReleaseError(
            f"{releases / CURRENT} names {text[:80]!r}, which is not a release here; choose one "
            f"with `vetrina releases rollback`: {', '.join(names(releases)[:5]) or 'none is left'}"
        )
    return text


def names(releases: Path) -> list[str]:
    """Return the names of all releases, newest first."""
    complete = [name for name in _folders(releases) if os.path.lexists(releases / name / MANIFEST)]
    return sorted(complete, reverse=True)


def open_release(releases: Path, name: str | None = None) -> Release:
    """Return a release, the current one by default, after checking every byte of it."""
    name = current(releases) if name is None else name
    if name not in names(releases):
        raise ReleaseError(f"{releases} holds no release {name!r}; see `vetrina releases list`")
    release = Release(releases / name, read_manifest(releases / name))
    check(release)
    return release


def check(release: Release) -> None:
    """Compare every file with the manifest: none missing, none more, every checksum right."""
    name, expected = release.path.name, release.manifest.files
    present = set(_names(release.path))
    if missing := sorted(expected.keys() - present):
        raise ReleaseError(f"release {name} is damaged: {_shown(missing[0])} is missing")
    if foreign := sorted(present - expected.keys()):
        raise ReleaseError(f"release {name} is damaged: {_shown(foreign[0])} does not belong to it")
    if empty := _empty_folder(release.path):
        raise ReleaseError(f"release {name} is damaged: {_shown(empty)} does not belong to it")
    with ThreadPoolExecutor(HASHING) as pool:
        described = pool.map(describe_file, [release.path / file for file in expected])
        for file, is_described in zip(expected, described, strict=True):
            if is_described != expected[file]:
                raise ReleaseError(
                    f"release {name} is damaged: {_shown(file)} is not what was built (its "
                    "checksum differs); roll back with `vetrina releases rollback`, or build again"
                )


def rollback(releases: Path, name: str | None = None) -> str:
    """Point CURRENT at a checked release: the one named, or the newest before the current.

    What the gate kept dark is passed over, and refused with UnfitDraft where it is named.
    """
    if name is None:
        older = [n for n in names(releases) if n < current(releases)]
        lit = (n for n in older if not _peek(releases, n).dark)
        name = next(lit, None)
        if name is None:
            raise ReleaseError(f"{releases} holds no release older than {current(releases)}")
    return publish(releases, name)


def publish(releases: Path, name: str, *, force: bool = False) -> str:
    """Point CURRENT at a checked release; a dark one only by force, which its manifest records."""
    release = open_release(releases, name)
    gate = release.manifest.gate
    if release.dark and gate is not None and not force:
        raise UnfitDraft(name, gate)
    with _switching(releases):
        if name not in names(releases):
            raise ReleaseError(f"release {name} was removed meanwhile; `vetrina releases list`")
        if release.dark and gate is not None:
            forced = msgspec.structs.replace(gate, forced=True)
            put_manifest(release.path, msgspec.structs.replace(release.manifest, gate=forced))
        point_current(releases, name)
    return name


def prune(releases: Path, *, keep: int | None = None, keep_dark: int = 0) -> list[str]:
    """Remove old releases and return their names: all but the newest `keep`, and of those that
    the gate kept dark all but the newest `keep_dark`.

    The served release and what `rollback` would go back to always stay; `keep` None removes dark
    ones only.
    """
    with _switching(releases):
        gone = _old(releases, keep, keep_dark)
        for name in gone:
            (releases / name).rename(releases / f"{DRAFT}{name}")  # so that nobody sees half of it
    for name in gone:
        shutil.rmtree(releases / f"{DRAFT}{name}")
    return gone


def _old(releases: Path, keep: int | None, keep_dark: int) -> list[str]:
    served = current(releases) if (releases / CURRENT).exists() else ""
    dark = [name for name in names(releases) if name != served and _peek(releases, name).dark]
    lit = [name for name in names(releases) if name not in dark]
    behind = next((name for name in lit if name < served), served)
    spare = {served, behind}
    old = [] if keep is None else [name for name in lit[keep:] if name not in spare]
    return sorted([*dark[keep_dark:], *old])


def _peek(releases: Path, name: str) -> Release:
    """Return a release whose files nobody checked; one that cannot be read is not dark."""
    try:
        return Release(releases / name, read_manifest(releases / name))
    except ReleaseError:
        return Release(releases / name, _NOTHING)


_NOTHING = Manifest(
    format=FORMAT,
    name="",
    made_at=datetime.min,
    config={},
    shop={},
    until=None,
    fingerprints={},
    quality={},
    files={},
)


def _folders(releases: Path) -> list[str]:
    """Return what may be releases: the folders whose names begin with no dot."""
    if not releases.is_dir():
        return []
    return [p.name for p in releases.iterdir() if p.is_dir() and not p.name.startswith(".")]


def _names(folder: Path) -> Iterator[str]:
    """Yield everything that is no folder, but for the manifest and its seal; links, too."""
    for path in folder.rglob("*"):
        if path.parent == folder and path.name in (MANIFEST, SEAL):
            continue
        if path.is_symlink() or not path.is_dir():
            yield path.relative_to(folder).as_posix()


def _empty_folder(folder: Path) -> str | None:
    """Return a folder that holds nothing: whether a part is there is seen by its folder."""
    for path in folder.rglob("*"):
        if not path.is_symlink() and path.is_dir() and not any(path.iterdir()):
            return path.relative_to(folder).as_posix()
    return None
