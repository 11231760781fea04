"""Releases: one immutable folder for everything an answer needs, switched by one rename."""

import fcntl
import hashlib
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from pipelines.durable import flush, flush_all
from pipelines.errors import ReleaseError, UnfitDraft
from pipelines.verdict import Verdict

FORMAT = 2
MANIFEST = "manifest.json"
CURRENT = "CURRENT"
DRAFT = ".draft-"
LOCK = ".lock"
LARGEST_MANIFEST = 16_000_000  # bytes


class File(msgspec.Struct, frozen=True):
    """One file of a release."""

    bytes: int
    sha256: str


class Made(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one stage of a build made, and of what: an equal key makes equal files."""

    key: str
    files: tuple[str, ...]
    told: dict[str, Any] = {}  # its share of the measured quality
    made_in: str  # the release in whose build it was made
    learnt_in: str = ""  # that in whose build it was learnt, where it learns
    lesson: str = ""  # of what it was learnt; "": it does not learn
    drift: float = 0.0  # share of the products that have changed since


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a release is, from what it was made, and how good it was measured to be."""

    format: int
    name: str
    made_at: datetime
    config: dict[str, Any]
    shop: dict[str, Any]
    until: str | None
    fingerprints: dict[str, str]
    quality: dict[str, Any]
    files: dict[str, File]
    stages: dict[str, Made] = {}
    gate: Verdict | None = None  # None: nobody judged it


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

        Files that are `known` were described a moment ago, and are not read again.
        """
        files = {
            name: known.get(name) or describe_file(self.path / name)
            for name in sorted(_names(self.path))
        }
        manifest = Manifest(
            format=FORMAT, name=self.name, made_at=datetime.now(), files=files, **about
        )
        (self.path / MANIFEST).write_bytes(msgspec.json.encode(manifest))
        flush_all(self.path)
        return Release(self.path, manifest)

    def judge(self, verdict: Verdict) -> None:
        """Write what the gate says into the manifest of a sealed draft."""
        manifest = msgspec.structs.replace(read_manifest(self.path), gate=verdict)
        (self.path / MANIFEST).write_bytes(msgspec.json.encode(manifest))
        flush(self.path / MANIFEST)

    def keep(self) -> str:
        """Rename a sealed draft to its name, and leave it dark: CURRENT stays where it is."""
        releases = self.path.parent
        self.path.rename(releases / self.name)
        flush(releases)
        return self.name

    def publish(self) -> str:
        """Rename a sealed draft to its name and point CURRENT at it."""
        releases, name = self.path.parent, self.keep()
        point_current(releases, name)
        return name


@contextmanager
def draft(releases: Path) -> Iterator[Draft]:
    """Open a draft; one build at a time, and what killed builds left behind is cleared away."""
    with locked(releases):
        for left_behind in releases.glob(f"{DRAFT}*"):
            shutil.rmtree(left_behind)
        name = f"{datetime.now():%Y%m%d-%H%M%S-%f}"  # in the order of time
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
    with (releases / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ReleaseError(
                f"{releases}: another build is writing here; wait until it has ended"
            ) from None
        yield


def point_current(releases: Path, name: str) -> None:
    """Replace CURRENT in one step: a reader sees the old name or the new one."""
    temporary = releases / f".{CURRENT}-{secrets.token_hex(4)}"
    temporary.write_text(name + "\n")
    flush(temporary)
    temporary.replace(releases / CURRENT)
    flush(releases)


def current(releases: Path) -> str:
    """Return the name that CURRENT holds."""
    try:
        text = (releases / CURRENT).read_text()[:300].strip()
    except OSError:
        raise ReleaseError(
            f"{releases} holds no published release; run `vetrina build` first"
        ) from None
    except UnicodeDecodeError:
        text = ""
    if text not in names(releases):
        raise ReleaseError(
            f"{releases / CURRENT} names {text[:80]!r}, which is not a release here; choose one "
            f"with `vetrina releases rollback`: {', '.join(names(releases)[:5]) or 'none is left'}"
        )
    return text


def names(releases: Path) -> list[str]:
    """Return the names of all releases, newest first."""
    if not releases.is_dir():
        return []
    found = [p.name for p in releases.iterdir() if p.is_dir() and (p / MANIFEST).is_file()]
    return sorted((name for name in found if not name.startswith(".")), reverse=True)


def open_release(releases: Path, name: str | None = None) -> Release:
    """Return a release, the current one by default, after checking every byte of it."""
    name = current(releases) if name is None else name
    if name not in names(releases):
        raise ReleaseError(f"{releases} holds no release {name!r}; see `vetrina releases list`")
    release = Release(releases / name, read_manifest(releases / name))
    check(release)
    return release


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of a release folder, or ReleaseError that names the folder."""
    name, file = path.name, path / MANIFEST
    if file.stat().st_size > LARGEST_MANIFEST:
        raise ReleaseError(f"release {name}: {MANIFEST} is larger than {LARGEST_MANIFEST:,} bytes")
    raw = file.read_bytes()
    try:
        version = msgspec.json.decode(raw, type=_Version).format
        if version != FORMAT:
            raise ReleaseError(
                f"release {name} has format {version}, this vetrina reads format {FORMAT}; "
                "build it again, or serve it with the version that built it"
            )
        manifest = msgspec.json.decode(raw, type=Manifest)
    except msgspec.DecodeError as e:
        raise ReleaseError(f"release {name}: {MANIFEST} cannot be read: {e}") from None
    if manifest.name != name and path.name != f"{DRAFT}{manifest.name}":
        raise ReleaseError(f"release {name} calls itself {manifest.name!r}: it is a foreign copy")
    return manifest


def check(release: Release) -> None:
    """Compare every file with the manifest: none missing, none more, every checksum right."""
    name, expected = release.path.name, release.manifest.files
    found = set(_names(release.path))
    if missing := sorted(expected.keys() - found):
        raise ReleaseError(f"release {name} is damaged: {missing[0]} is missing")
    if foreign := sorted(found - expected.keys()):
        raise ReleaseError(f"release {name} is damaged: {foreign[0]} does not belong to it")
    for file, described in expected.items():
        if describe_file(release.path / file) != described:
            raise ReleaseError(
                f"release {name} is damaged: {file} is not what was built (its checksum differs); "
                "roll back with `vetrina releases rollback`, or build again"
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
    if release.dark and release.manifest.gate is not None:
        if not force:
            raise UnfitDraft(name, release.manifest.gate)
        forced = msgspec.structs.replace(release.manifest.gate, forced=True)
        _replace_manifest(release, msgspec.structs.replace(release.manifest, gate=forced))
    point_current(releases, name)
    return name


def prune(releases: Path, *, keep: int | None = None, keep_dark: int = 0) -> list[str]:
    """Remove old releases and return their names: all but the newest `keep`, and of those that
    the gate kept dark all but the newest `keep_dark`.

    The served release and what `rollback` would go back to always stay; `keep` None removes dark
    ones only.
    """
    served = current(releases) if (releases / CURRENT).exists() else ""
    dark = [name for name in names(releases) if name != served and _peek(releases, name).dark]
    lit = [name for name in names(releases) if name not in dark]
    behind = next((name for name in lit if name < served), served)
    spare = {served, behind}
    old = [] if keep is None else [name for name in lit[keep:] if name not in spare]
    gone = sorted([*dark[keep_dark:], *old])
    for name in gone:
        (releases / name).rename(releases / f"{DRAFT}{name}")  # so that nobody sees half of it
        shutil.rmtree(releases / f"{DRAFT}{name}")
    return gone


def _peek(releases: Path, name: str) -> Release:
    """Return a release whose files nobody checked; one that cannot be read is not dark."""
    try:
        return Release(releases / name, read_manifest(releases / name))
    except ReleaseError:
        return Release(releases / name, _NOTHING)


def _replace_manifest(release: Release, manifest: Manifest) -> None:
    """Put another manifest into a release in one step."""
    temporary = release.path.parent / f".{MANIFEST}-{secrets.token_hex(4)}"
    temporary.write_bytes(msgspec.json.encode(manifest))
    flush(temporary)
    temporary.replace(release.path / MANIFEST)
    flush(release.path)


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


class _Version(msgspec.Struct):
    format: int


def _names(folder: Path) -> Iterator[str]:
    """Yield every regular file but the manifest; a link too, and is refused for it."""
    for path in folder.rglob("*"):
        if (path.is_file() or path.is_symlink()) and path != folder / MANIFEST:
            yield path.relative_to(folder).as_posix()


def describe_file(path: Path) -> File:
    """Return size and checksum of a file; ReleaseError where it is a link."""
    if path.is_symlink():
        raise ReleaseError(f"{path.name} is a link; a release holds files only")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return File(bytes=path.stat().st_size, sha256=digest)
