"""One process of a server of several: `python -m pipelines.serving.workers.process DESCRIPTOR`.

It ends when the supervisor says so, or has gone; signals are the supervisor's.
"""

import asyncio
import os
import signal
import socket
import sys
import threading
from contextlib import suppress

import msgspec

from pipelines.errors import UserError
from pipelines.serving.workers.protocol import End, Report, Task, encode


class ControlReports:
    """Tells the supervisor how far this process is."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    def listens(self) -> None:
        """Tell that the port is open."""
        self._send(Report(kind="listens"))

    def answers(self, release: str) -> None:
        """Tell that requests are answered."""
        self._send(Report(kind="answers", text=release))

    def say(self, line: str) -> None:
        """Tell what a person should read."""
        self._send(Report(kind="line", text=line))

    def failed(self, why: str) -> None:
        """Tell why this process ends."""
        self._send(Report(kind="failed", text=why))

    def _send(self, report: Report) -> None:
        with suppress(OSError):  # the supervisor has gone, and so this process ends
            self._control.sendall(encode(report))


def main(descriptor: str) -> None:
    """Do what the first line from the supervisor says, until its last."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    control = socket.socket(fileno=int(descriptor))
    reports = ControlReports(control)
    task = msgspec.json.decode(_line(control), type=Task)
    try:
        (_write if task.writes else _answer)(task, control, reports)
    except UserError as e:
        reports.failed(str(e))
        os._exit(1)
    os._exit(0)  # everything is closed, and to free the models one by one would take a second


def _answer(task: Task, control: socket.socket, reports: ControlReports) -> None:
    from pipelines.serving.workers.worker import answer

    listener = socket.socket(fileno=task.listener)
    asyncio.run(answer(task, listener, reports, lambda: _end(control)))


def _write(task: Task, control: socket.socket, reports: ControlReports) -> None:
    from pipelines.serving.workers.writer import write

    ending = threading.Event()

    def end_when_told() -> None:
        _end(control)
        ending.set()

    threading.Thread(target=end_when_told, daemon=True).start()
    write(task, reports, ending)


def _end(control: socket.socket) -> End:
    """Wait for the last line; a supervisor that has gone is one, too."""
    line = _line(control)
    return msgspec.json.decode(line, type=End) if line else End(notice_seconds=0.0)


def _line(control: socket.socket) -> bytes:
    """Return the next line; the supervisor sends one only when the one before is read."""
    line = b""
    while not line.endswith(b"\n"):
        try:
            part = control.recv(65_536)
        except OSError:
            return b""
        if not part:
            return b""
        line += part
    return line


if __name__ == "__main__":
    main(sys.argv[1])
