import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import Timeout

from pipelines.durable.locks import lock_file

HOLD = """
import sys, time
from pathlib import Path
from pipelines.durable.locks import lock_file

lock = lock_file(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_a_lock_excludes_another_of_the_same_process(tmp_path: Path) -> None:
    with lock_file(tmp_path / ".lock"), pytest.raises(Timeout):
        lock_file(tmp_path / ".lock").acquire(blocking=False)


def test_any_thread_may_release_a_lock(tmp_path: Path) -> None:
    lock = lock_file(tmp_path / ".lock")
    lock.acquire()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(lock.release).result()

    with lock_file(tmp_path / ".lock").acquire(blocking=False):
        assert (tmp_path / ".lock").exists()


def test_a_lock_is_released_when_its_holder_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / ".lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Timeout):
            lock_file(tmp_path / ".lock").acquire(blocking=False)

        holder.kill()

    with lock_file(tmp_path / ".lock").acquire(blocking=False):
        assert (tmp_path / ".lock").exists()
