"""The manifest of a release: what it was made from, every file with its checksum, and its seal."""

import hashlib
import os
import secrets
import stat
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import Any

import msgspec

from pipelines.config.sections import Config
from pipelines.durable.files import replaced_file
from pipelines.errors import ReleaseError
from pipelines.release.verdict import Verdict

FORMAT = 7
MANIFEST = "manifest.json"
SEAL = "manifest.sha256"  # of the manifest's bytes, so that nothing in it can change unseen
DRAFT = ".draft-"
LARGEST_MANIFEST = 16_000_000  # bytes
BLOCK = 8_000_000  # bytes of a file that are hashed at once
LONGEST_NAME = 300  # bytes of CURRENT and of a seal that are read

Measurements = dict[str, Any]  # what a step of a build measured, by name


class File(msgspec.Struct, frozen=True):
    """One file of a release."""

    bytes: int
    sha256: str


class StepRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Record of one build step: the key of its inputs, the files it wrote, and what it measured.

    Equal keys mean equal files.
    """

    key: str
    files: tuple[str, ...]
    measured: Measurements = msgspec.field(name="told", default_factory=dict)
    made_in: str  # the release in whose build the files were written
    learnt_in: str = ""  # the release in whose build the step learnt; "": it learns nothing
    training_key: str = msgspec.field(name="lesson", default="")  # key of what it learnt from
    changed_share: float = msgspec.field(name="drift", default=0.0)  # of products, since it learnt
    inputs: dict[
        str, str
    ] = {}  # digest of each input by name; none where an older version built it
    seconds: float = 0.0  # it took to write the files; 0: not measured
    training_seconds: float = 0.0  # it took where it learnt


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The description of a release: its files, the inputs of the build, and measured quality."""

    format: int
    name: str
    made_at: datetime
    config: dict[str, Any]
    shop: dict[str, Any]
    until: str | None
    fingerprints: dict[str, str]
    quality: dict[str, Any]
    files: dict[str, File]
    stages: dict[str, StepRecord] = {}
    gate: Verdict | None = None  # None: nobody judged it


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of a release folder, or ReleaseError that names the folder."""
    name, raw = path.name, _sealed(path)
    try:
        _refuse_other_format(name, raw)
        manifest = msgspec.json.decode(raw, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise ReleaseError(f"release {name}: {MANIFEST} cannot be read: {str(e)[:200]}") from None
    if manifest.name != name and path.name != f"{DRAFT}{manifest.name}":
        raise ReleaseError(f"release {name} calls itself {manifest.name!r}: it is a foreign copy")
    return manifest


def put_manifest(folder: Path, manifest: Manifest) -> None:
    """Put a manifest and its seal into a release, whole at every moment.

    Meanwhile the seal names two: the manifest of before, and the one to come.
    """
    raw = msgspec.json.encode(manifest)
    now = hashlib.sha256(raw).hexdigest()
    if (folder / MANIFEST).exists():
        before = hashlib.sha256(_sealed(folder)).hexdigest()
        _replace(folder / SEAL, f"{before}\n{now}\n".encode())
    _replace(folder / MANIFEST, raw)
    _replace(folder / SEAL, f"{now}\n".encode())


def _replace(path: Path, content: bytes) -> None:
    """Write a file of a release in one step, from beside the releases, where nobody looks."""
    beside = path.parents[1] / f".{path.name}-{secrets.token_hex(4)}"
    with replaced_file(path, draft=beside) as draft:
        draft.write_bytes(content)


class _Version(msgspec.Struct):
    format: int


def _sealed(path: Path) -> bytes:
    """Return the manifest's bytes, or ReleaseError unless they are those that were sealed."""
    name = path.name
    try:
        with _plain(path / MANIFEST) as file:
            raw = file.read(LARGEST_MANIFEST + 1)
    except OSError as e:
        raise ReleaseError(f"release {name}: {MANIFEST} cannot be read: {e.strerror}") from None
    if len(raw) > LARGEST_MANIFEST:
        raise ReleaseError(f"release {name}: {MANIFEST} is larger than {LARGEST_MANIFEST:,} bytes")
    try:
        with _plain(path / SEAL) as file:
            sealed = file.read(LONGEST_NAME).decode(errors="replace").split()
    except OSError:
        _refuse_older(name, raw)
        raise ReleaseError(f"release {name} is damaged: {SEAL} is missing") from None
    if hashlib.sha256(raw).hexdigest() not in sealed:
        raise ReleaseError(
            f"release {name} is damaged: {MANIFEST} is not what was built (its checksum is not the "
            f"one in {SEAL}); roll back with `vetrina releases rollback`, or build again"
        )
    return raw


def _refuse_older(name: str, raw: bytes) -> None:
    """Raise ReleaseError for a format that had no seal yet; what cannot be read is let pass."""
    try:
        _refuse_other_format(name, raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return


def _refuse_other_format(name: str, raw: bytes) -> None:
    version = msgspec.json.decode(raw, type=_Version).format
    if version != FORMAT:
        raise ReleaseError(
            f"release {name} has format {version}, this vetrina reads format {FORMAT}; "
            "build it again, or serve it with the version that built it"
        )


def describe_file(path: Path) -> File:
    """Return size and checksum of a file; ReleaseError where it is a link, a pipe or unreadable."""
    try:
        with _plain(path) as file:
            size = os.fstat(file.fileno()).st_size
            return File(bytes=size, sha256=_sha256(file, min(BLOCK, size)))
    except OSError as e:
        raise ReleaseError(f"{_shown(path.name)} cannot be read: {e.strerror}") from None


def _sha256(file: BufferedReader, block_bytes: int) -> str:
    """Hash by large blocks: between two of them a thread waits for those that compute in Python."""
    digest, block = hashlib.sha256(), memoryview(bytearray(max(block_bytes, 1)))
    while count := file.readinto(block):
        digest.update(block[:count])
    return digest.hexdigest()


def _plain(path: Path, flags: int = os.O_RDONLY | os.O_NOFOLLOW) -> BufferedReader:
    """Open a plain file; a link is a ReleaseError, a pipe or folder too, and none is waited for."""
    if flags & os.O_NOFOLLOW and path.is_symlink():
        raise ReleaseError(f"{_shown(path.name)} is a link; a release holds files only")
    handle = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ReleaseError(f"{_shown(path.name)} is not a plain file; a release holds files only")
    return os.fdopen(handle, "rb")


def _shown(name: str) -> str:
    """Return a name for a message: as it is, or quoted where a terminal could not print it."""
    return name[:200] if name and name.isprintable() else ascii(name[:200])


def config_of(manifest: Manifest) -> Config:
    """Return the configuration that a release was built with."""
    try:
        return msgspec.convert(manifest.config, Config)
    except msgspec.ValidationError as e:
        raise ReleaseError(
            f"release {manifest.name} was built with a configuration that this version does not "
            f"know: {e}; build it again"
        ) from None
