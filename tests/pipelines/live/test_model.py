"""The live part against a plain dictionary, over operations that hypothesis draws and shrinks."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.strategies import booleans, floats, integers, lists, none, one_of, sampled_from

from benchmarks.live.live_model import BRANDS, FILTERS, OPERATIONS, WORDS, World
from pipelines.live.changes import Delete, Edit, Upsert
from retrieval import Availability, Product

names = integers(0, 59).map("p{}".format)
few_names = integers(36, 43).map("p{}".format)  # some are built, some are new; all come often
prices = one_of(none(), floats(0, 9, width=16))
titles = lists(sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)


class LiveMachine(RuleBasedStateMachine):
    """Changes, questions and reopenings in any order."""

    @initialize(seed=integers(0, 3))
    def build(self, seed: int) -> None:
        self.folder = Path(mkdtemp())
        self.world = World(self.folder, seed)

    @rule(name=few_names, title=titles, price=prices, brand=sampled_from(BRANDS), new=booleans())
    def upsert(self, name: str, title: str, price: float | None, brand: str, new: bool) -> None:  # noqa: FBT001
        tags = ("new",) if new else ()
        product = Product(id=name, title=title, price=price, brand=brand, tags=tags)
        self.world.change([Upsert(product=product)])

    @rule(name=few_names)
    def put_the_same_again(self, name: str) -> None:
        if name in self.world.model:
            self.world.change([Upsert(product=self.world.model[name])])

    @rule(gone=lists(few_names, min_size=1, max_size=3))
    def delete(self, gone: list[str]) -> None:
        self.world.change([Delete(id=name) for name in gone])

    @rule(name=few_names, price=prices, availability=sampled_from(Availability))
    def edit(self, name: str, price: float | None, availability: Availability) -> None:
        self.world.change([Edit(id=name, price=price), Edit(id=name, availability=availability)])

    @rule()
    def filter(self) -> None:
        for place in range(len(FILTERS)):
            self.world.filter_by(place)

    @rule(text=titles)
    def search(self, text: str) -> None:
        self.world.search_for(text)

    @rule()
    def reopen(self) -> None:
        self.world.reopen()

    @rule()
    def fold(self) -> None:
        self.world.fold()

    @rule()
    def switch(self) -> None:
        self.world.switch()

    @rule()
    def kill(self) -> None:
        self.world.kill()

    @invariant()
    def every_product_is_as_it_should_be(self) -> None:
        self.world.look_up()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.close()
            shutil.rmtree(self.folder)


TestLiveMachine = LiveMachine.TestCase
TestLiveMachine.settings = settings(max_examples=8, stateful_step_count=20, deadline=None)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def test_three_hundred_operations_leave_no_difference(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.live.overlay.SLACK", 20)  # replaced things are left behind often
    for name in ("reopen", "fold", "switch", "kill"):
        monkeypatch.setitem(OPERATIONS, name, 3)

    for _ in range(300):
        world.step()

    assert world.done.keys() == OPERATIONS.keys()
