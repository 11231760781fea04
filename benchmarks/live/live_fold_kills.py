"""Kills builds that fold changes in, and the server beside them, and compares what is left.

    python -m benchmarks live_fold_kills --kills 300

A small shop is built again and again with `--live`, while another process takes changes. Both are
killed: each phase of a build equally often, half of the time at a drawn moment of it, half before
a drawn step (a file that is opened, linked, renamed or removed, a database that is opened). After
each kill the release that CURRENT names is opened: its own products must be what the log held up
to the number in its manifest, and with the log on top every product what was acknowledged last.
Texts become vectors by hashing, so that a build takes a second; nothing else is replaced.
"""

import argparse
import os
import random
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

import pipelines.building.build as building
from benchmarks.live.live_kills import forked
from benchmarks.live.live_model import ENCODER, record_of, told
from benchmarks.machine import run_benchmark
from pipelines.config.loading import load
from pipelines.config.sections import Config
from pipelines.encoding import encoders, release_encoders
from pipelines.engine.engine import Engine
from pipelines.live.catch_up import folded_upto
from pipelines.live.change_log import Outcome, identity, open_change_log, replay
from pipelines.live.changes import Change, Delete, Edit, RejectedChange, Upsert
from pipelines.live.records import batch_of
from pipelines.progress import silent
from pipelines.release.store import Draft, current, names, open_release, prune, rollback
from pipelines.release.verdict import UnfitDraft
from pipelines.shop.writer import ShopWriter
from retrieval import Product, Query, Scene, Stage
from retrieval.context_facts import facts_of

WRITERS = 2
SLOTS = 12  # products of each writer, of which every other one is in the shop
LASTS = 5  # one change in so many makes a product that stays as it is
OTHERS = 16  # products that nobody changes
MOST_LINES = 5  # of one bulk
SEARCHED = 30  # of the newest products, after each kill
PAUSE_SECONDS = 0.01  # of a writer, between bulks
WORDS = 30  # of a description, so that changes fill pages
KILLS_A_SHOP = 60  # then another shop, with a log that is short again
PATIENCE_SECONDS = 120
DARK = 3  # how a build ends that the gate keeps dark

WAYS = ("moment", "step")
PHASES = ("fold-in", "draft", "seal", "judge", "publish", "prune")
BEGINS = (  # with what a phase does
    (building, "open_shop", "fold-in"),
    (building, "make", "draft"),
    (Draft, "seal", "seal"),
    (building, "check", "judge"),
    (Draft, "publish", "publish"),
    (Draft, "keep", "publish"),
    (building, "prune", "prune"),
)
STEPS = {
    "open", "sqlite3.connect", "os.link", "os.mkdir", "os.rename", "os.remove", "os.rmdir",
}  # fmt: skip
SETTINGS = [
    "ranking.train=false",
    "encoders.text.runtime=torch",
    "retrieval.fusion=position",  # vectors are hashes here: no cosine tells what fits
    "gate.queries=4",
    "gate.least_ndcg=0",  # of chance, in so small a shop
    "gate.most_latency=1000",
    "gate.timed=1",
    "gate.kept_dark=1",
]


def change(writer: int, number: int) -> Change:
    """Return what a writer changes as its `number`th: put, edit, put again, delete, in turns.

    Every so often it is a product that nothing changes later: had it been passed over once, it
    would be missing for good.
    """
    if number % LASTS == LASTS - 1:
        return Upsert(product=_product(f"w{writer}-n{number}", f"w{writer}n{number}x", 1.5))
    place = number - number // LASTS  # among the others
    name, turn = f"w{writer}-{place % SLOTS}", place // SLOTS % 4
    if turn == 1:
        return Edit(id=name, price=float(number))
    if turn == 3:
        return Delete(id=name)
    return Upsert(product=_product(name, f"w{writer}n{number}x", float(number)))


