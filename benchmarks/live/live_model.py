"""Compares an engine that follows changes with a plain dictionary, operation by operation.

    python -m benchmarks live_model --operations 50000

Upserts, deletes, edits, filters, searches by meaning and by words, reopenings, builds that fold the
changes in, switches to one of the last builds, and kills are drawn by a seed over a small catalogue
in memory. The dictionary holds what should be there, and its vectors are compared exactly; any
difference stops the run with the number of the operation. A kill ends a process that holds the log
while a change is on its way: each change that nobody acknowledged may be there or not, but whole
and in its turn.
"""

import argparse
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
import pyarrow as pa
import xxhash

from benchmarks.live.live_kills import forked
from benchmarks.machine import run_benchmark
from index import Columns, FaissIndex, LexicalIndex
from pipelines.live.base import Base
from pipelines.live.catch_up import FOLDED, follow
from pipelines.live.change_log import identity, open_change_log
from pipelines.live.changes import Change, Delete, Edit, RejectedChange, Upsert
from pipelines.live.folded_shop import LoggedChanges
from pipelines.live.overlay import Overlay
from pipelines.live.records import batch_of
from pipelines.live.snapshot import CatalogueSnapshot
from pipelines.release.manifest import Manifest
from pipelines.release.parts import Parts
from pipelines.shop.product_text import text_of
from retrieval import Availability, Product
from retrieval.channels.lexical import LexicalChannel
from retrieval.channels.semantic import SemanticChannel
from retrieval.encoded_query import EncodedQuery
from retrieval.encoders.query import QueryEncoder
from retrieval.retriever import Retriever

FIELDS = {"title": 2.0, "brand": 1.0}
DIM = 8
NAMES = 60  # ids that are drawn, of which BUILT are in the release at first
BUILT = 40
WORDS = ("oat", "rye", "milk", "bread", "soup", "green", "dark", "tea", "plum", "sour")
BRANDS = ("North", "South", "East")
KEPT = 3  # builds that can be switched to
BATCHES = 30  # of changes, that a process to be killed may make
FILTERS = (
    ("price < 3", lambda p: p.price is not None and p.price < 3),
    ('brand: ANY("North")', lambda p: p.brand == "North"),
    ('NOT tags: ANY("new")', lambda p: "new" not in p.tags),
    (
        'availability: ANY("OUT_OF_STOCK") OR price >= 5',
        lambda p: p.availability == "OUT_OF_STOCK" or (p.price is not None and p.price >= 5),
    ),
    ('attributes.colour: ANY("red")', lambda p: p.attributes.get("colour") == "red"),
)


class Hashing:
    """A text encoder of two lines: a vector drawn by the text."""

    fingerprint = "hashing"
    dim = DIM

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return a unit vector a text."""
        seeds = [xxhash.xxh3_64_intdigest(text.encode()) for text in texts]
        drawn = np.stack([np.random.default_rng(seed).normal(size=DIM) for seed in seeds])
        return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Return 0: it knows every word."""
        return 0.0 * len(texts)


ENCODER = Hashing()


def built(products: Sequence[Product], folder: Path) -> tuple[Base, Retriever]:
    """Return what a release of these products would be."""
    records = [record_of(product) for product in products]
    vectors = ENCODER.encode([one["title"] for one in records])
    words = [{field: text_of(one, (field,)) for field in FIELDS} for one in records]
    lexical = LexicalIndex.build(folder, FIELDS, words)
    index = FaissIndex.build(vectors)
    parts = SimpleNamespace(
        products=Columns(pa.Table.from_batches([batch_of(records)])),
        joined_vectors=vectors,
        joined_index=index,
        picture_vectors=None,
        lexical=lexical,
        catalogue=SimpleNamespace(prices=np.array([p.price or 0.0 for p in products], np.float32)),
    )
    encoder = QueryEncoder(cast(Any, ENCODER), None, 0.0)
    base = Base(cast(Parts, parts), encoder, ENCODER.fingerprint, ("title",))
    channels = [SemanticChannel(index, vectors), LexicalChannel(lexical)]
    return base, Retriever(channels, [], per_channel=NAMES, rrf_k=60.0)


class Build(NamedTuple):
    """A release, and how far its log is in it."""

    base: Base
    retriever: Retriever
    shop: dict[str, Any]  # as a manifest has it


