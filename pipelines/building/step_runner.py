"""The stages of a build: each has a name, a key of all that it depends on, and files.

A stage whose key is that of the live release makes the same files, so they are taken from there.
"""

import os
import platform
import shutil
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import xxhash

from pipelines.release.manifest import File, StepRecord, describe_file
from pipelines.release.store import Release

PACKAGES = ("index", "retrieval", "ranking", "pipelines")
LIBRARIES = (
    "faiss-cpu",
    "faiss-gpu",
    "numpy",
    "onnx",
    "open_clip_torch",
    "openvino",
    "pyarrow",
    "scalable-vs",
    "scipy",
    "sentence-transformers",
    "tantivy",
    "torch",
)

Told = dict[str, Any]


def key_of(*inputs: Any) -> str:
    """Return a hash over inputs that msgspec can write, and over the code that reads them."""
    return xxhash.xxh3_128_hexdigest(msgspec.json.encode([code(), inputs], order="sorted"))


def digest_of(*values: Any) -> str:
    """Return a hash over values alone."""
    return xxhash.xxh3_128_hexdigest(msgspec.json.encode(values, order="sorted"))


@cache
def code() -> str:
    """Return a hash over our own code and the libraries that do the work: other code, other key."""
    digest = xxhash.xxh3_128()
    root = Path(__file__).parents[2]
    for path in sorted(path for name in PACKAGES for path in (root / name).rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    digest.update(f"{platform.python_version()} {platform.machine()}".encode())
    for name in LIBRARIES:
        digest.update(f"{name} {_version(name)}\n".encode())
    return digest.hexdigest()


class StepRunner:
    """Runs the stages of one build in their order, and remembers what each made.

    `live` is the release that files may be taken from; None: everything is made. What was learnt
    is kept until a share of `most_drift` of the products has changed since.
    """

    def __init__(self, folder: Path, name: str, live: Release | None, most_drift: float) -> None:
        self.folder = folder
        self.name = name
        self.live = live
        self.made: dict[str, StepRecord] = {}
        self.known: dict[str, File] = {}  # files that were compared with the live manifest
        self._most_drift = most_drift

    @property
    def told(self) -> Told:
        """What all stages so far tell, together."""
        return {name: value for made in self.made.values() for name, value in made.told.items()}

    def run(self, name: str, key: str, write: Callable[[], Told | None]) -> None:
        """Take what the live release made with this key, or make it."""
        before = self.before(name)
        if before is not None and before.key == key and self.take(before.files):
            self.made[name] = before
        else:
            self._make(name, key, write)

    def learn(
        self,
        name: str,
        key: str,
        lesson: str,
        write: Callable[[], Told | None],
        again: Callable[[StepRecord], Told | None],
        drift: Callable[[], float],
    ) -> None:
        """Run a stage that learns from `lesson`, and applies it to the products.

        With an equal key everything is taken. With an equal lesson `again` applies to these
        products what was learnt before; it says None where it cannot. `drift` tells which share
        of the products differs from the live ones.
        """
        before = self.before(name)
        if before is not None and before.key == key and self.take(before.files):
            self.made[name] = before
        elif (
            before is None
            or before.lesson != lesson
            or not self._again(name, key, before, again, drift())
        ):
            self._make(name, key, write, lesson)

    def _again(
        self,
        name: str,
        key: str,
        before: StepRecord,
        again: Callable[[StepRecord], Told | None],
        drift: float,
    ) -> bool:
        """Apply what was learnt before; False where it was learnt too long ago, or cannot be."""
        drift = round(before.drift + drift, 6)
        if drift > self._most_drift:
            return False
        told, files = self._files_of(lambda: again(before))
        if told is None:
            self._remove(files)
            return False
        self.made[name] = msgspec.structs.replace(
            before, key=key, files=files, told=told, made_in=self.name, drift=drift
        )
        return True

    def before(self, name: str) -> StepRecord | None:
        """Return what this stage made in the live release."""
        return None if self.live is None else self.live.manifest.stages.get(name)

    def take(self, files: tuple[str, ...] | list[str]) -> bool:
        """Put these files of the live release into the draft; False where one is not as built."""
        assert self.live is not None
        expected = self.live.manifest.files
        if any(file not in expected for file in files):
            return False
        taken = [self._linked(self.live.path / file, self.folder / file) for file in files]
        if any(expected[file] != found for file, found in zip(files, taken, strict=True)):
            self._remove(files)
            return False
        self.known |= {file: expected[file] for file in files}
        return True

    def _remove(self, files: Iterable[str]) -> None:
        """Take files out of the draft, and the folders that hold nothing after that."""
        for path in (self.folder / file for file in files):
            path.unlink()
            for folder in path.parents:
                if folder == self.folder or any(folder.iterdir()):
                    break
                folder.rmdir()

    def digest(self, file: str) -> str:
        """Return a hash over the content of a file of the draft; "" where it is not there."""
        path = self.folder / file
        if not path.exists():
            return ""
        if file not in self.known:
            self.known[file] = describe_file(path)
        return self.known[file].sha256

    def _linked(self, source: Path, target: Path) -> File:
        """Link, or copy where the file system has no links, and say what was found."""
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)
        return describe_file(target)

    def _make(
        self, name: str, key: str, write: Callable[[], Told | None], lesson: str = ""
    ) -> None:
        told, files = self._files_of(write)
        self.made[name] = StepRecord(
            key=key,
            files=files,
            told=told or {},
            made_in=self.name,
            learnt_in=self.name if lesson else "",
            lesson=lesson,
        )

    def _files_of(self, write: Callable[[], Told | None]) -> tuple[Told | None, tuple[str, ...]]:
        """Write, and return which files are new in the draft."""
        before = set(self._all())
        told = write()
        return told, tuple(sorted(set(self._all()) - before))

    def _all(self) -> list[str]:
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return [path.relative_to(self.folder).as_posix() for path in paths]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
