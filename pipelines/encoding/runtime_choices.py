"""Remembers on this machine which runtime is the fastest for a model, for every build to come."""

import logging
import os
import platform
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, TypeVar

import msgspec
import numpy as np
import xxhash
from filelock import Timeout
from jaxtyping import Float32

from pipelines.config.loading import choices_folder
from pipelines.durable.files import replaced_folder
from pipelines.durable.locks import lock_file
from retrieval.encoders.networks.runtimes import (
    CLOSE_COSINE,
    RECORD,
    TORCH,
    RuntimeChoice,
    cosines,
    is_native,
)
from retrieval.encoders.query_texts import ABOUT
from retrieval.encoders.weights import EncoderError

AUTO = "auto"
MOST_CHOICES = 12  # remembered; each takes about as much room as its model
CPU_INFO = Path("/proc/cpuinfo")
DESCRIBES = ("model name", "flags", "Features", "CPU implementer", "CPU part")  # a processor
# Whose versions decide what is fast, and what vectors are.
LIBRARIES = ("onnxruntime", "openvino", "torch")
PROBES = "probes.json"
CHECKED = "checked-{}"  # the texts of a shop, by their hash, that were compared with torch
PROBE_TEXTS = ("tea", "rye bread 500 g", "men's running shoe, blue, size 43", "usb-c cable 2 m")

E = TypeVar("E")
T = TypeVar("T", bound="Encodes")
log = logging.getLogger(__name__)


class Encodes(Protocol):
    """As much of a text encoder as is asked here."""

    def encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """Return one unit vector a text, in order."""
        ...


class Probes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A few texts, and the vectors that a runtime gave them when it was chosen."""

    texts: tuple[str, ...]
    vectors: bytes  # little-endian float32


def machine() -> str:
    """Return a hash over what makes one runtime faster than another here: processor and versions.

    Another processor, another number of cores or another version of a library chooses anew.
    """
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.exists() else [platform.processor()]
    described = {line for line in lines if line.startswith(DESCRIBES)}
    lines_of_machine = [*sorted(described), str(os.cpu_count()), *map(_version, LIBRARIES)]
    return xxhash.xxh3_64_hexdigest("\n".join(lines_of_machine).encode())


@contextmanager
def locked_entry(folder: Path) -> Iterator[Path]:
    """Be the only one who chooses for a model; whoever comes meanwhile waits for the choice.

    Where the folder cannot be written, a temporary one stands in, and nothing is remembered.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = lock_file(_lock_of(folder))
        lock.acquire()
    except OSError as e:
        log.warning("%s: no runtime is remembered there: %s", folder.parent, e.strerror)
        with TemporaryDirectory() as temporary:
            yield Path(temporary) / folder.name
        return
    try:
        yield folder
    finally:
        lock.release()


def choose_once(
    wanted: str,
    folder: Path,
    *,
    choose: Callable[[str], RuntimeChoice[E]],
    reopen: Callable[[Path], RuntimeChoice[E]],
    is_true: Callable[[RuntimeChoice[E], Path], bool],
    probe: Callable[[E, Path], None] = lambda *_: None,
) -> RuntimeChoice[E]:
    """Return what was chosen on this machine, where that is wanted and still right, or choose.

    A new choice is opened again from its files, as all who come later open it: in memory a network
    may be put together otherwise, and differ in the last bits.
    """
    with locked_entry(folder) as entry:
        if wanted != TORCH and entry.is_dir():
            try:
                before = reopen(entry)
            except EncoderError:
                before = None
            if before is not None and is_wanted(before, wanted) and is_true(before, entry):
                mark_used(entry)
                return before
        chosen = choose(wanted)
        if not chosen.record.per_second:  # it was not measured
            return chosen
        with replaced_folder(entry) as draft:
            chosen.save(draft)
            opened = reopen(draft)
            probe(opened.encoder, draft)
        return opened


def entry_folder(kind: str, model: str, wanted: str) -> Path:
    """Return where the choice for a model is remembered; each wish has one of its own.

    What `openvino` chose may be slower than torch, so `auto` chooses for itself.
    """
    return choices_folder() / machine() / f"{kind}-{model}-{wanted}"


def query_entry(model: str) -> Path:
    """Return where the query network of a text model is remembered."""
    return choices_folder() / machine() / f"queries-{model}"


def prune() -> None:
    """Remove the choices that were not used for longest, so that MOST_CHOICES are left.

    One that somebody is opening now stays.
    """
    records = (RECORD, ABOUT)
    entries = [one.parent for name in records for one in choices_folder().glob(f"*/*/{name}")]
    for entry in sorted(entries, key=_last_use, reverse=True)[MOST_CHOICES:]:
        lock = lock_file(_lock_of(entry))
        with suppress(OSError, Timeout), lock.acquire(timeout=0):
            shutil.rmtree(entry, ignore_errors=True)


def mark_used(entry: Path) -> None:
    """Remember that a choice is in use now; where nothing can be written, it is not."""
    with suppress(OSError):
        os.utime(entry)


def _last_use(entry: Path) -> float:
    try:
        return entry.stat().st_mtime
    except OSError:  # somebody else removes it
        return 0.0


def _lock_of(entry: Path) -> Path:
    return entry.with_name(f".{entry.name}.lock")


def is_wanted(choice: RuntimeChoice[E], wanted: str) -> bool:
    """Tell whether a choice answers this wish; torch that only stands in does not."""
    if choice.record.wanted != wanted or not is_native(choice.record):
        return False
    return wanted == AUTO or choice.record.runtime == TORCH or choice.network is not None


def save_probes(encoder: Encodes, entry: Path) -> None:
    """Write what `answers_as_chosen` compares with; without it a choice is made again."""
    vectors = np.ascontiguousarray(encoder.encode(PROBE_TEXTS), "<f4")
    (entry / PROBES).write_bytes(msgspec.json.encode(Probes(PROBE_TEXTS, vectors.tobytes())))


def answers_as_chosen(encoder: Encodes, entry: Path) -> bool:
    """Tell whether a runtime gives a few texts the vectors that it gave them when it was chosen."""
    try:
        probes = msgspec.json.decode((entry / PROBES).read_bytes(), type=Probes)
    except (OSError, msgspec.DecodeError):
        return False
    vectors = encoder.encode(probes.texts)
    expected = np.frombuffer(probes.vectors, "<f4").reshape(len(probes.texts), -1)
    return vectors.shape == expected.shape and cosines(vectors, expected)[1] >= CLOSE_COSINE


def checked_once(entry: Path, texts: Sequence[str], check: Callable[[], bool]) -> bool:
    """Return what a check of these texts says; one that was passed before is not made again."""
    if _mark(entry, texts).exists():
        return True
    if not check():
        return False
    mark_checked(entry, texts)
    return True


def mark_checked(entry: Path, texts: Sequence[str]) -> None:
    """Remember that a choice was compared with torch on these texts."""
    try:
        _mark(entry, texts).touch()
    except OSError as e:
        log.warning("%s: that it was checked is not remembered: %s", entry, e.strerror)


def _mark(entry: Path, texts: Sequence[str]) -> Path:
    return entry / CHECKED.format(xxhash.xxh3_128_hexdigest("\0".join(texts).encode()))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