class World:
    """An engine's live part, and beside it the dictionary that it is compared with."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.folder = folder
        self.random = np.random.default_rng(seed)
        self.model: dict[str, Product] = {}
        self.builds: list[Build] = []
        self.numbered = 0
        self.done: Counter[str] = Counter()
        for number in range(BUILT):
            self.model[f"p{number}"] = self.product(f"p{number}")
        self.first = list(self.model.values())
        open_change_log(folder / "log").close()
        self._build(self.first, 0)
        self.now = self.builds[0]
        self._follow()

    def product(self, name: str) -> Product:
        """Draw a product."""
        pick = self.random.choice
        return Product(
            id=name,
            title=" ".join(pick(WORDS, int(self.random.integers(1, 4)))),
            brand=str(pick(BRANDS)),
            price=None if self.random.random() < 0.2 else float(self.random.integers(1, 8)),
            tags=("new",) if self.random.random() < 0.3 else (),
            attributes={"colour": "red"} if self.random.random() < 0.3 else {},
        )

    def name(self) -> str:
        """Draw an id, in use or not."""
        return f"p{self.random.integers(NAMES)}"

    def upsert(self) -> None:
        """Put a product, in every fourth case the one that is there."""
        name = self.name()
        same = name in self.model and self.random.random() < 0.25
        product = self.model[name] if same else self.product(name)
        self.change([Upsert(product=product)])

    def delete(self) -> None:
        """Delete a product that may not be there."""
        self.change([Delete(id=self.name())])

    def edit(self) -> None:
        """Edit a product that may not be there."""
        self.change([self._edit()])

    def bulk(self) -> None:
        """Make a few changes at once, often of one product."""
        self.change(self._several())

    def change(self, changes: Sequence[Change]) -> None:
        """Make changes in both, and compare what became of each."""
        expected = [self._expect(change) for change in changes]
        outcomes = self.log.append(changes)
        found = [not isinstance(outcome, RejectedChange) for outcome in outcomes]
        _same(found, expected, "which changes were taken")

    def filter(self) -> None:
        """Compare who passes a filter."""
        self.filter_by(int(self.random.integers(len(FILTERS))))

    def filter_by(self, place: int) -> None:
        """Do so for one of FILTERS."""
        text, passes = FILTERS[place]
        view = self.view()
        found = sorted(view.ids_of(np.flatnonzero(view.allowed(text))))
        _same(found, sorted(n for n, p in self.model.items() if passes(p)), text)

    def search(self) -> None:
        """Compare the order by meaning, exactly, and who is found by words."""
        self.search_for(" ".join(self.random.choice(WORDS, 2)))

    def search_for(self, text: str) -> None:
        """Do so for one text."""
        view = self.view()
        [vector] = ENCODER.encode([text])
        allowed = view.allowed("")
        ask = EncodedQuery(text=text, joined_vector=vector, allowed=allowed)
        hits = view.over(self.now.retriever).proposals(ask, NAMES)
        names = list(self.model)
        scores = ENCODER.encode([self.model[n].title for n in names]) @ vector if names else []
        exact = dict(zip(names, scores, strict=True))
        found = view.ids_of(hits["semantic"].rows)
        _same(sorted(found), sorted(names), "who is found by meaning")
        if not np.allclose([exact[n] for n in found], hits["semantic"].scores, atol=1e-5):
            raise AssertionError("scores by meaning differ from those of exact search")
        if (np.diff(hits["semantic"].scores) > 0).any():
            raise AssertionError("the order by meaning is not that of the scores")
        words = set(text.split())
        sharing = sorted(n for n, p in self.model.items() if words & set(p.title.split()))
        _same(sorted(view.ids_of(hits["lexical"].rows)), sharing, f"who shares words with {text!r}")

    def look_up(self) -> None:
        """Compare every product whole."""
        view = self.view()
        found = view.rows_of([f"p{number}" for number in range(NAMES)])
        _same(NAMES - len(found.missing), len(self.model), "how many there are")
        records = view.records(found.rows)
        _same({r["id"]: told(r) for r in records}, self._expected(), "what they are")
        _same(view.num_products, len(self.model), "how many are counted")

    def reopen(self) -> None:
        """Forget what is in memory, and read the log again."""
        self.log.close()
        self._follow()

    def fold(self) -> None:
        """Build from the first products with the log on top; nobody switches to it yet."""
        sequence = self.log.last
        outlook = LoggedChanges(logged.change for logged in self.log.replay(upto=sequence))
        kept = [now for one in map(record_of, self.first) if (now := outlook.of(one)) is not None]
        known = {one.id for one in self.first}
        kept += [one for name, one in outlook.whole.items() if name not in known]
        if kept:
            self._build([_product(one) for one in kept], sequence)

    def switch(self) -> None:
        """Go on with the newest build, or go back to one before."""
        back = self.random.random() < 0.3
        self.now = self.builds[int(self.random.integers(len(self.builds))) if back else -1]
        self.reopen()

    def kill(self) -> None:
        """Kill a process that holds the log in the middle of a change, and go on without it."""
        batches = [self._several() for _ in range(BATCHES)]
        number = int(self.random.integers(BATCHES))
        self.log.close()
        said = self._killed(batches, number, float(self.random.uniform(0, 0.004)))
        _same(said, sorted(said), "the order of what was acknowledged")
        self._catch_up(batches, len(said))
        self._follow()

    def view(self) -> CatalogueSnapshot:
        """Return the engine's side as it is now."""
        return self.overlay.snapshot()

    def close(self) -> None:
        """Close the log."""
        self.log.close()

    def step(self) -> None:
        """Do one operation, drawn by the seed."""
        names = list(OPERATIONS)
        chances = np.array(list(OPERATIONS.values()))
        name = str(self.random.choice(names, p=chances / chances.sum()))
        getattr(self, name)()
        self.done[name] += 1

    def _several(self) -> list[Change]:
        draws = (
            lambda: Upsert(product=self.product(self.name())),
            lambda: Delete(id=self.name()),
            self._edit,
        )
        return [draws[self.random.integers(3)]() for _ in range(self.random.integers(2, 9))]

    def _killed(self, batches: Sequence[Sequence[Change]], after: int, seconds: float) -> list[int]:
        """Let a child make these changes, kill it after so many; return what it acknowledged.

        After none: while it opens the log.
        """
        reading, writing = os.pipe()
        child = forked(lambda: self._make_all(batches, writing))
        os.close(writing)
        with os.fdopen(reading, "rb", buffering=0) as pipe:
            said = b""
            while len(said) < after and (more := pipe.read(1)):
                said += more
            time.sleep(seconds * (1 if after else 10))
            os.kill(child, signal.SIGKILL)
            said += pipe.read()
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            raise AssertionError("the process ended by itself; its message is above")
        return list(said)

    def _make_all(self, batches: Sequence[Sequence[Change]], pipe: int) -> None:
        self._follow()
        for number, batch in enumerate(batches):
            self.log.append(batch)
            os.write(pipe, bytes([number]))
        signal.pause()

    def _catch_up(self, batches: Sequence[Sequence[Change]], acknowledged: int) -> None:
        """Bring the dictionary to where the log is: behind what was acknowledged, in order."""
        logged = [one.change for one in self.log.replay(after=self.log.last)]
        place = 0
        for number, batch in enumerate(batches):
            for change in batch:
                if place == len(logged) and number >= acknowledged:
                    return
                if self._expect(change):
                    found = logged[place] if place < len(logged) else None
                    _same(found, change, f"change {place} of a killed process in the log")
                    place += 1

    def _edit(self) -> Edit:
        name, price = self.name(), float(self.random.integers(1, 8))
        if self.random.random() < 0.5:
            return Edit(id=name, price=None if price == 1 else price)
        return Edit(
            id=name,
            price=price,
            availability=Availability(str(self.random.choice(list(Availability)))),
        )

    def _expect(self, change: Change) -> bool:
        if isinstance(change, Upsert):
            self.model[change.id] = change.product
        elif change.id not in self.model:
            return False
        elif isinstance(change, Delete):
            del self.model[change.id]
        else:
            self.model[change.id] = _edited(self.model[change.id], change)
        return True

    def _expected(self) -> dict[str, Any]:
        return {name: told(record_of(product)) for name, product in self.model.items()}

    def _build(self, products: list[Product], sequence: int) -> None:
        self.numbered += 1
        base, retriever = built(products, self.folder / f"words-{self.numbered}")
        folded = {"log": identity(self.folder / "log")[0], "sequence": sequence}
        self.builds = [*self.builds, Build(base, retriever, {FOLDED: folded})][-KEPT:]

    def _follow(self) -> None:
        self.overlay = Overlay(self.now.base)
        manifest = cast(Manifest, SimpleNamespace(shop=self.now.shop))
        self.log = follow(self.folder / "log", self.overlay, manifest)


