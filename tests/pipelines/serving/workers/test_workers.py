"""A server of several processes, over real releases, started as a user starts it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from pipelines.building.build import build
from pipelines.config.sections import Config
from pipelines.progress import silent
from pipelines.release.store import current, point_current
from pipelines.serving.workers.protocol import End, Task, encode
from pipelines.serving.workers.supervisor import COMMAND
from tests.assertions import every
from tests.conftest import UNTIL

JSON = {"content-type": "application/json"}
WORKERS = 2
NAMES = {"writer", "worker 1", "worker 2"}


class Server(NamedTuple):
    process: subprocess.Popen[str]
    url: str
    lines: list[str]  # that it has written

    def ask(self, path: str, body: object = None, method: str | None = None) -> tuple[int, Any]:
        """Ask over a connection of its own, so that any process may answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, JSON, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as e:
            with e:
                return e.code, json.load(e)

    def children(self) -> dict[str, int]:
        """Return the processes of this server that run, by name: writer, worker 1, ..."""
        folders = (one for one in Path("/proc").iterdir() if one.name.isdigit())
        ours = (one for one in folders if _parent(one) == self.process.pid and _name(one))
        return {_name(one): int(one.name) for one in ours}

    def whole(self) -> dict[str, int]:
        """Return the processes of a server that takes changes, once all of them run."""
        found: dict[str, int] = wait_for(
            lambda: one if (one := self.children()).keys() == NAMES else {}
        )
        return found

    def kill(self, name: str) -> None:
        """Kill a process, and wait until another one has taken its place."""
        before = self.whole()
        os.kill(before[name], signal.SIGKILL)
        wait_for(lambda: self.children().get(name, before[name]) != before[name])

    def says(self, part: str) -> str:
        """Wait for a line that holds this."""
        return wait_for(lambda: next((one for one in self.lines if part in one), ""))


def wait_for(look: Callable[[], Any], seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)
    return found


def _parent(folder: Path) -> int:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _name(folder: Path) -> str:
    """Return the last word of a process' command line; none of one that has ended."""
    try:
        return (folder / "cmdline").read_bytes().rstrip(b"\0").rpartition(b"\0")[2].decode()
    except OSError:
        return ""


def alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def serving(releases: Path, *options: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "pipelines.cli.main", "serve", "--releases", str(releases)]
    settings = (f"serve.workers={WORKERS}", "serve.follow_seconds=0.2", "serve.deadline_ms=60000")
    process = subprocess.Popen(
        [*command, "--port", "0", *(word for one in settings for word in ("--set", one)), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: list[str] = []
    assert process.stdout is not None
    reading = threading.Thread(target=lines.extend, args=[process.stdout])
    reading.start()
    try:
        ready = wait_for(lambda: next((x for x in lines if " answers from " in x), ""))
        yield Server(process, ready.split()[0], lines)
    finally:
        process.kill()
        process.wait()
        reading.join()  # all processes hold the other end
        process.stdout.close()


@pytest.fixture(scope="module")
def both(
    quick_releases: Path, shop: Path, quick: Config, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Two releases of one shop, of which the first is current."""
    folder = tmp_path_factory.mktemp("both") / "releases"
    shutil.copytree(quick_releases, folder)
    first = current(folder)
    build(shop, folder, quick, UNTIL, silent)
    (folder.parent / "first").write_text(first)
    (folder.parent / "second").write_text(current(folder))
    point_current(folder, first)
    return folder


@pytest.fixture(scope="module")
def server(both: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    live = tmp_path_factory.mktemp("live") / "log"
    with serving(both, "--live", str(live), "--set", "people.http=true") as server:
        yield server


def put(server: Server, name: str) -> int:
    status, body = server.ask(
        f"/v1/products/{name}", {"id": name, "title": f"Zucchini relish {name}"}, "PUT"
    )
    assert status == 200, body
    sequence: int = body["sequence"]
    return sequence


def knows(server: Server, name: str, after: int) -> bool:
    query = {"candidates": [name], "deadline_ms": 60_000}
    status, slate = server.ask(f"/v1/rank?after={after}", query)
    assert status == 200, slate
    return bool(slate["products"])


def test_a_change_is_in_the_next_answer_of_every_process_that_is_asked_for_it(
    server: Server,
) -> None:
    for number in range(10):
        sequence = put(server, f"new{number}")
        assert every(knows(server, f"new{number}", sequence) for _ in range(4))


def test_changes_of_all_processes_have_one_order(server: Server) -> None:
    numbers: list[int] = []
    clients = [
        threading.Thread(target=lambda n=n: numbers.extend(put(server, f"c{n}") for _ in range(5)))
        for n in range(4)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()

    assert sorted(numbers) == list(range(min(numbers), min(numbers) + 20))


def test_a_bulk_and_a_refusal_pass_through_to_the_writer(server: Server) -> None:
    line = b'{"type": "upsert", "product": {"id": "b1", "title": "Rye"}}\n'
    bulk = line + b'{"type": "delete", "id": "nothing"}\n'
    request = urllib.request.Request(
        server.url + "/v1/products:bulk", bulk, {"content-type": "application/x-ndjson"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        lines = [json.loads(one) for one in answer.read().splitlines()]

    assert [one["status"] for one in lines] == [200, 404]


def test_any_process_may_be_killed_and_another_takes_its_place(server: Server) -> None:
    for number, name in enumerate(("writer", "worker 2")):
        server.kill(name)
        assert server.says(f"{name} ended with code -9; another one begins")
        wait_for(lambda: server.ask("/v1/products/k1", {"price": 1}, "PATCH")[0] in (200, 404))
        sequence = put(server, f"after{number}")

        assert knows(server, f"after{number}", sequence)


def test_another_release_is_answered_from_without_a_failed_request(
    server: Server, both: Path
) -> None:
    seen: list[tuple[int, str]] = []
    done = threading.Event()
    put(server, "before")

    def ask() -> None:
        while not done.is_set():
            status, slate = server.ask("/v1/search", {"text": "rye bread"})
            seen.append((status, slate.get("release", "")))

    clients = [threading.Thread(target=ask) for _ in range(3)]
    for client in clients:
        client.start()
    second = (both.parent / "second").read_text()
    point_current(both, second)
    wait_for(lambda: [name for _, name in seen[-20:]] == [second] * 20)
    done.set()
    for client in clients:
        client.join()
    sequence = put(server, "afterwards")

    assert {status for status, _ in seen} == {200}
    assert knows(server, "afterwards", sequence)
    assert knows(server, "before", sequence)


def test_a_third_release_is_answered_from_at_once_as_the_first_has_left_memory(
    server: Server, both: Path
) -> None:
    first = (both.parent / "first").read_text()
    point_current(both, first)
    seen: list[str] = []

    def all_follow() -> bool:
        seen.append(server.ask("/v1/search", {"text": "rye bread"})[1]["release"])
        return seen[-20:] == [first] * 20

    wait_for(all_follow)

    assert not [line for line in server.lines if "still in memory" in line]


def buy(server: Server, user: str, product: str) -> int:
    event = {"type": "purchase", "user": user, "lines": [{"product": product}]}
    status, body = server.ask("/v1/events", event)
    assert status == 200, body
    sequence: int = body["sequence"]
    return sequence


def repeats(server: Server, user: str, product: str, after: int) -> bool:
    query = {"user": user, "candidates": [product], "explain": True, "deadline_ms": 60_000}
    status, slate = server.ask(f"/v1/rank?after={after}", query)
    assert status == 200, slate
    return "repeat" in slate["products"][0]["channels"]


def test_an_act_is_known_to_every_process_when_it_is_acknowledged(server: Server) -> None:
    for number in range(10):
        sequence = buy(server, f"buyer{number}", "p3")
        assert every(repeats(server, f"buyer{number}", "p3", sequence) for _ in range(4))


def test_who_is_erased_is_unknown_to_every_process_when_the_receipt_is_there(
    server: Server,
) -> None:
    for user in ("erased", "u1"):
        sequence = buy(server, user, "p3")
        before = [repeats(server, user, "p3", sequence) for _ in range(4)]

        status, receipt = server.ask("/v1/people/erase", {"user": user})

        assert (status, receipt["acts"], receipt["left_on_disk"]) == (200, 1, False)
        assert before == [True] * 4
        assert every(not repeats(server, user, "p3", sequence) for _ in range(8))
    assert len(receipt["releases"]) == 2  # u1 is of the shop's own files


def test_an_acknowledged_act_survives_the_end_of_the_writer(server: Server) -> None:
    sequence = buy(server, "survivor", "p3")

    server.kill("writer")

    event = {"type": "view", "user": "survivor", "lines": [{"product": "p5"}]}
    wait_for(lambda: server.ask("/v1/events", event | {"id": "again"})[0] == 200)
    assert server.ask("/v1/events", event | {"id": "again"})[1]["duplicate"]
    assert repeats(server, "survivor", "p3", sequence)


CAMPAIGN = {
    "advertiser": "Oats & Co",
    "currency": "EUR",
    "budget": {"total_micros": 450_000},
    "start": "2020-01-01T00:00:00",
    "end": "2090-01-01T00:00:00",
    "bid": {"micros": 400_000},
    "products": ["p30"],
}


def sponsor(server: Server, name: str) -> int:
    status, body = server.ask(f"/v1/campaigns/{name}", CAMPAIGN | {"id": name}, "PUT")
    assert status == 200, body
    sequence: int = body["sequence"]
    return sequence


def token_of(server: Server, name: str, after: int = 0) -> str:
    """Return the token of a campaign's ad in an answer; "" where it has none."""
    status, slate = server.ask(f"/v1/search?after={after}", {"text": "rye bread"})
    assert status == 200, slate
    ads = [one["ad"] for one in slate["products"] if one["sponsored"]]
    return next((ad["token"] for ad in ads if ad["campaign"] == name), "")


def counted(server: Server, token: str) -> bool:
    status, body = server.ask(f"/v1/clicks/{token}", {})
    assert status == 200, body
    told: bool = body["counted"]
    return told


def test_a_campaign_is_in_the_answers_of_every_process(server: Server) -> None:
    sequence = sponsor(server, "everywhere")

    assert every(token_of(server, "everywhere", sequence) for _ in range(6))
    server.ask("/v1/campaigns/everywhere", method="DELETE")


def test_a_click_that_several_processes_are_told_of_is_charged_once(server: Server) -> None:
    token = token_of(server, "shared", sponsor(server, "shared"))
    told: list[bool] = []
    clients = [
        threading.Thread(target=lambda: told.append(counted(server, token))) for _ in range(8)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()

    _, report = server.ask("/v1/campaigns/shared/report")
    assert sorted(told) == [False] * 7 + [True]
    assert report["clicks"] == report["charged"] == 1
    server.ask("/v1/campaigns/shared", method="DELETE")


def test_what_was_charged_survives_the_end_of_the_writer_and_shoppers_do_not_notice(
    server: Server,
) -> None:
    sequence = sponsor(server, "charged")
    tokens = [token_of(server, "charged", sequence) for _ in range(6)]
    first = [counted(server, token) for token in tokens[:3]]
    os.kill(server.whole()["writer"], signal.SIGKILL)
    meanwhile = [server.ask("/v1/search", {"text": "rye bread"})[0] for _ in range(10)]
    wait_for(lambda: server.ask(f"/v1/impressions/{tokens[0]}", {})[0] == 200)
    again = [counted(server, token) for token in tokens]

    _, report = server.ask("/v1/campaigns/charged/report")
    assert first == [True] * 3
    assert set(meanwhile) == {200}
    assert again == [False] * 3 + [True] * 3
    assert report["spent_micros"] <= 450_000
    assert report["clicks"] == 6


def test_it_ends_in_order_whatever_its_clients_do_and_leaves_no_process(server: Server) -> None:
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    head = b"POST /v1/search HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    children = server.whole()
    with ExitStack() as clients:
        for number in range(350):
            client = socket.create_connection((host, int(port)), timeout=20)
            clients.enter_context(client)
            if number < 50:
                client.sendall(head + b"content-length: 99\r\n\r\n{")

        server.process.send_signal(signal.SIGTERM)
        code = server.process.wait(timeout=60)

    assert code == 0
    assert not any(alive(pid) for pid in children.values())


def test_processes_end_when_their_supervisor_is_killed(both: Path) -> None:
    with serving(both) as server:
        children = server.children()
        server.process.kill()
        server.process.wait()

        assert len(children) == WORKERS
        wait_for(lambda: not any(alive(pid) for pid in children.values()))


def test_a_process_that_is_told_to_end_while_it_starts_ends_in_order(
    both: Path, tmp_path: Path
) -> None:
    ours, theirs = socket.socketpair()
    config = msgspec.structs.replace(Config().serve, live=str(tmp_path / "live"))
    task = Task(
        writes=True,
        releases=str(both),
        config=msgspec.structs.replace(Config(), serve=config),
        listener=-1,
        folder=str(tmp_path),
    )
    ours.sendall(encode(task) + encode(End(notice_seconds=0.0)))
    with ours, theirs:
        ended = subprocess.run(
            [*COMMAND, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            capture_output=True,
            timeout=120,
            check=False,
        )

    assert (ended.returncode, ended.stderr) == (0, b"")


def refused(releases: Path, *options: str, **variables: str) -> str:
    """Start a server that must end with one line, and return the line."""
    command = [sys.executable, "-m", "pipelines.cli.main", "serve", "--releases", str(releases)]
    answer = subprocess.run(
        [*command, "--port", "0", "--set", "serve.workers=2", *options],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    return answer.stderr


def test_a_folder_of_temporary_files_with_a_long_path_is_refused_with_one_line(
    both: Path, tmp_path: Path
) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()

    refusal = refused(both, "--live", str(tmp_path / "live"), TMPDIR=str(folder))

    assert "set TMPDIR" in refusal


def test_a_release_that_cannot_be_opened_ends_the_server_with_one_line(tmp_path: Path) -> None:
    assert "vetrina build" in refused(tmp_path)
