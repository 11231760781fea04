"""Damages a small release in thousands of ways, and counts how each is met when it is opened.

    python -m benchmarks damaged_releases --cases 2000

Every case is drawn from its number, so `--first 1234 --cases 1` repeats one. Cases are opened in
processes of their own, so that a crash or a hang is seen, and counted, instead of ending the run.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.machine import run_benchmark
from pipelines.release.manifest import MANIFEST, SEAL
from pipelines.release.store import CURRENT, open_release, point_current

ANYTHING_FITS = (  # {} or null in their place is a manifest, too
    "quality",
    "until",
    "shop",
    "config",
    "fingerprints",
    "stages",
    "gate",
)
BATCH = 100  # cases of one process
PATIENCE = 60  # seconds that a process may be silent
HOSTILE_NAMES = (
    "../x",
    "/etc/hostname",
    "..",
    ".",
    "",
    "a\0b",
    "a\nb",
    "x" * 5000,
    "\ud83d",
)
HOSTILE_NUMBERS = ("-1", "1e999", "9" * 400, "18446744073709551616", "NaN", "true", "null", '"1"')
HOSTILE_VALUES = ("null", "[]", "{}", '""', "0", "-1", "[" * 5000, '{"a":' * 5000, '"\\ud800"')


class Case(NamedTuple):
    """A copy of a release that may be damaged, another release to take from, and a seeded die."""

    path: Path
    other: Path
    random: np.random.Generator

    def files(self, least: int = 1) -> list[Path]:
        """Return the files of the release that hold at least so many bytes, in order."""
        found = (p for p in self.path.rglob("*") if p.is_file() and p.stat().st_size >= least)
        return sorted(p for p in found if p.parent != self.path or p.name not in (MANIFEST, SEAL))

    def file(self, least: int = 1) -> Path:
        """Return one of them."""
        return self.one(self.files(least))

    def one(self, choices: Any) -> Any:
        """Return one of these."""
        return choices[int(self.random.integers(len(choices)))]

    def below(self, end: int) -> int:
        """Return a number from 0 to end - 1."""
        return int(self.random.integers(end))


class Met(NamedTuple):
    """How a damaged release was met: refused by name, refused, opened, or raised something else."""

    case: int
    kind: str
    how: str
    message: str


def write(path: Path, content: bytes) -> str:
    """Put a new file in the place of one that is shared with the undamaged release."""
    path.unlink()
    path.write_bytes(content)
    return path.name


def truncate(case: Case) -> set[str]:
    file = case.file()
    return {write(file, file.read_bytes()[: case.below(file.stat().st_size)])}


def empty(case: Case) -> set[str]:
    return {write(case.file(), b"")}


def extend(case: Case) -> set[str]:
    file = case.file(0)
    return {write(file, file.read_bytes() + case.random.bytes(1 + case.below(5000)))}


def flip_bits(case: Case) -> set[str]:
    file = case.file()
    content = bytearray(file.read_bytes())
    for place in case.random.choice(len(content), min(len(content), 1 + case.below(3)), False):
        content[place] ^= 1 << case.below(8)
    return {write(file, bytes(content))}


def flip_head(case: Case) -> set[str]:
    """Sizes and types stand at the head of a file: what a library trusts first."""
    file = case.file()
    content = bytearray(file.read_bytes())
    content[case.below(min(len(content), 64))] ^= 1 << case.below(8)
    return {write(file, bytes(content))}


def blank_a_block(case: Case) -> set[str]:
    file = case.file(64)
    content = file.read_bytes()
    at = case.below(len(content) - 16)
    fill = case.one((b"\0", b"\xff", b"\x7f"))
    blanked = content[:at] + fill * 16 + content[at + 16 :]
    return {write(file, blanked if blanked != content else content[:-1])}


def swap(case: Case) -> set[str]:
    return _swapped(case, case.files())


def swap_same_size(case: Case) -> set[str]:
    by_size = defaultdict(list)
    for file in case.files():
        by_size[file.stat().st_size].append(file)
    return _swapped(case, case.one([files for files in by_size.values() if _contents(files) > 1]))


def _swapped(case: Case, files: list[Path]) -> set[str]:
    while True:
        one, two = case.one(files), case.one(files)
        if one.read_bytes() != two.read_bytes():
            first, second = one.read_bytes(), two.read_bytes()
            return {write(one, second), write(two, first)}


def _contents(files: list[Path]) -> int:
    return len({file.read_bytes() for file in files})


def from_another_release(case: Case) -> set[str]:
    """The same file of another release: whole, of the right kind, and wrong."""
    places = [file.relative_to(case.path) for file in case.files()]
    theirs = [p for p in places if (case.other / p).is_file() and _differs(case, p)]
    place = case.one(theirs)
    return {write(case.path / place, (case.other / place).read_bytes())}


def _differs(case: Case, place: Path) -> bool:
    return (case.other / place).read_bytes() != (case.path / place).read_bytes()


def remove(case: Case) -> set[str]:
    file = case.file(0)
    file.unlink()
    return {file.name}


def remove_a_folder(case: Case) -> set[str]:
    folder = case.one(sorted(p for p in case.path.iterdir() if p.is_dir()))
    names = {p.name for p in folder.rglob("*")}
    shutil.rmtree(folder)
    return names


def rename(case: Case) -> set[str]:
    file = case.file(0)
    new = file.with_name(case.one((f"{file.name}.bak", f".{file.name}", file.name.upper() + "_")))
    file.rename(new)
    return {file.name, new.name}


def link(case: Case) -> set[str]:
    """A link to the very file: right today, and somebody else's tomorrow."""
    file = case.file()
    away = case.path.parent / f"away-{file.name}"
    file.rename(away)
    file.symlink_to(case.one((away, Path("/dev/zero"), Path("/etc/hostname"), file)))
    return {file.name}


