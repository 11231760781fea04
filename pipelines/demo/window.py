"""Opens the shop window with the first release, while a process beside it builds better ones."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from pipelines.demo.plan import DemoFolder, load_journey, served_release
from pipelines.demo.steps import Say, steps_left
from pipelines.errors import UserError
from pipelines.release.build_status import read_status, write_status
from pipelines.serving.connections.listening import listening_address
from pipelines.serving.server import serve

BUILDER = (sys.executable, "-P", "-m", "pipelines.demo.builder")  # -P: not from the folder here
LOOK_SECONDS = 0.2
GONE_ON = "the building ended with code {code}; the window stays, and `make demo` goes on from here"
STOP_SECONDS = 15.0  # that the builder gets to put its things away


def open_window(folder: DemoFolder, say: Say, *, host: str | None, port: int | None) -> None:
    """Serve until SIGINT or SIGTERM, from the first release on that can be served."""
    config = load_journey(folder)
    host, port = listening_address(config, host, port)
    with building(folder, say) as builder:
        import pipelines.serving.hot_swap  # noqa: F401 - torch and FAISS, while we wait

        wait_for_release(folder, builder)
        serve(folder.releases, config, host=host, port=port)


@contextmanager
def building(folder: DemoFolder, say: Say) -> Iterator["subprocess.Popen[str] | None"]:
    """Run what is left in a process of its own until the block ends; None: nothing is left.

    Its lines are passed to `say`, and so is its failure. The process is in a session of its own,
    so that Ctrl-C does not reach it; closing its standard input ends it.
    """
    if not steps_left(folder):
        yield None
        return
    command = [*BUILDER, str(folder.path)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as builder:
        telling = threading.Thread(target=_pass_on, args=(builder, folder, say), daemon=True)
        telling.start()
        threading.Thread(target=_end_group, args=(builder,), daemon=True).start()
        try:
            yield builder
        finally:
            _stop(builder)
            telling.join(STOP_SECONDS)


def wait_for_release(folder: DemoFolder, builder: "subprocess.Popen[str] | None") -> None:
    """Wait until there is a release to serve; UserError where the builder ends before that."""
    while not served_release(folder):
        if builder is None or builder.poll() is not None:
            raise UserError("the first release could not be built: see above")
        time.sleep(LOOK_SECONDS)


def _pass_on(builder: "subprocess.Popen[str]", folder: DemoFolder, say: Say) -> None:
    """Say what the builder says, and at its end how it failed, to the terminal and the page."""
    assert builder.stdout is not None, "it is a pipe"
    for line in builder.stdout:
        say(line.removesuffix("\n"))
    code = builder.wait()
    status = read_status(folder.releases)
    if code == 0 or _was_stopped(builder):
        return
    say(GONE_ON.format(code=code))
    if status is not None and not status.failed:  # killed, without a word of its own
        failed = f"the building process ended with code {code}"
        write_status(folder.releases, msgspec.structs.replace(status, doing="", failed=failed))


def _was_stopped(builder: "subprocess.Popen[str]") -> bool:
    assert builder.stdin is not None, "it is a pipe"
    return builder.stdin.closed


def _stop(builder: "subprocess.Popen[str]") -> None:
    """End the builder by the end of its standard input; what it has begun goes on another time.

    The processes that it started end with it: they would keep its output open.
    """
    assert builder.stdin is not None, "it is a pipe"
    builder.stdin.close()
    try:
        builder.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        builder.kill()


def _end_group(builder: "subprocess.Popen[str]") -> None:
    """Wait for the builder's end, and kill what is left of its session."""
    builder.wait()
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(builder.pid, signal.SIGKILL)
