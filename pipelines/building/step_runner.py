"""Runs the steps of a build: takes over files of the live release, reapplies, or makes anew.

A step whose key is that of the live release makes the same files, so they are taken from there.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import msgspec

from pipelines.building.plan import Step, StepInputs, share_since_training
from pipelines.progress import Track, silent, working
from pipelines.release.manifest import File, Measurements, StepRecord, describe_file
from pipelines.release.store import Release


class EarlierStep(NamedTuple):
    """What a step of the live release learnt, to be applied to other products."""

    record: StepRecord
    release: Path  # the folder of the live release
    take: Callable[[Iterable[str]], bool]  # links files of it into the draft


Write = Callable[[], Measurements | None]
Reapply = Callable[[EarlierStep], Measurements | None]  # None: it cannot be applied


class StepRunner:
    """Runs the steps of one build in their order, and keeps the record of each.

    `live` is the release that files may be taken from; None: everything is made. What was learnt
    is applied again until a share of `most_changed` of the products has changed since.
    `changed_share` tells which share differs from the live release.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        live: Release | None,
        most_changed: float,
        changed_share: Callable[[], float] = lambda: 1.0,
        track: Track = silent,
    ) -> None:
        self.folder = folder
        self.name = name
        self.records: dict[str, StepRecord] = {}
        self.described: dict[str, File] = {}  # files whose checksums are at hand
        self._live = live
        self._most_changed = most_changed
        self._changed_share = cache(changed_share)
        self._track = track

    @property
    def measured(self) -> Measurements:
        """What all steps so far measured, together."""
        records = self.records.values()
        return {name: value for record in records for name, value in record.measured.items()}

    def run(
        self, step: Step, inputs: StepInputs, write: Write, reapply: Reapply | None = None
    ) -> None:
        """Take over the files that the live release made of equal inputs, or make them.

        If only products changed since a step learnt, `reapply` applies the earlier model to them.
        """
        earlier = self._earlier(step.name)
        if earlier and earlier.record.key == inputs.key and self.take(earlier.record.files):
            self.records[step.name] = earlier.record
        elif not (earlier and reapply and self._reapplied(step, inputs, reapply, earlier)):
            self._make(step, inputs, write)

    def key_of(self, step: str) -> str:
        """Return the key of a step that has run."""
        return self.records[step].key

    def files_of(self, step: str) -> list[str]:
        """Return the checksums of the files of a step that has run, by their names."""
        return [self._digest(file) for file in self.records[step].files]

    def take(self, files: Iterable[str]) -> bool:
        """Link files of the live release into the draft; False, and none, where one is damaged."""
        files = list(files)
        if self._live is None:
            return False
        expected = self._live.manifest.files
        if not expected.keys() >= set(files):
            return False
        linked = [_linked(self._live.path / file, self.folder / file) for file in files]
        if any(expected[file] != is_ for file, is_ in zip(files, linked, strict=True)):
            self._remove(files)
            return False
        self.described |= {file: expected[file] for file in files}
        return True

    def _earlier(self, name: str) -> EarlierStep | None:
        if self._live is None or name not in self._live.manifest.stages:
            return None
        return EarlierStep(self._live.manifest.stages[name], self._live.path, self.take)

    def _reapplied(
        self, step: Step, inputs: StepInputs, reapply: Reapply, earlier: EarlierStep
    ) -> bool:
        """Apply what was learnt before; False where too much changed since, or it cannot be."""
        share = share_since_training(step, inputs, earlier.record, self._changed_share)
        if share is None or share > self._most_changed:
            return False
        start = perf_counter()
        with working(step.name, self._track, earlier.record.seconds or None):
            measured, files = self._files_of(lambda: reapply(earlier))
        if measured is None:
            self._remove(files)
            return False
        self.records[step.name] = msgspec.structs.replace(
            earlier.record,
            key=inputs.key,
            inputs=_known_digests(inputs),
            files=files,
            measured=measured,
            made_in=self.name,
            changed_share=share,
            seconds=_since(start),
        )
        return True

    def _make(self, step: Step, inputs: StepInputs, write: Write) -> None:
        start = perf_counter()
        with working(step.name, self._track, self._usual_seconds(step.name)):
            measured, files = self._files_of(write)
        seconds, learns = _since(start), step.learning is not None
        self.records[step.name] = StepRecord(
            key=inputs.key,
            inputs=_known_digests(inputs),
            files=files,
            measured=measured or {},
            made_in=self.name,
            learnt_in=self.name if learns else "",
            training_key=inputs.training_key,
            seconds=seconds,
            training_seconds=seconds if learns else 0.0,
        )

    def _usual_seconds(self, name: str) -> float | None:
        """Return how long this step took when the live release was made; None: nobody knows."""
        earlier = self._earlier(name)
        if earlier is None:
            return None
        return earlier.record.training_seconds or earlier.record.seconds or None

    def _files_of(self, write: Write) -> tuple[Measurements | None, tuple[str, ...]]:
        """Write, and return which files are new in the draft."""
        before = set(self._all())
        measured = write()
        return measured, tuple(sorted(set(self._all()) - before))

    def _all(self) -> list[str]:
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return [path.relative_to(self.folder).as_posix() for path in paths]

    def _digest(self, file: str) -> str:
        if file not in self.described:
            self.described[file] = describe_file(self.folder / file)
        return self.described[file].sha256

    def _remove(self, files: Iterable[str]) -> None:
        """Take files out of the draft, and the folders that hold nothing after that."""
        for path in (self.folder / file for file in files):
            path.unlink()
            for folder in path.parents:
                if folder == self.folder or any(folder.iterdir()):
                    break
                folder.rmdir()


def _linked(source: Path, target: Path) -> File:
    """Link, or copy where the file system has no links, and describe the file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return describe_file(target)


def _known_digests(inputs: StepInputs) -> dict[str, str]:
    return {name: digest for name, digest in inputs.digests.items() if digest is not None}


def _since(start: float) -> float:
    return round(perf_counter() - start, 3)