def link_a_folder(case: Case) -> set[str]:
    folder = case.one(sorted(p for p in case.path.iterdir() if p.is_dir()))
    names = {p.name for p in folder.rglob("*")} | {folder.name}
    away = case.path.parent / f"away-{folder.name}"
    folder.rename(away)
    folder.symlink_to(away)
    return names


def folder_for_file(case: Case) -> set[str]:
    file = case.file(0)
    file.unlink()
    file.mkdir()
    if case.below(2):
        (file / "inside").write_bytes(b"x")
    return {file.name}


def pipe_for_file(case: Case) -> set[str]:
    file = case.file(0)
    file.unlink()
    os.mkfifo(file)
    return {file.name}


def foreign(case: Case) -> set[str]:
    folder = case.one([case.path, *sorted(p for p in case.path.iterdir() if p.is_dir())])
    new = folder / case.one(("ranker", "x.npy", ".hidden", "windows.json", "a b", "neu\n"))
    if new.exists():
        new = folder / "another"
    make: Callable[[Path], Any] = case.one((Path.mkdir, Path.touch, os.mkfifo))
    make(new)
    return {new.name, ascii(new.relative_to(case.path).as_posix()).strip("'")}


def manifest_bits(case: Case) -> set[str]:
    content = bytearray((case.path / MANIFEST).read_bytes())
    content[case.below(len(content))] ^= 1 << case.below(8)
    return {write(case.path / MANIFEST, bytes(content))}


def manifest_cut(case: Case) -> set[str]:
    content = (case.path / MANIFEST).read_bytes()
    return {write(case.path / MANIFEST, content[: case.below(len(content))])}


def manifest_value(case: Case) -> set[str]:
    """A manifest that reads well, and says another number, name or order of its keys."""
    about = json.loads((case.path / MANIFEST).read_bytes())
    changes: list[Callable[[], Any]] = [
        lambda: about["config"]["retrieval"].update(rrf_k=1.0),
        lambda: about["config"]["ranking"].update(recent_products=1),
        lambda: about.update(until=None, quality={}),
        lambda: about["shop"].update(name="another"),
        lambda: about["fingerprints"].update(text="0"),
        lambda: about.update(files=dict(reversed(about["files"].items()))),
        lambda: about["files"].popitem(),
    ]
    case.one(changes)()
    return {write(case.path / MANIFEST, json.dumps(about).encode())}


def manifest_doubled(case: Case) -> set[str]:
    """A key that stands twice: the last one counts for whoever reads it."""
    content = (case.path / MANIFEST).read_bytes()
    key, value = case.one((("format", "3"), ("files", "{}"), ("config", "{}"), ("until", "null")))
    return {write(case.path / MANIFEST, content[:-1] + f',"{key}":{value}}}'.encode())}


def manifest_sealed_anew(case: Case) -> set[str]:
    """A hostile manifest whose seal was made anew: only reading it can tell."""
    about = json.loads((case.path / MANIFEST).read_bytes())
    key = case.one([k for k in about if k not in ANYTHING_FITS])
    parts = {k: json.dumps(v) for k, v in about.items()}
    parts[key] = case.one([v for v in HOSTILE_VALUES if v != parts[key]])
    return _sealed_anew(case, parts)


