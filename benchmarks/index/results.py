"""Stores the index benchmark's measurements, one line each, so that a cut-off run goes on."""

import os
from pathlib import Path

import msgspec

from benchmarks.index.drawing import OperatingPoint
from index import DesignTrial


class Layer(msgspec.Struct, frozen=True):
    """How many times as fast ours is as its own library, on the same index with one effort."""

    library: str
    effort: int
    single: float
    batch: float
    recall: float  # that the plan promised


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One way to search, measured: its curve, what it took to build, and its bytes."""

    run: str  # on what, and how: parts of different runs are not compared
    slot: str  # which of the ways of a run
    name: str
    points: tuple[OperatingPoint, ...]
    build_seconds: float
    num_bytes: int
    took_seconds: float  # building and measuring
    layer: Layer | None = None  # of ours, where its library can be called directly
    choices: tuple[DesignTrial, ...] = ()  # of what is planned


class Results:
    """The finished parts of one run in a file, which holds those of other runs as well."""

    def __init__(self, path: Path | None, run: str) -> None:
        self.path = path
        self.run = run
        self.parts = {part.slot: part for part in _read(path) if part.run == run}

    def add(self, part: Part) -> None:
        """Write a part to disk before the next one begins."""
        self.parts[part.slot] = part
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            if _is_cut_off(file.tell(), self.path):
                file.write(b"\n")
            file.write(msgspec.json.encode(part) + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _read(path: Path | None) -> list[Part]:
    """Return the parts of a file; a line that was cut off is no part."""
    if path is None or not path.exists():
        return []
    found = []
    for line in path.read_bytes().splitlines():
        try:
            found.append(msgspec.json.decode(line, type=Part))
        except msgspec.DecodeError:
            print(f"{path}: a line of {len(line)} bytes is no result and is passed over")
    return found


def _is_cut_off(length: int, path: Path) -> bool:
    return length > 0 and not path.read_bytes().endswith(b"\n")
