"""The rooms that are tested by mutants, and the changes that no test can see."""

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from benchmarks.mutants.operators import Mutant

TABLE = "tests/mutants.toml"


class Room(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files that are changed, and the tests that should see it; folders stand for all inside."""

    files: tuple[str, ...]
    tests: tuple[str, ...]


class Equivalent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A change that no test can see, and why."""

    file: str
    function: str
    change: str
    because: str
    place: int = 0  # among the same changes of the function, from 1 on; 0: each of them


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `tests/mutants.toml` holds."""

    rooms: dict[str, Room]
    equivalent: tuple[Equivalent, ...] = ()


class Sorted(NamedTuple):
    """Mutants to try, and those that are known to change nothing."""

    to_try: list[Mutant]
    equivalent: list[Mutant]


def read_table(root: Path) -> Table:
    """Return the table of rooms; msgspec.ValidationError with the path of what is wrong."""
    raw: dict[str, Any] = tomllib.loads((root / TABLE).read_text())
    return msgspec.convert(raw, Table)


def files_of(root: Path, room: Room) -> list[str]:
    """Return the Python files of a room, from the root of the repository."""
    paths = [root / name for name in room.files]
    missing = [str(path.relative_to(root)) for path in paths if not path.exists()]
    if missing:
        raise ValueError(f"{TABLE} names {', '.join(missing)}, which is not there")
    inside = [sorted(path.rglob("*.py")) if path.is_dir() else [path] for path in paths]
    return [path.relative_to(root).as_posix() for one in inside for path in one]


def sort_out(mutants: list[Mutant], table: Table) -> Sorted:
    """Part the mutants by the list of those that change nothing."""
    known = {(one.file, one.function, one.change, one.place) for one in table.equivalent}
    kept, met = Sorted([], []), Counter[tuple[str, str, str]]()
    for mutant in mutants:
        what = mutant.file, mutant.function, mutant.change
        met[what] += 1
        is_known = bool({(*what, 0), (*what, met[what])} & known)
        (kept.equivalent if is_known else kept.to_try).append(mutant)
    return kept
