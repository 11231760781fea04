"""The demo: a first window early, better releases behind it, and a measurement at the end."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipelines.building.build import describe
from pipelines.config.sections import Config
from pipelines.demo import measurement, plan, steps, window
from pipelines.demo.plan import RELEASES, DemoFolder, load_journey, served_release
from pipelines.demo.steps import run_steps
from pipelines.errors import TrainingError, UserError
from pipelines.evaluation.baselines import BASELINES
from pipelines.importers.journey.packshots.drawing import MEDIA_TYPE, Label, draw
from pipelines.progress import Track, silent
from pipelines.release import build_status
from pipelines.release.build_status import describe_progress, read_status, write_status
from pipelines.release.store import draft, names
from pipelines.release.verdict import UnfitDraft, Verdict, at_least
from pipelines.reports import output
from pipelines.shop.place import with_place
from pipelines.shop.reader import Shop
from pipelines.shop.writer import ShopWriter
from tests.conftest import UNTIL, products, purchases, write_shop
from tests.pipelines.reports.test_markup import Reader

BAD = Verdict(against="the live one", checks=(at_least("nDCG@20", 0.1, 0.95),))


class Making:
    """Stands in for all that is slow: it notes what was done, and makes releases without parts."""

    def __init__(self, folder: DemoFolder) -> None:
        self.folder = folder
        self.done: list[str] = []
        self.served: list[str] = []  # what could be served when a build began
        self.progress: list[dict[str, Any]] = []  # and what the page said
        self.dark: set[int] = set()
        self.broken: set[int] = set()

    def import_shop(self, shop: Path, track: Track) -> Any:
        self.done.append("import")
        write_shop(shop, pictures=False)
        return self

    def table(self) -> str:
        return "imported"

    def train(self, shop: Path, out: Path, settings: Any, track: Track, **_: Any) -> Any:
        self.done.append("train")
        return self

    def line(self) -> str:
        return "trained"

    def build(self, shop: Path, releases: Path, config: Config, until: datetime, _: Track) -> str:
        [place] = [n for n, one in enumerate(RELEASES) if load_journey(self.folder, one) == config]
        self.served.append(served_release(self.folder))
        self.progress.append(describe_progress(releases, served_release(self.folder)))
        if place in self.broken:
            raise TrainingError("the data is too small")
        self.done.append(f"build {place + 1}")
        with draft(releases) as new:
            new.seal(
                config=msgspec.to_builtins(with_place(config, Shop(shop).meta)),
                shop=describe(Shop(shop)),
                until=until.isoformat(),
                fingerprints={},
                quality={},
            )
            new.judge(BAD if place in self.dark else Verdict(against=None))
            if place in self.dark:
                raise UnfitDraft(new.keep(), BAD)
            return new.publish()

    def measure(self, folder: DemoFolder, track: Track) -> str:
        self.done.append("measure")
        table = measurement.MeasuredTable(served_release(folder), "a table")
        folder.measured.write_bytes(msgspec.json.encode(table))
        folder.measured.with_name(output.NAME).write_text("a page")
        return "a table"

    def is_trained(self, *_: Any, **__: Any) -> bool:
        return "train" in self.done


@pytest.fixture
def making(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Making:
    made = Making(DemoFolder(tmp_path / "demo"))
    monkeypatch.setattr(steps, "import_journey", made.import_shop)
    monkeypatch.setattr(steps, "train_clip", made.train)
    monkeypatch.setattr(steps, "already_trained", made.is_trained)
    monkeypatch.setattr(steps, "build", made.build)
    monkeypatch.setattr(steps, "measure_served", made.measure)
    return made


def run(made: Making, when_served: Callable[[], None] = lambda: None) -> list[str]:
    said: list[str] = []
    run_steps(made.folder, silent, said.append, when_served)
    return said


def test_the_first_release_can_be_served_before_anything_is_learnt(making: Making) -> None:
    run(making, lambda: making.done.append("served"))

    assert making.done == [
        "import", "build 1", "served", "train", "build 2", "build 3", "measure",
    ]  # fmt: skip
    assert making.served == ["", *sorted(names(making.folder.releases))[:2]]


def test_each_release_adds_to_the_one_before_it_and_the_last_has_everything(
    tmp_path: Path,
) -> None:
    first, second, last = (load_journey(DemoFolder(tmp_path), one) for one in RELEASES)

    parts = [(c.encoders.image.model != "", c.towers.train, c.ranking.train) for c in
             (first, second, last)]  # fmt: skip
    assert parts == [(False, False, False), (True, False, False), (True, True, True)]


def test_the_page_is_told_which_release_answers_and_what_is_still_learnt(making: Making) -> None:
    run(making)

    [_, second, third] = making.progress
    assert (second["number"], second["of"]) == (1, 3)
    assert second["holds"] == ["words", "meaning", "habits"]
    assert second["learning"] == ["pictures", "towers", "ranker"]
    assert second["seconds_left"] > 0
    assert third["learning"] == ["towers", "ranker"]
    at_the_end = describe_progress(making.folder.releases, served_release(making.folder))
    assert (at_the_end["number"], at_the_end["learning"]) == (3, [])


def test_a_release_of_another_plan_is_told_nothing_of(making: Making) -> None:
    run(making)

    assert describe_progress(making.folder.releases, "20171115-another") == {}
    assert describe_progress(making.folder.path, "20171115-another") == {}


def test_a_second_run_builds_nothing_and_says_the_table_again(making: Making) -> None:
    run(making)
    making.done.clear()

    making.done.append("train")  # what the picture model's folder would say
    said = run(making)

    assert making.done == ["train"]
    assert said[0].startswith("a table")


def test_a_failed_later_build_leaves_what_is_served_and_the_next_run_goes_on_there(
    making: Making,
) -> None:
    making.broken = {2}

    with pytest.raises(TrainingError):
        run(making)

    served = served_release(making.folder)
    told = describe_progress(making.folder.releases, served)
    assert (told["number"], told["failed"]) == (2, "the data is too small")
    assert told["learning"] == []
    making.broken, making.done = set(), ["train"]
    run(making)
    assert making.done == ["train", "build 3", "measure"]


def test_a_release_that_stays_dark_is_told_of_and_the_next_one_is_built(making: Making) -> None:
    making.dark = {1}

    said = run(making)

    assert making.done[-3:] == ["build 2", "build 3", "measure"]
    assert any("stays dark" in line for line in said)
    assert making.progress[2]["dark"] == [2]
    assert making.served[2] == making.served[1]
    making.done = ["train"]
    run(making)
    assert making.done == ["train"]  # a verdict is not asked for twice


def test_a_first_release_that_stays_dark_ends_the_demo(making: Making) -> None:
    making.dark = {0}

    with pytest.raises(UnfitDraft):
        run(making)

    assert making.done == ["import", "build 1"]


def test_where_another_release_is_served_already_only_the_last_one_is_built(
    making: Making,
) -> None:
    with draft(making.folder.releases) as new:
        new.seal(config={}, shop={}, until=None, fingerprints={}, quality={})
        new.publish()

    run(making)

    assert making.done == ["import", "train", "build 3", "measure"]


def test_a_builder_that_has_fallen_silent_learns_nothing(making: Making) -> None:
    run(making)
    releases = making.folder.releases
    first = sorted(names(releases))[0]
    status = read_status(releases)
    assert status is not None
    busy = msgspec.structs.replace(status, doing="build", written_at=time.time())
    write_status(releases, busy)
    assert describe_progress(releases, first)["learning"] == ["pictures", "towers", "ranker"]

    silent_since = time.time() - build_status.SILENT_SECONDS - 1
    write_status(releases, msgspec.structs.replace(busy, written_at=silent_since))

    assert describe_progress(releases, first)["learning"] == []


def test_the_time_left_is_longer_where_the_steps_so_far_were_slow(tmp_path: Path) -> None:
    status = steps.StatusWriter(tmp_path, [None] * len(RELEASES))
    with status.during("first", seconds=0.01, ahead=10.0):
        before = status.seconds_left()
        time.sleep(0.05)
    with status.during("second", seconds=0.01, ahead=10.0):
        after = status.seconds_left()

    assert before <= 10.01 < 5 * before < after + 1


@pytest.fixture
def as_builder(monkeypatch: pytest.MonkeyPatch, making: Making) -> Callable[[str], None]:
    """Put another program in the place of the builder, with everything left to do."""

    def put(program: str) -> None:
        monkeypatch.setattr(window, "BUILDER", (sys.executable, "-c", program))

    return put


def test_the_builder_ends_with_the_window(making: Making, as_builder: Any) -> None:
    said: list[str] = []
    as_builder("import sys; print('busy', flush=True); sys.stdin.read()")

    with window.building(making.folder, said.append) as builder:
        assert builder is not None
        assert builder.poll() is None

    assert builder.returncode == 0
    assert said == ["busy"]


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and was not waited for does not."""
    try:
        state = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_what_a_killed_builder_started_ends_with_it(making: Making, as_builder: Any) -> None:
    said: list[str] = []
    as_builder(
        "import os, signal, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )

    with window.building(making.folder, said.append) as builder:
        assert builder is not None
        assert builder.wait(30) == -9
        end = time.monotonic() + 30
        while (not said or is_alive(int(said[0]))) and time.monotonic() < end:
            time.sleep(0.01)

        assert not is_alive(int(said[0]))


def test_the_terminal_and_the_page_say_that_the_builder_was_killed(
    making: Making, as_builder: Any
) -> None:
    making.broken = {1}
    with pytest.raises(TrainingError):
        run(making)
    said: list[str] = []
    as_builder("import os; os.kill(os.getpid(), 9)")
    status = read_status(making.folder.releases)
    assert status is not None
    write_status(making.folder.releases, msgspec.structs.replace(status, failed="", doing="b"))

    with window.building(making.folder, said.append) as builder:
        assert builder is not None
        builder.wait(10)
        end = time.monotonic() + 10
        while not said and time.monotonic() < end:
            time.sleep(0.01)
        window.wait_for_release(making.folder, builder)  # what was served is served on

    assert "the window stays" in said[0]
    told = describe_progress(making.folder.releases, served_release(making.folder))
    assert told["failed"] == "the building process ended with code -9"


def test_without_a_first_release_there_is_no_window(making: Making, as_builder: Any) -> None:
    as_builder("raise SystemExit('no disk')")

    with (
        pytest.raises(UserError, match="the first release could not be built"),
        window.building(making.folder, lambda line: None) as builder,
    ):
        window.wait_for_release(making.folder, builder)


@pytest.fixture
def small_year(
    shop: Path, releases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> DemoFolder:
    """The demo's folder with the shop and the release that all tests read."""
    monkeypatch.setattr(measurement, "UNTIL", UNTIL.date().isoformat())
    (tmp_path / "shop").symlink_to(shop)
    (tmp_path / "releases").symlink_to(releases)
    return DemoFolder(tmp_path)


def test_a_page_lies_beside_the_table_and_says_the_same(small_year: DemoFolder) -> None:
    table = measurement.measure_served(small_year, silent)

    read = Reader((small_year.path / output.NAME).read_text())
    [row] = [line.split() for line in table.splitlines() if line.strip().startswith("vetrina")]
    assert f"vetrina against {BASELINES[-1]}" in read.text
    assert f"nDCG@20{row[2]}" in read.text
    assert "Head, torso and tail" in read.text
    assert "given candidates" in read.text
    assert "sample" not in table


def test_it_is_measured_once_a_release_unless_the_page_is_lost(small_year: DemoFolder) -> None:
    assert not measurement.is_measured(small_year)
    table = measurement.measure_served(small_year, silent)
    assert measurement.measured_table(small_year) == table

    (small_year.path / output.NAME).unlink()

    assert not measurement.is_measured(small_year)


def test_a_sample_is_measured_where_all_shoppers_would_take_too_long(
    small_year: DemoFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"MOST_SECONDS": 0.0, "LEAST_SHOPPERS": 9, "PROBED": 3}.items():
        monkeypatch.setattr(measurement, name, value)

    table = measurement.measure_served(small_year, silent)

    assert "9 shoppers, each ranking" in table
    assert "a sample of" in table
    assert "drawn with the seed 0" in table


@pytest.mark.slow
def test_a_real_demo_serves_its_first_release_and_goes_over_to_each_better_one(
    tmp_path: Path,
) -> None:
    write_year(tmp_path / "shop")

    with running_demo(tmp_path) as (address, process):
        first = about(address, lambda told: True)
        last = about(address, lambda told: told["building"].get("number") == 3)
        [product, *_] = post(f"{address}/v1/search", {"text": "rye bread"})["products"]
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)

    assert first["building"]["number"] == 1
    assert first["building"]["learning"] == ["pictures", "towers", "ranker"]
    assert last["building"]["holds"][-2:] == ["towers", "ranker"]
    assert "Rye Bread" in product["product"]["title"]
    assert process.returncode == 0, said
    assert f"release {last['release']} answers now" in said


def write_year(folder: Path) -> None:
    """Write the small shop as of the demo's moment, with two pictures of each product."""
    bought = purchases()
    times = pc.add(bought["time"], datetime.fromisoformat(plan.UNTIL) - UNTIL)
    place = bought.schema.get_field_index("time")
    with ShopWriter(folder, name="Corner shop", source="table", pictures="drawn") as writer:
        writer.add_products(products())
        writer.add_events(bought.set_column(place, "time", times))
        for number, picture in enumerate(draw(Label("tub", n % 40, f"{n}")) for n in range(96)):
            one = {"id": [f"p{number % 48}"], "image": [picture], "media_type": [MEDIA_TYPE]}
            writer.add_pictures(pa.table(one))


@contextmanager
def running_demo(folder: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Run `vetrina demo` on a free port until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "pipelines.cli.main", "demo"]
    command += ["--folder", str(folder), "--port", str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.kill()


def about(address: str, enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Ask what answers until it is enough."""
    end = time.monotonic() + 1_200
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{address}/v1/about", timeout=5) as answer:
                told: dict[str, Any] = json.load(answer)
        except OSError:
            told = {}
        if told and enough(told):
            return told
        time.sleep(0.5)
    raise AssertionError("the demo did not come so far in twenty minutes")


def post(address: str, body: dict[str, Any]) -> Any:
    content = json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(address, content, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
