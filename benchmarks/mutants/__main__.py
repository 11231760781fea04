"""Changes one place of a room at a time, and counts the changes that no test sees.

python -m benchmarks mutants --room losses --minutes 10
python -m benchmarks mutants                              every room of tests/mutants.toml
python -m benchmarks mutants --room losses --file ranking/network/losses.py
"""

import argparse
import contextlib
import io
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from benchmarks.mutants.operators import Mutant, mutants_of
from benchmarks.mutants.rooms import Room, Sorted, Table, files_of, read_table, sort_out
from benchmarks.mutants.trying import KILLED, SURVIVED, UNCOVERED, UNTRIED, Trial, in_child


def main() -> None:
    """Print the count of each room, and each mutant that survives."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks mutants")
    parser.add_argument("--room", action="append", help="a room of tests/mutants.toml; repeat it")
    parser.add_argument("--file", help="one file of the room")
    parser.add_argument("--minutes", type=float, default=10.0, help="for each room")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="of the repository")
    options = parser.parse_args()
    root = options.root.resolve()
    table = read_table(root)
    for name in options.room or table.rooms:
        if name not in table.rooms:
            sys.exit(f"there is no room {name!r}; choose one of {', '.join(table.rooms)}")
        files = [f for f in files_of(root, table.rooms[name]) if options.file in (None, f)]
        # each room in a process of its own, so that it imports nothing of the others
        in_child(partial(try_room, root, table, name, files, options.minutes))


def try_room(root: Path, table: Table, name: str, files: Sequence[str], minutes: float) -> None:
    """Try the mutants of one room, and print what came of them."""
    found = [one for file in files for one in mutants_of(file, (root / file).read_text())]
    mutants = sort_out(found, table)
    trial = Trial(root, mutants.to_try, 60 * minutes, print_survivor)
    with tempfile.TemporaryDirectory() as folder:
        ended = run_tests(table.rooms[name], root, folder, trial)
    if ended or trial.failed:
        print(f"{name}: tests failed without any mutant: {', '.join(trial.failed) or ended}")
    print(summary(name, trial.outcomes, mutants), flush=True)


def run_tests(room: Room, root: Path, folder: str, trial: Trial) -> str:
    """Hand the tests of a room to the trial; return what pytest says if it fails itself."""
    options = ["-q", "-n", "0", "-m", "not slow and not gpu and not browser", f"--rootdir={root}"]
    said = io.StringIO()
    sys.path.insert(0, str(root))
    with contextlib.redirect_stdout(said):
        code = pytest.main(
            [*options, f"--basetemp={folder}/tests", *(str(root / one) for one in room.tests)],
            plugins=[Output(trial)],
        )
    return "" if code in (0, 5) else said.getvalue()[-2_000:]


class Output:
    """Hands the loop of pytest to a trial, with the real output for what it tells."""

    def __init__(self, trial: Trial) -> None:
        self.pytest_runtestloop = trial.pytest_runtestloop


def print_survivor(mutant: Mutant, outcome: str) -> None:
    """Print a mutant that no test saw."""
    if outcome in (SURVIVED, UNCOVERED):
        where = f"{mutant.file}:{mutant.first} {mutant.function or 'constant'}"
        print(f"{outcome}: {where}: {mutant.change}", file=sys.__stdout__, flush=True)


def summary(name: str, outcomes: dict[Mutant, str], mutants: Sorted) -> str:
    """Return the line of a room: how many of its mutants were seen."""
    count = Counter(outcomes.values())
    tried = len(outcomes) - count[UNTRIED]
    share = f"{count[KILLED] / tried:.1%}" if tried else "none"
    return (
        f"{name}: {tried} mutants, {count[KILLED]} killed ({share}), {count[SURVIVED]} survived, "
        f"{count[UNCOVERED]} not covered; {len(mutants.equivalent)} listed as equivalent, "
        f"{count[UNTRIED]} not tried"
    )


if __name__ == "__main__":
    main()
