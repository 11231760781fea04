"""The processor that a benchmark runs on: its model, its vector instructions and its cores."""

import os
import platform
from collections.abc import Callable
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
INSTRUCTIONS = {"AVX2": "avx2", "AVX-512": "avx512f", "AMX": "amx_tile"}


def run_benchmark(main: Callable[[], None]) -> None:
    """Print the kind of processor, then run one benchmark."""
    print(f"# {machine()}", flush=True)
    main()


def machine() -> str:
    """Return one line such as "Intel Xeon, 2 cores, AVX2, AVX-512, no AMX"."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return describe(CPUINFO.read_text() if CPUINFO.exists() else "", cores or 1)


def describe(cpuinfo: str, cores: int) -> str:
    """Return the line for the text of /proc/cpuinfo; else Python's name for it."""
    pairs = [line.partition(":") for line in cpuinfo.splitlines()]
    values = {name.strip(): value.strip() for name, _, value in reversed(pairs)}
    model = values.get("model name") or platform.processor() or platform.machine()
    flags = values.get("flags", "").split()
    known = [name if flag in flags else f"no {name}" for name, flag in INSTRUCTIONS.items()]
    counted = f"{cores} core" + "s" * (cores != 1)
    return ", ".join([model, counted, *(known if flags else ())])