def manifest_files_sealed_anew(case: Case) -> set[str]:
    """One file of the manifest gets a hostile name, size or checksum, and the seal is made anew."""
    about = json.loads((case.path / MANIFEST).read_bytes())
    files = {k: json.dumps(v) for k, v in about["files"].items()}
    name = case.one(list(files))
    digest, size = about["files"][name]["sha256"], about["files"][name]["bytes"]
    hostile = case.one(HOSTILE_NAMES), case.one(HOSTILE_NUMBERS)
    damages: list[Callable[[], Any]] = [
        lambda: files.update({hostile[0]: files.pop(name)}),
        lambda: files.update({name: f'{{"bytes":{hostile[1]},"sha256":"{digest}"}}'}),
        lambda: files.update({name: f'{{"bytes":{size + 1},"sha256":"{digest}"}}'}),
        lambda: files.update({name: f'{{"bytes":{size},"sha256":"{digest[::-1]}"}}'}),
        lambda: files.update({name: f'{{"bytes":{size},"sha256":{hostile[1]}}}'}),
        lambda: files.update({f"{name}/../{Path(name).name}": files.pop(name)}),
    ]
    case.one(damages)()
    listed = ",".join(f"{json.dumps(k)}:{v}" for k, v in files.items())
    parts = {k: json.dumps(v) for k, v in about.items()} | {"files": f"{{{listed}}}"}
    return _sealed_anew(case, parts) | {Path(name).name, hostile[0][:100], ascii(hostile[0])[:100]}


def _sealed_anew(case: Case, parts: dict[str, str]) -> set[str]:
    listed = ",".join(f'"{key}":{value}' for key, value in parts.items())
    content = f"{{{listed}}}".encode()
    write(case.path / MANIFEST, content)
    write(case.path / SEAL, hashlib.sha256(content).hexdigest().encode())
    return {MANIFEST, "calls itself", "has format", "does not belong to it"}


def manifest_of_another(case: Case) -> set[str]:
    names = (MANIFEST, SEAL) if case.below(2) else (MANIFEST,)
    for name in names:
        write(case.path / name, (case.other / name).read_bytes())
    return {MANIFEST, "calls itself"}


def manifest_elsewhere(case: Case) -> set[str]:
    """No manifest or seal, or something that is no file."""
    file = case.path / case.one((MANIFEST, SEAL))
    away = case.path.parent / f"away-{file.name}"
    file.rename(away)
    makes: tuple[Callable[[Path], Any], ...] = (
        lambda p: None, os.mkfifo, Path.mkdir, Path.touch, lambda p: p.symlink_to(away),
        lambda p: p.symlink_to("/dev/zero"),
    )  # fmt: skip
    case.one(makes)(file)
    return {file.name}


def seal_damaged(case: Case) -> set[str]:
    content = (case.path / SEAL).read_bytes()
    at = case.below(64)
    damaged = case.one((b"", content[:at], b"\xff" * 65, content[:at] + b"g" + content[at + 1 :]))
    return {write(case.path / SEAL, damaged), MANIFEST}


def current_damaged(case: Case) -> set[str]:
    """CURRENT names nothing, too much or something outside, or is no file."""
    file = case.path.parent / CURRENT
    file.unlink()
    texts = (
        b"",
        b"../..",
        b"/",
        b"gone",
        b"\0",
        b"\xff\xfe",
        b"x" * 100_000,
        b".",
        case.path.name[:5].encode(),
    )
    if case.below(3):
        file.write_bytes(case.one(texts))
    else:
        case.one((os.mkfifo, Path.mkdir))(file)
    return {CURRENT, "holds no published release"}


KINDS: dict[str, Callable[[Case], set[str]]] = {
    "cut short": truncate,
    "emptied": empty,
    "extended": extend,
    "bits flipped": flip_bits,
    "a bit of the head flipped": flip_head,
    "a block blanked": blank_a_block,
    "two files swapped": swap,
    "two of one size swapped": swap_same_size,
    "file of another release": from_another_release,
    "file removed": remove,
    "folder removed": remove_a_folder,
    "file renamed": rename,
    "link for a file": link,
    "link for a folder": link_a_folder,
    "folder for a file": folder_for_file,
    "pipe for a file": pipe_for_file,
    "something foreign": foreign,
    "manifest: bit flipped": manifest_bits,
    "manifest: cut short": manifest_cut,
    "manifest: another value": manifest_value,
    "manifest: a key twice": manifest_doubled,
    "manifest: hostile, sealed anew": manifest_sealed_anew,
    "manifest: hostile file, sealed anew": manifest_files_sealed_anew,
    "manifest: of another release": manifest_of_another,
    "manifest or seal: no file": manifest_elsewhere,
    "seal: damaged": seal_damaged,
    "CURRENT: damaged": current_damaged,
}  # names that a message may use for what was damaged


