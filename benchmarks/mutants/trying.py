"""Runs tests against mutants: each in a forked process that holds everything already imported."""

import ast
import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from _pytest.runner import runtestprotocol

from benchmarks.mutants.coverage import Line, traced
from benchmarks.mutants.operators import Mutant, mutated
from benchmarks.mutants.patching import Unimportable, patch

LEAST_SECONDS, TIMES = 5.0, 4.0  # a mutant may take this, or so many times as long as the tests
LONGEST_TEST = 5.0  # seconds; slower tests are not asked
KILLED, SURVIVED, UNCOVERED, UNTRIED = "killed", "survived", "not covered", "not tried"
NONE_FAILED, UNREACHED = -1, -2  # in place of the place of a test
PROFILE = "mutants"


class Baseline(NamedTuple):
    """What one test does without a mutant."""

    passed: bool
    seconds: float
    lines: frozenset[Line]


class ChildFault(Exception):
    """What went wrong in a forked process beside its tests: a fault of this module."""


class Trial:
    """A pytest plugin: runs the tests once as they are, then those that see each mutant."""

    def __init__(
        self,
        root: Path,
        mutants: Sequence[Mutant],
        seconds: float,
        tell: Callable[[Mutant, str], None],
    ) -> None:
        self.outcomes: dict[Mutant, str] = dict.fromkeys(mutants, UNTRIED)
        self.failed: list[str] = []
        self._root = root
        self._end = time.monotonic() + seconds
        self._tell = tell
        self._last_killer: dict[str, pytest.Item] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Take the place of pytest's own loop."""
        self._without_cache_of_examples()
        session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined] # shared
        files = {str(self._root / mutant.file) for mutant in self.outcomes}
        runs: list[Baseline] = in_child(partial(_all_runs, session.items, files)) or []
        pairs = list(zip(session.items, runs, strict=True))
        self.failed = [item.nodeid for item, run in pairs if not run.passed]
        asked = [(i, r) for i, r in pairs if r.passed and r.seconds <= LONGEST_TEST]
        covered = {file for _, run in asked for file, _ in run.lines}
        self.failed += self._seen_without_change(covered, [item for item, _ in asked])
        for mutant in self.outcomes:
            if time.monotonic() > self._end:
                break
            self.outcomes[mutant] = self._outcome(mutant, asked)
            self._tell(mutant, self.outcomes[mutant])
        return True

    @staticmethod
    def _seen_without_change(files: set[str], items: Sequence[pytest.Item]) -> list[str]:
        """Return tests that fail where a file is replaced by itself: then nothing is measured."""
        failures = {
            file: in_child(partial(_first_failure, Path(file), None, items))
            for file in sorted(files)
        }
        return [
            f"{Path(file).name}: {'ended' if first is None else items[first].nodeid}"
            for file, first in failures.items()
            if first is None or first >= 0
        ]

    def _outcome(self, mutant: Mutant, asked: Sequence[tuple[pytest.Item, Baseline]]) -> str:
        path = str(self._root / mutant.file)
        lines = {(path, line) for line in range(mutant.first, mutant.last + 1)}
        seeing = [one for one in asked if one[1].lines & lines]
        if not mutant.function:  # a constant of the module: any test may read it
            seeing = list(asked)
        if not seeing:
            return UNCOVERED
        seeing.sort(key=lambda one: one[1].seconds)
        items = [item for item, _ in seeing]
        killer = self._last_killer.get(mutant.function)
        if killer in items:
            items.insert(0, items.pop(items.index(killer)))
        limit = max(LEAST_SECONDS, TIMES * sum(run.seconds for _, run in seeing))
        first = in_child(partial(_first_failure, Path(path), mutant, items), limit)
        if first is None:
            return KILLED  # it took too long, or ended the process
        if first < 0:
            return SURVIVED if first == NONE_FAILED else UNTRIED
        self._last_killer[mutant.function] = items[first]
        return KILLED

    @staticmethod
    def _without_cache_of_examples() -> None:
        """Let hypothesis draw the same examples each time, and look for no smaller ones."""
        hypothesis = sys.modules.get("hypothesis")
        if hypothesis is not None:
            phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
            hypothesis.settings.register_profile(
                PROFILE,
                derandomize=True,
                database=None,
                phases=phases,
                deadline=None,
                suppress_health_check=list(hypothesis.HealthCheck),  # of a busy machine
            )
            hypothesis.settings.load_profile(PROFILE)


def in_child(work: Callable[[], Any], limit: float = 3_600.0) -> Any:
    """Return what a function returns in a forked process; None where that takes too long or ends.

    What it changes in memory, this process does not see.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.setsid()
        _work_and_end(work, writing)
    os.close(writing)
    return _result(pid, reading, limit)


def _work_and_end(work: Callable[[], Any], writing: int) -> None:
    """Hand on what a function returns, or its error; end without what the parent would do."""
    try:
        result = work()
    except BaseException as e:
        result = ChildFault(f"{e!r}\n{traceback.format_exc()}")
    with os.fdopen(writing, "wb") as pipe:
        pickle.dump(result, pipe)
    os._exit(0)


def _result(pid: int, reading: int, limit: float) -> Any:
    signal.signal(signal.SIGALRM, _on_alarm)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        with os.fdopen(reading, "rb") as pipe:
            raw = pipe.read()
    except TimeoutError:
        raw = b""
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _end(pid)
    result = pickle.loads(raw) if raw else None  # our own child wrote it
    if isinstance(result, ChildFault):
        raise result
    return result


def _on_alarm(*_: object) -> None:
    raise TimeoutError


def _end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _all_runs(items: Sequence[pytest.Item], files: set[str]) -> list[Baseline]:
    runs = []
    for item, following in zip(items, [*items[1:], None], strict=True):
        start = time.perf_counter()
        with traced(files) as lines:
            passed = _passes(item, following)
        runs.append(Baseline(passed, time.perf_counter() - start, frozenset(lines)))
    return runs


def _first_failure(path: Path, mutant: Mutant | None, items: Sequence[pytest.Item]) -> int:
    """Return the place of the first test that fails with a mutant, or NONE_FAILED.

    Without a mutant the module is replaced by itself, which no test may see. UNREACHED where a
    constant is an object, which other objects may hold.
    """
    source = path.read_text()
    tree = ast.parse(source) if mutant is None else mutated(source, mutant.number)
    try:
        constants = patch(_module_of(path), tree)
    except Unimportable:
        return 0
    if mutant is not None and not mutant.function and not constants:
        return UNREACHED
    for place, (item, following) in enumerate(zip(items, [*items[1:], None], strict=True)):
        if not _passes(item, following):
            return place
    return NONE_FAILED


def _module_of(path: Path) -> ModuleType:
    """Return the module of a file, which tests may have imported under another name."""
    return next(one for one in list(sys.modules.values()) if _file_of(one) == str(path))


def _file_of(module: ModuleType) -> str:
    return str(vars(module).get("__file__", ""))


def _passes(item: pytest.Item, following: pytest.Item | None) -> bool:
    try:
        return not any(one.failed for one in runtestprotocol(item, log=False, nextitem=following))
    except BaseException:  # such as one that stops pytest
        return False