def built() -> dict[str, Product]:
    """Return what the shop holds before any change."""
    ours = [f"w{w}-{slot}" for w in range(WRITERS) for slot in range(0, SLOTS, 2)]
    others = [f"s{number}" for number in range(OTHERS)]
    return {name: _product(name, f"{name.replace('-', 'b')}x", 2.5) for name in others + ours}


def changed(counts: Sequence[int]) -> dict[str, Product]:
    """Return every product after so many changes of each writer."""
    products = built()
    for writer, count in enumerate(counts):
        for number in range(count):
            _make(products, change(writer, number))
    return products


def _make(products: dict[str, Product], one: Change) -> None:
    if isinstance(one, Upsert):
        products[one.id] = one.product
    elif isinstance(one, Delete):
        products.pop(one.id, None)
    elif one.id in products:
        assert not isinstance(one.price, msgspec.UnsetType)
        products[one.id] = msgspec.structs.replace(products[one.id], price=one.price)


def _product(name: str, word: str, price: float) -> Product:
    return Product(
        id=name,
        title=f"{word} bread",
        description=" ".join([word] * WORDS),
        brand="North",
        price=price,
        attributes={"word": word},
    )


def write_shop(folder: Path) -> None:
    """Write the shop, with a few purchases of what nobody changes."""
    purchases = range(64)
    seconds = [1_700_000_000 + 86_400 * number for number in purchases]
    with ShopWriter(folder, name="Killed shop", source="table", pictures="none") as writer:
        writer.add_products(pa.Table.from_batches([batch_of(map(record_of, built().values()))]))
        writer.add_events(
            pa.table(
                {
                    "type": ["purchase" for _ in purchases],
                    "user": [f"u{number % 8}" for number in purchases],
                    "session": [f"b{number // 2}" for number in purchases],
                    "time": pa.array(seconds, pa.timestamp("s")),
                    "product": [f"s{number % OTHERS}" for number in purchases],
                }
            )
        )


