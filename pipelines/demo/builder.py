"""The process that builds beside the open shop window: `python -m` this module, and a folder."""

import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import NoReturn

NICENESS = 10
TASKS = Path("/proc/self/task")  # each thread by its number, on Linux


def main() -> None:
    """Run the steps that are left; end when standard input ends, so never outlive the window."""
    from pipelines.progress import track, working

    with working("start"):  # here: the processes that draw read this file, too
        from pipelines.demo.plan import DemoFolder
        from pipelines.demo.steps import run_steps
        from pipelines.errors import UserError

    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_stop_at_end, daemon=True).start()
    try:
        run_steps(DemoFolder(Path(sys.argv[1])), track, _say, yield_to_the_window)
    except (UserError, OSError) as e:
        sys.exit(f"vetrina: {e}")


def yield_to_the_window() -> None:
    """Lower the priority of this process: the window answers first.

    Linux keeps a priority for each thread, and threads of libraries run already.
    """
    threads = [int(task.name) for task in TASKS.iterdir()] if TASKS.is_dir() else [0]
    for thread in threads:
        try:
            os.setpriority(os.PRIO_PROCESS, thread, NICENESS)
        except ProcessLookupError:  # a thread that has just ended
            continue


def _stop(_: int, __: FrameType | None) -> NoReturn:
    sys.exit("stopped")


def _stop_at_end() -> None:
    """Wait for the end of standard input; unbuffered, for a buffer's lock would outlive us."""
    os.read(sys.stdin.fileno(), 1)
    signal.raise_signal(signal.SIGTERM)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
