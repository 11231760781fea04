"""The one entry to all benchmarks: `python -m benchmarks`."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks.__main__ import main, table
from benchmarks.catalogue import BENCHMARKS, Benchmark, suite
from benchmarks.machine import describe, machine
from tests.assertions import every

FOLDER = Path(__file__).parents[2] / "benchmarks"
CPUINFO = "processor\t: 0\nmodel name\t: Intel Xeon\nflags\t\t: fpu avx2 avx512f amx_tile\n"


def test_every_file_that_has_a_main_is_in_the_table_and_no_other() -> None:
    files = {".".join(path.relative_to(FOLDER).with_suffix("").parts) for path in mains()}

    assert files - {"__main__"} == {
        b.module.removeprefix("benchmarks.") for b in BENCHMARKS.values()
    }


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_imports_and_says_in_one_line_what_it_measures(name: str) -> None:
    module = import_module(BENCHMARKS[name].module)

    assert callable(module.main)
    assert "\n" not in BENCHMARKS[name].measures
    assert BENCHMARKS[name].measures.endswith(".")


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_needs_data_where_it_reads_data_and_only_there(name: str) -> None:
    path = FOLDER.parent / f"{BENCHMARKS[name].module.replace('.', '/')}.py"

    reads = "options.data" in path.read_text() or ".data /" in path.read_text()

    assert reads <= bool(BENCHMARKS[name].data)


def test_the_table_holds_every_benchmark_with_its_needs_and_its_minutes() -> None:
    text = table()

    assert every(name in text and b.requirements in text for name, b in BENCHMARKS.items())
    assert every(benchmark.minutes > 0 for benchmark in BENCHMARKS.values())


def test_a_benchmark_gets_the_arguments_behind_its_name_below_the_kind_of_processor(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["esci", "--help"])

    printed = capsys.readouterr().out.splitlines()
    assert ended.value.code == 0
    assert printed[0] == f"# {machine()}"
    assert printed[1].startswith("usage: python -m benchmarks esci")


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(SystemExit, match="no benchmark 'esic'; did you mean esci"):
        main(["esic"])


def test_the_suite_runs_benchmarks_of_the_table() -> None:
    assert 0 < len(suite()) < len(BENCHMARKS)


def test_requirements_are_told_in_words() -> None:
    plain, needy = Benchmark("a", 1), Benchmark("b", 1, data=("x", "y"), needs="a GPU")

    assert (plain.requirements, needy.requirements) == ("nothing", "--data with x, y; a GPU")


def test_the_kind_of_processor_names_what_it_lacks() -> None:
    old = CPUINFO.replace(" avx512f amx_tile", "")

    assert describe(CPUINFO, 2) == "Intel Xeon, 2 cores, AVX2, AVX-512, AMX"
    assert describe(old, 1) == "Intel Xeon, 1 core, AVX2, no AVX-512, no AMX"


def test_a_machine_without_cpuinfo_is_named_without_instructions() -> None:
    assert "AVX" not in describe("", 4)


def mains() -> list[Path]:
    """Return the files of benchmarks that define a function `main`."""
    trees = {path: ast.parse(path.read_text()) for path in FOLDER.rglob("*.py")}
    return [path for path, tree in trees.items() if any(is_main(node) for node in tree.body)]


def is_main(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "main"