class Place:
    """Where a shop, its releases and its log are, and what was acknowledged."""

    def __init__(self, folder: Path) -> None:
        self.shop = folder / "shop"
        self.releases = folder / "releases"
        self.live = folder / "live"
        self._said = folder / "acknowledged"  # lines of a killed process stay

    def acknowledge(self, writer: int, count: int) -> None:
        """Note that so many changes of a writer were acknowledged, in one step."""
        handle = os.open(self._said, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{writer} {count}\n".encode())
        os.close(handle)

    def acknowledged(self) -> list[int]:
        """Return how many changes of each writer were acknowledged so far."""
        counts = [0] * WRITERS
        said = self._said.read_text() if self._said.exists() else ""
        for line in said.splitlines(keepends=True):
            if line.endswith("\n"):
                writer, count = map(int, line.split())
                counts[writer] += count
        return counts

    def logged(self, upto: int | None = None) -> list[int]:
        """Return how many changes of each writer the log holds, each whole and in its order."""
        counts = [0] * WRITERS
        for place, one in enumerate(replay(self.live, upto=upto), start=1):
            writer = int(one.change.id[1 : one.change.id.index("-")])
            _sure(one.sequence == place, f"change {place} is missing in the log")
            _sure(one.change == change(writer, counts[writer]), f"change {place} is not whole")
            counts[writer] += 1
        return counts


def serve(place: Place, begins: Sequence[int], through: str) -> None:
    """Take changes from several threads until killed, through an engine or the log alone."""
    engine = Engine.open(place.releases, live=place.live) if through == "engine" else None
    log = open_change_log(place.live) if engine is None else None

    def taken(changes: Sequence[Change]) -> Sequence[Outcome]:
        return engine.change(changes).result() if engine else log.append(changes)  # type: ignore[union-attr]

    threads = [
        Thread(target=_write, args=[place, writer, begin, taken], daemon=True)
        for writer, begin in enumerate(begins)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _write(
    place: Place, writer: int, number: int, taken: Callable[[Sequence[Change]], Sequence[Outcome]]
) -> None:
    random_ = random.Random(f"{writer} {number}")
    while True:
        count = random_.randint(1, MOST_LINES)
        outcomes = taken([change(writer, number + i) for i in range(count)])
        if refused := [one for one in outcomes if isinstance(one, RejectedChange)]:
            sys.stderr.write(f"refused: {refused[0]}\n")
            os._exit(1)  # what it is about should be there
        place.acknowledge(writer, count)
        number += count
        time.sleep(PAUSE_SECONDS)


class Steps:
    """Tells through a pipe which phase a build is in, and kills it before a step of one."""

    def __init__(self, pipe: int, ends: tuple[str, int] | None) -> None:
        self._pipe = pipe
        self._ends = ends
        self._phase = ""
        self._count = 0

    def enter(self, phase: str) -> None:
        """Begin a phase; say which, and how many steps the one before had."""
        if phase != self._phase:
            os.write(self._pipe, f"{phase} {self._count}\n".encode())
            self._phase, self._count = phase, 0

    def take(self, event: str, _: object) -> None:
        """Take note of what the interpreter is about to do."""
        if event in STEPS and self._phase:
            self._count += 1
            if (self._phase, self._count) == self._ends:
                os.kill(os.getpid(), signal.SIGKILL)


def build_once(place: Place, config: Config, pipe: int, ends: tuple[str, int] | None = None) -> int:
    """Fold what the log holds into a release, and say so phase by phase; return an exit code."""
    steps = Steps(pipe, ends)
    for owner, name, phase in BEGINS:
        setattr(owner, name, _entering(steps, phase, getattr(owner, name)))
    sys.addaudithook(steps.take)
    try:
        building.build(place.shop, place.releases, config, None, silent, place.live)
    except UnfitDraft:
        return DARK
    finally:
        steps.enter("end")
    return 0


def _entering(steps: Steps, phase: str, work: Callable[..., Any]) -> Callable[..., Any]:
    def entered(*given: Any, **named: Any) -> Any:
        steps.enter(phase)
        return work(*given, **named)

    return entered


def compare(place: Place, written: Sequence[int] | None) -> None:
    """Open what CURRENT names; AssertionError where it, or it with the log on top, is wrong.

    Without `written` a server holds the log, and only the release itself is compared.
    """
    live = None if written is None else place.live
    engine = Engine.open(place.releases, live=live)
    release = open_release(place.releases)
    folded = folded_upto(release.manifest.shop, identity(place.live)[0])
    products = engine.probe.parts.products
    kept = products.records(np.arange(products.size))
    _same(kept, changed(place.logged(folded)), "of the release")
    if written is None:
        return
    view, expected = engine._overlay.snapshot(), changed(written)
    found = view.rows_of(
        [*expected, *(change(w, n).id for w in range(WRITERS) for n in range(SLOTS))]
    )
    _same(view.records(np.unique(found.rows)), expected, "of the release and the log")
    _sure(view.num_products == len(expected), "the number of products is wrong")
    _search(engine, expected)
    engine.close()


def _search(engine: Engine, expected: dict[str, Product]) -> None:
    """Ask for the newest products by the word that only each of them has."""
    for name, product in list(expected.items())[-SEARCHED:]:
        asked = Query(text=product.attributes["word"], k=3, deadline_ms=PATIENCE_SECONDS * 1_000)
        slate = engine.answer(asked, Stage.RETRIEVAL)
        found = [one.product for one in slate.products]  # by its hash another may come first
        _sure(product in found, f"{name} is not what its word finds: {found}")


def _same(records: Sequence[dict[str, Any]], expected: dict[str, Product], what: str) -> None:
    found = {one["id"]: told(one) for one in records}
    _sure(len(found) == len(records), f"a product {what} is there twice")
    wanted = {name: told(record_of(product)) for name, product in expected.items()}
    for name in sorted(found.keys() | wanted.keys()):
        here, there = found.get(name), wanted.get(name)
        _sure(here == there, f"{name} {what} is {here}, expected {there}")


def _sure(fact: bool, message: str) -> None:  # noqa: FBT001
    if not fact:
        raise AssertionError(message)


class Trial:
    """One shop whose builds and servers are killed."""

    def __init__(self, folder: Path, seed: str) -> None:
        self.place = Place(folder)
        self.random = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.kills: Counter[tuple[str, str]] = Counter()
        self._server = 0
        self._usual: dict[str, float] = defaultdict(lambda: 0.1)  # seconds of each phase
        self._steps: dict[str, int] = defaultdict(lambda: 1)
        self._config = load(None, SETTINGS)
        self._dark = load(None, [*SETTINGS, "gate.most_latency=0.000001"])
        write_shop(self.place.shop)
        open_change_log(self.place.live).close()
        self.whole_build()

    def kill_once(self, phase: str, way: str) -> None:
        """Kill a build in this phase, mostly with the server, and compare what is left."""
        self._serve()
        if self.random.random() < 0.5:
            self._wait_for_a_change()
        reached = self._kill_build(phase, way)
        if not reached:
            return self.kill_once(phase, way)
        self.kills[reached, way] += 1
        if self.random.random() < 0.7:
            self._kill_server()
            if self.random.random() < 0.3:
                self._kill_recovery()
        return self.compare()

    def whole_build(self, *, dark: bool = False) -> None:
        """Let a build end, and see that it folded all that was acknowledged when it began."""
        before = sum(self.place.acknowledged())
        live = current(self.place.releases) if self.done["whole builds"] else ""
        config = self._dark if dark else self._config
        status, _ = self._build(config, lambda _, __: None)
        _sure(status in (0, DARK), "a build failed; its message is above")
        shop = open_release(self.place.releases, names(self.place.releases)[0]).manifest.shop
        folded = folded_upto(shop, identity(self.place.live)[0])
        _sure(folded >= before, f"a build folded {folded} changes of {before}")
        _sure(status == 0 or current(self.place.releases) == live, "a dark draft is served")
        self.done["dark builds" if status else "whole builds"] += 1
        self.compare()

    def go_back(self) -> None:
        """Serve an older release, which has folded less."""
        older = [n for n in names(self.place.releases) if n < current(self.place.releases)]
        if older:
            rollback(self.place.releases)
            self.done["rollbacks"] += 1
            self.compare()
            prune(self.place.releases, keep=3, keep_dark=1)

    def compare(self) -> None:
        """Compare everything with what was acknowledged."""
        acknowledged, written = self.place.acknowledged(), None
        if not self._server:
            written = self.place.logged()
            for said, kept in zip(acknowledged, written, strict=True):
                _sure(said <= kept <= said + MOST_LINES, f"{said} acknowledged, {kept} kept")
            self._settle(written)
        status = _ended(forked(lambda: compare(self.place, written)))
        _sure(status == 0, "what is left is not what was acknowledged; the message is above")
        self.done["comparisons"] += 1

    def close(self) -> None:
        """Kill what is left, and compare for the last time."""
        if self._server:
            self._kill_server()
        self.compare()

    def _serve(self) -> None:
        """Let a process take changes, unless one does."""
        if self._server:
            return
        begins, through = self.place.logged(), self.random.choice(("engine", "log"))
        self._server = forked(lambda: serve(self.place, begins, through))
        self.done["servers"] += 1

    def _wait_for_a_change(self) -> None:
        before, since = self.place.acknowledged(), time.monotonic()
        while self.place.acknowledged() == before:
            _sure(time.monotonic() < since + PATIENCE_SECONDS, "the server takes no changes")
            ended, _ = os.waitpid(self._server, os.WNOHANG)
            _sure(not ended, "the server ended by itself; its message is above")
            time.sleep(0.005)

    def _kill_server(self) -> None:
        _kill(self._server)
        self._server = 0
        self.done["servers killed"] += 1

    def _kill_recovery(self) -> None:
        """Kill what opens the release and the log."""
        recovery = forked(lambda: recover(self.place))
        time.sleep(self.random.uniform(0, self._usual["recovery"]))
        _kill(recovery)
        self.done["recoveries killed"] += 1

    def _kill_build(self, phase: str, way: str) -> str:
        """Return the phase in which a build was killed; nothing where it ended before that."""
        ends = (phase, self.random.randint(1, self._steps[phase])) if way == "step" else None

        def at(child: int, begun: str) -> None:
            if way == "moment" and begun == phase:
                time.sleep(self.random.uniform(0, self._usual[phase]))
                os.kill(child, signal.SIGKILL)

        status, reached = self._build(self._config, at, ends)
        _sure(status in (0, DARK, -signal.SIGKILL), "a build failed; its message is above")
        return "" if status >= 0 or reached == "end" else reached

    def _build(
        self,
        config: Config,
        at: Callable[[int, str], None],
        ends: tuple[str, int] | None = None,
    ) -> tuple[int, str]:
        """Build in a child; return how it ended, and the phase that it reached."""
        reading, writing = os.pipe()
        child = forked(lambda: build_once(self.place, config, writing, ends))
        os.close(writing)
        phase, since = "", time.monotonic()
        with os.fdopen(reading) as lines:
            for line in lines:
                begun, steps = line.split()
                self._usual[phase] = time.monotonic() - since
                self._steps[phase] = int(steps)
                phase, since = begun, time.monotonic()
                at(child, begun)
        return _ended(child), phase

    def _settle(self, written: Sequence[int]) -> None:
        """Expect from now on what was written and not acknowledged, having been found whole."""
        for writer, (said, kept) in enumerate(zip(self.place.acknowledged(), written, strict=True)):
            if kept > said:
                self.place.acknowledge(writer, kept - said)
                self.done["changes kept unacknowledged"] += kept - said


def recover(place: Place) -> None:
    """Open what a kill left, as a server that starts again does, and again."""
    while True:
        Engine.open(place.releases, live=place.live).close()


def _kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)
    _sure(_ended(process) == -signal.SIGKILL, "a process ended by itself; its message is above")


def _ended(process: int) -> int:
    """Return the exit code of a process, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def kill_often(kills: int, seed: int) -> tuple[Counter[tuple[str, str]], Counter[str]]:
    """Return how many builds were killed by phase and way, and what else was done."""
    killed: Counter[tuple[str, str]] = Counter()
    done: Counter[str] = Counter()
    for start in range(0, kills, KILLS_A_SHOP):
        with TemporaryDirectory() as folder:
            trial = Trial(Path(folder), f"{seed} {start}")
            for number in range(min(KILLS_A_SHOP, kills - start)):
                trial.kill_once(PHASES[number % len(PHASES)], WAYS[number // len(PHASES) % 2])
                if number % 8 == 7:
                    trial.whole_build(dark=number % 16 == 15)
                if number % 16 == 11:
                    trial.go_back()
            trial.close()
            killed += trial.kills
            done += trial.done
            done["changes acknowledged"] += sum(trial.place.acknowledged())
    return killed, done


def main() -> None:
    """Kill, compare, and say how many kills fell where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for module in (encoders, release_encoders):
        module.open_text = lambda _: ENCODER  # type: ignore[assignment]
    facts_of(0, {}, Scene())  # reads the holidays of all countries, which no child has to then
    killed, done = kill_often(options.kills, options.seed)
    for phase in PHASES:
        told = ", ".join(f"{killed[phase, way]} at a drawn {way}" for way in WAYS)
        sys.stdout.write(f"{phase:8} {told}\n")
    others = ", ".join(f"{count:,} {what}" for what, count in sorted(done.items()))
    sys.stdout.write(
        f"{others}\n{sum(killed.values())} builds killed: none lost, none half-applied\n"
    )


if __name__ == "__main__":
    run_benchmark(main)
