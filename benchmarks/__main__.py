"""Lists all benchmarks, and runs any of them by name.

python -m benchmarks                     the table
python -m benchmarks esci --data DATA    one benchmark; what follows its name is handed on
python -m benchmarks esci --help         the options of one
python -m benchmarks suite --data DATA   those of `make bench`, one after the other
"""

import subprocess
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module

from benchmarks.catalogue import BENCHMARKS, Benchmark, suite
from benchmarks.machine import machine, run_benchmark

SUITE = "suite"


def main(arguments: Sequence[str]) -> None:
    """Print the table, or run what the first argument names."""
    name, rest = (arguments[0], list(arguments[1:])) if arguments else ("", [])
    if name in ("", "-h", "--help"):
        print(f"{__doc__}\n# {machine()}\n\n{table()}")
    elif name == SUITE:
        run_suite(rest)
    elif name in BENCHMARKS:
        run_one(BENCHMARKS[name], rest)
    else:
        sys.exit(unknown(name))


def table() -> str:
    """Return every benchmark with what it measures, what it needs, and its time in minutes."""
    return "\n".join(
        f"{benchmark.name:20} about {benchmark.minutes:2} min  {benchmark.measures}\n"
        f"{'':34}needs: {benchmark.requirements}"
        for benchmark in BENCHMARKS.values()
    )


def unknown(name: str) -> str:
    """Return the message for a name that no benchmark has, with the names that are near."""
    near = get_close_matches(name, [*BENCHMARKS, SUITE], n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "`python -m benchmarks` lists all"
    return f"there is no benchmark {name!r}; {hint}"


def run_one(benchmark: Benchmark, arguments: Sequence[str]) -> None:
    """Run one benchmark in this process with its own arguments."""
    sys.argv = [f"python -m benchmarks {benchmark.name}", *arguments]
    run_benchmark(import_module(benchmark.module).main)


def run_suite(arguments: Sequence[str]) -> None:
    """Run those of `make bench`, each in a process of its own; stop at the first that fails."""
    for benchmark in suite():
        given = arguments if benchmark.data else ()
        print(f"\n## {benchmark.name}", flush=True)
        subprocess.run([sys.executable, "-m", "benchmarks", benchmark.name, *given], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