OPERATIONS = {
    "upsert": 25, "delete": 12, "edit": 18, "bulk": 5, "filter": 15, "search": 15, "look_up": 8,
    "reopen": 0.1, "fold": 0.2, "switch": 0.2, "kill": 0.2,
}  # fmt: skip


def record_of(product: Product) -> dict[str, Any]:
    """Return a product as a dictionary."""
    record: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(product))
    return record


def _product(record: dict[str, Any]) -> Product:
    return msgspec.convert(record, Product)


def _edited(product: Product, edit: Edit) -> Product:
    values = {"price": edit.price, "availability": edit.availability}
    given = {name: value for name, value in values.items() if value is not msgspec.UNSET}
    return msgspec.structs.replace(product, **given)


def told(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without what is empty, which columns and records say in different ways."""
    return {name: value for name, value in record.items() if value not in (None, "", [], {})}


def _same(found: Any, expected: Any, what: str) -> None:
    if found != expected:
        raise AssertionError(f"{what}: found {found}, expected {expected}")


def main() -> None:
    """Run so many operations, and say how many of each there were."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        world = World(Path(folder), options.seed)
        for number in range(1, options.operations + 1):
            try:
                world.step()
            except Exception as e:
                raise SystemExit(f"operation {number} of seed {options.seed}: {e}") from e
        world.close()
    told = ", ".join(f"{count:,} {name}" for name, count in world.done.most_common())
    sys.stdout.write(f"{options.operations:,} operations without a difference: {told}\n")


if __name__ == "__main__":
    run_benchmark(main)