def meet(number: int, release: Path, other: Path, scratch: Path) -> Met:
    """Damage a copy of a release as the case's number says, and open it."""
    from pipelines.errors import ReleaseError

    kind = list(KINDS)[number % len(KINDS)]
    copy = scratch / str(number) / release.name
    shutil.copytree(release, copy, copy_function=os.link)
    point_current(copy.parent, release.name)
    names = KINDS[kind](Case(copy, other, np.random.default_rng(number)))
    try:
        open_release(copy.parent)
    except ReleaseError as e:
        how = "refused by name" if any(n in str(e) for n in names if n) else "refused"
        return Met(number, kind, how, str(e))
    except Exception as e:  # what a case finds is the point
        return Met(number, kind, "another error", repr(e)[:300])
    finally:
        shutil.rmtree(copy.parent)
    return Met(number, kind, "opened", "")


def met(cases: range, release: Path, other: Path) -> Iterator[Met]:
    """Meet these cases in processes of BATCH each; one that dies or hangs is a case by itself."""
    left = list(cases)
    while left:
        batch, found = left[:BATCH], list(_in_a_process(left[:BATCH], release, other))
        yield from found
        left = left[len(found) :]
        if len(found) < len(batch):
            number = left.pop(0)
            yield Met(number, list(KINDS)[number % len(KINDS)], "crashed or hung", "")


def _in_a_process(cases: list[int], release: Path, other: Path) -> Iterator[Met]:
    code = "from benchmarks.releases.damaged_releases import work; work()"
    with tempfile.TemporaryDirectory(dir=release.parent.parent) as scratch:
        given = json.dumps([cases, str(release), str(other), scratch])
        try:
            ended = subprocess.run(
                [sys.executable, "-c", code], input=given, capture_output=True, text=True,
                timeout=PATIENCE + len(cases), check=False,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )  # fmt: skip
            lines = ended.stdout
        except subprocess.TimeoutExpired as e:
            lines = (e.stdout or b"").decode()
        for line in lines.splitlines():
            yield Met(*json.loads(line))


def work() -> None:
    """Meet the cases of one process, a line of JSON each."""
    cases, release, other, scratch = json.load(sys.stdin)
    for number in cases:
        print(json.dumps(meet(number, Path(release), Path(other), Path(scratch))), flush=True)


def small_release(folder: Path) -> tuple[Path, Path]:
    """Build two small releases with a ranker and towers, by two seeds; return their folders."""
    from pipelines.building.build import build
    from pipelines.config.loading import load
    from pipelines.progress import silent
    from tests.conftest import UNTIL, write_shop

    shop = write_shop(folder / "shop", pictures=False)
    small = ["encoders.text.runtime=torch", "ranking.dim=16", "ranking.epochs=1",
             "ranking.windows=4", "ranking.min_requests=20", "towers.train=true", "towers.dim=32",
             "towers.cuts=[16]", "towers.width=16", "towers.heads=2", "towers.epochs=1",
             "towers.min_requests=100"]  # fmt: skip
    made = []
    for seed in range(2):
        settings = load(None, [*small, f"seed={seed}"])
        until = UNTIL - timedelta(days=seed)
        made.append(folder / "releases" / build(shop, folder / "releases", settings, until, silent))
    return made[0], made[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2_000)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    with tempfile.TemporaryDirectory() as folder:
        release, other = small_release(Path(folder))
        files = [p for p in release.rglob("*") if p.is_file()]
        size = sum(p.stat().st_size for p in files)
        print(f"a release of {len(files)} files and {size / 1e6:.1f} MB")
        for one in met(range(given.first, given.first + given.cases), release, other):
            counts[one.kind][one.how] += 1
            if one.how != "refused by name":
                print(f"case {one.case}, {one.kind}: {one.how}: {one.message}")
    show(counts)


def show(counts: dict[str, Counter[str]]) -> None:
    """Print how many cases of each kind there were and how many were refused by name."""
    print(f"\n{'damage':36} {'cases':>6} {'refused by name':>16}")
    for kind, ways in counts.items():
        print(f"{kind:36} {ways.total():6,} {ways['refused by name']:16,}")
    total = sum(counts.values(), Counter[str]())
    print(f"{'all':36} {total.total():6,} {total['refused by name']:16,}")


if __name__ == "__main__":
    run_benchmark(main)
