"""Starts the processes of a server, starts them again where they end, and ends them in order."""

import asyncio
import os
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from pipelines.config.sections import Config
from pipelines.errors import UserError
from pipelines.serving.progress_reports import Reports
from pipelines.serving.stopping import on_stop_signals
from pipelines.serving.workers.protocol import End, Report, Task, encode

ONE_ARENA = "1"  # of glibc: with one for each thread a process keeps 50 MB more that are free
COMMAND = (sys.executable, "-P", "-m", "pipelines.serving.workers.process")
END_SECONDS = 7.0  # that a process has to end in order, after the notice
AGAIN_SECONDS = 1.0  # before a process that ended is started again
LINE_BYTES = 1 << 20
LONGEST_PATH = 100  # bytes of a socket's path; systems allow 104 to 108 with the zero at its end


async def supervise(
    releases: Path, config: Config, listener: socket.socket, reports: Reports
) -> None:
    """Answer from several processes until SIGINT or SIGTERM; a UserError where one cannot open."""
    with tempfile.TemporaryDirectory(prefix="vetrina-", ignore_cleanup_errors=True) as folder:
        task = Task(
            writes=False,
            releases=str(releases),
            config=config,
            listener=listener.fileno(),
            folder=folder,
        )
        check_length(task.socket_path)
        listener.listen()  # connections wait while no process listens
        supervisor = Supervisor(task, reports)
        on_stop_signals(supervisor.end, config.serve.drain_seconds, supervisor.kill)
        await supervisor.run()


def check_length(path: Path) -> None:
    """Raise a UserError where a socket cannot have this path."""
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise UserError(
            f"the folder of temporary files, {path.parent.parent}, has too long a path for a "
            "socket; set TMPDIR to a shorter one, such as /tmp"
        )


class Supervisor:
    """One process that writes, where changes are taken, and those that answer.

    Made within a running event loop.
    """

    def __init__(self, task: Task, reports: Reports) -> None:
        self._reports = reports
        self._progress = _Progress(task.config.serve.workers, reports)
        takes_changes = bool(task.config.serve.live)
        writing = msgspec.structs.replace(task, writes=True, listener=-1)
        self._writers = [_Child("writer", writing)] if takes_changes else []
        self._workers = [
            _Child(f"worker {number}", task) for number in range(1, task.config.serve.workers + 1)
        ]
        self._workers[0].open_port_first()
        self._ended = asyncio.Event()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Keep all processes until `end`; a UserError where one ends before it was ready."""
        children = (*self._writers, *self._workers)
        keeping = [asyncio.create_task(self._keep(child)) for child in children]
        ending = asyncio.create_task(self._ended.wait())
        either: list[asyncio.Future[Any]] = [ending, self._failure]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self._failure.done():
            await self.end(0.0)
        await asyncio.gather(*keeping, ending)
        if self._failure.done():
            self._failure.result()

    async def end(self, notice_seconds: float) -> None:
        """End in order: those that answer, and then the one that writes."""
        for children, notice in ((self._workers, notice_seconds), (self._writers, 0.0)):
            for child in children:
                child.end(notice)
            await asyncio.gather(*(child.ended(notice + END_SECONDS) for child in children))
        self._ended.set()

    def kill(self) -> None:
        """End all processes at once."""
        for child in (*self._workers, *self._writers):
            child.kill()

    def _fail(self, why: str) -> None:
        if not self._failure.done():
            self._failure.set_exception(UserError(why))

    async def _keep(self, child: "_Child") -> None:
        """Run a process until it is told to end; one that was ready is started again."""
        while True:
            code = await child.run(self._progress)
            if child.is_ending:
                return
            if not child.was_ready:
                self._fail(child.failure or f"the {child.name} ended with code {code}")
                return
            self._reports.say(f"{child.name} ended with code {code}; another one begins")
            await asyncio.sleep(AGAIN_SECONDS)


class _Child:
    """One process, and the socket over which it is told what to do."""

    def __init__(self, name: str, task: Task) -> None:
        self.name = name
        self.is_ending = False
        self.was_ready = False
        self.failure = ""
        self._task = self._first = task
        self._process: asyncio.subprocess.Process | None = None
        self._control: asyncio.StreamWriter | None = None

    def open_port_first(self) -> None:
        """Let the process, when it is first started, answer /healthz while it opens its release."""
        self._first = msgspec.structs.replace(self._task, port_first=True)

    async def run(self, progress: "_Progress") -> int:
        """Start the process, pass its reports on, and return its code when it has ended."""
        if self.is_ending:
            return 0
        ours, theirs = socket.socketpair()
        with theirs:
            inherited = [one for one in (self._task.listener, theirs.fileno()) if one >= 0]
            self._process = await asyncio.create_subprocess_exec(
                *COMMAND,
                str(theirs.fileno()),
                self.name,
                stdin=asyncio.subprocess.DEVNULL,
                env=self._environment(),
                pass_fds=inherited,
                start_new_session=True,  # so that Ctrl-C reaches us alone
            )
        reader, self._control = await asyncio.open_unix_connection(sock=ours, limit=LINE_BYTES)
        self._control.write(encode(self._first))
        self._first = self._task
        if self.is_ending:
            self.end(0.0)
        with suppress(ConnectionError):
            async for line in reader:
                self._note(msgspec.json.decode(line, type=Report), progress)
        code = await self._process.wait()
        self._control.close()
        return code

    def _environment(self) -> dict[str, str]:
        """Return the variables of the process; temporary files go with the server's folder."""
        path = os.pathsep.join(filter(None, sys.path))
        own = {"PYTHONPATH": path, "TMPDIR": self._task.folder}
        return {"MALLOC_ARENA_MAX": ONE_ARENA, **os.environ, **own}

    def end(self, notice_seconds: float) -> None:
        """Tell the process to end in order."""
        self.is_ending = True
        if self._control is not None:
            self._control.write(encode(End(notice_seconds=notice_seconds)))

    async def ended(self, seconds: float) -> None:
        """Wait until the process has ended; kill it after so many seconds."""
        if self._process is None:
            return
        try:
            await asyncio.wait_for(self._process.wait(), seconds)
        except TimeoutError:
            self.kill()
            await self._process.wait()

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    def _note(self, report: Report, progress: "_Progress") -> None:
        if report.kind == "failed":
            self.failure = report.text
        elif report.kind == "answers":
            self.was_ready = True
        if not self._task.writes:
            progress.note(report)


class _Progress:
    """Passes on what the answering processes report, each thing once."""

    def __init__(self, workers: int, reports: Reports) -> None:
        self._workers, self._reports = workers, reports
        self._listens, self._ready = False, 0
        self._lines: dict[str, int] = {}  # how many have said each

    def note(self, report: Report) -> None:
        """Pass on the first opening, that all answer, and each line when the first says it."""
        if report.kind == "listens" and not self._listens:
            self._listens = True
            self._reports.listens()
        elif report.kind == "answers":
            self._ready += 1
            if self._ready == self._workers:
                self._reports.answers(report.text)
        elif report.kind == "line":
            self._pass_on(report.text)

    def _pass_on(self, line: str) -> None:
        said = self._lines.get(line, 0) + 1
        if said == 1:
            self._reports.say(line)
        self._lines[line] = said % self._workers
