"""Mutation testing of a small room, whose tests see some changes and not others."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.mutants.operators import Mutant, mutants_of, mutated
from benchmarks.mutants.rooms import Equivalent, Table, files_of, read_table, sort_out
from tests.assertions import each, every

ROOT = Path(__file__).parents[2]
SOURCE = '''"""A room."""

LEAST = 3


def clipped(value: int, most: int = 9) -> int:
    """Return a value between LEAST and `most`."""
    if value > most:
        return most
    return max(value, LEAST)


def unseen(value: int) -> int:
    """Return one more; no test calls this."""
    return value + 1
'''
TESTS = """from room import clipped


def test_a_value_is_clipped() -> None:
    assert [clipped(20), clipped(5), clipped(1)] == [9, 5, 3]
"""


def changes(source: str) -> list[tuple[str, str]]:
    return [(one.before, one.after) for one in mutants_of("x.py", source)]


def test_a_comparison_moves_its_bound_and_turns_round() -> None:
    found = changes("def f(a, b):\n    if a < b:\n        pass\n")

    assert found == [("a < b", "a <= b"), ("a < b", "a >= b")]


@pytest.mark.parametrize(
    ("statement", "after"),
    [
        ("x = a + b", "a - b"),
        ("x = a and b", "a or b"),
        ("x = not a", "not not a"),
        ("x = b if a else c", "c if a else b"),
        ("x = 1.5", "2.5"),
        ("x = True", "False"),
        ("x = a is None", "a is not None"),
        ("return a", "return None"),
        ("f(a)", "pass"),
        ("a.b = c", "pass"),
        ("a -= b", "a += b"),
        ("raise a", "pass"),
    ],
)
def test_every_kind_of_place_is_changed(statement: str, after: str) -> None:
    assert after in [found for _, found in changes(f"def f(a, b, c):\n    {statement}\n")]


@pytest.mark.parametrize(
    "source",
    [
        'def f():\n    """Return 1 + 1."""\n',
        "def f(a: Float['1 2']) -> Int['3']: ...\n",
        "class A:\n    size: int = 3\n",
        "def f(a):\n    raise ValueError(f'{a + 1} < 2')\n",
        "@lru_cache(16)\ndef f(): ...\n",
        "def f(a):\n    return None\n",
    ],
)
def test_words_annotations_fields_and_messages_are_left_alone(source: str) -> None:
    assert {after for _, after in changes(source)} <= {"pass"}


@pytest.mark.parametrize(
    "file", ["retrieval/fusion/fusion.py", "ranking/calibration/calibration.py"]
)
def test_each_mutant_of_a_module_differs_from_it_in_one_place(file: str) -> None:
    source = (ROOT / file).read_text()
    before = ast.unparse(ast.parse(source)).splitlines()

    for one in each(mutants_of(file, source)):
        after = ast.unparse(mutated(source, one.number)).splitlines()
        differing = [line for line, other in zip(before, after, strict=False) if line != other]
        assert differing, one
        assert len(before) - len(after) in range(-1, 20), one


def test_a_change_that_is_listed_as_equivalent_is_not_tried() -> None:
    first, second = (Mutant("x.py", n, "f", 1, 1, "a", after) for n, after in enumerate("bc"))
    listed = Equivalent("x.py", "f", "`a` to `b`", "why")

    found = sort_out([first, second], Table({}, (listed,)))

    assert (found.equivalent, found.to_try) == ([first], [second])


def test_one_of_several_same_changes_may_be_listed() -> None:
    same = [Mutant("x.py", n, "f", 1, 1, "0", "1") for n in range(3)]
    listed = Equivalent("x.py", "f", "`0` to `1`", "why", place=2)

    assert sort_out(same, Table({}, (listed,))).equivalent == [same[1]]


def test_every_change_of_the_list_is_one_that_its_file_has() -> None:
    table = read_table(ROOT)
    there = {
        (one.file, one.function, one.change)
        for room in table.rooms.values()
        for file in files_of(ROOT, room)
        for one in mutants_of(file, (ROOT / file).read_text())
    }

    listed = {(one.file, one.function, one.change) for one in table.equivalent}

    assert listed - there == set()
    assert every(one.because for one in table.equivalent)


def test_what_no_test_sees_is_printed_and_counted(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "room.py").write_text(SOURCE)
    (tmp_path / "tests/test_room.py").write_text(TESTS)
    table = '[rooms.small]\nfiles = ["room.py"]\ntests = ["tests"]\n'
    (tmp_path / "tests/mutants.toml").write_text(table)

    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks", "mutants", "--room", "small", "--root", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
        cwd=ROOT,
    )

    lines = [line for line in ended.stdout.splitlines() if not line.startswith("#")]
    assert lines == [
        "survived: room.py:8 clipped: `value > most` to `value >= most`",
        "not covered: room.py:15 unseen: `return value + 1` to `return None`",
        "not covered: room.py:15 unseen: `value + 1` to `value - 1`",
        "not covered: room.py:15 unseen: `1` to `2`",
        "small: 9 mutants, 5 killed (55.6%), 1 survived, 3 not covered; 0 listed as equivalent, "
        "0 not tried",
    ]
