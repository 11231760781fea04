import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float32, Int64

from retrieval.behaviour.purchases import History
from retrieval.encoded_query import EncodedQuery
from retrieval.towers.columns import PastColumns, ProductBatch, TowerColumns, one_each, take
from retrieval.towers.losses import LOSSES
from retrieval.towers.model import (
    Spaces,
    Towers,
    embed_products,
    interests,
    start,
)
from retrieval.towers.query import QueryBatch
from retrieval.towers.sampling import PastRequests
from retrieval.towers.settings import TowerTrainingSettings
from retrieval.towers.shape import TowerShape, UnknownTowers
from retrieval.towers.training import train
from tests.assertions import each

GROUPS, SIZE, DIM = 4, 6, 16
PRODUCTS = GROUPS * SIZE
QUICK = TowerTrainingSettings(
    epochs=8, batch_size=32, learning_rate=1e-2, dims=(16, 8), patience=0, precision="float32"
)


class Fans:
    """Each shopper buys from one group of products, which says nothing in the untrained space."""

    def __init__(self, size: int = 512) -> None:
        random = np.random.default_rng(5)
        self.size = size
        self.group = random.integers(GROUPS, size=size)
        self.bought = self.group[:, None] + GROUPS * random.integers(SIZE, size=(size, 2))
        self.recent = self.group[:, None] + GROUPS * random.integers(SIZE, size=(size, 3))
        counts = np.bincount(self.bought.ravel(), minlength=PRODUCTS)
        self.shares = (counts / counts.sum()).astype(np.float32)

    def take(self, numbers: Int64[np.ndarray, "b"], random: np.random.Generator) -> PastRequests:
        recent = torch.from_numpy(self.recent[numbers])
        nobody = torch.zeros(len(numbers), 1)
        queries = QueryBatch(
            text=torch.zeros(len(numbers), DIM),
            picture=nobody,
            marked=torch.zeros((len(numbers), 0), dtype=torch.int64),
            marks=torch.zeros(len(numbers), 0),
            recent=recent,
            recent_facts=torch.zeros(*recent.shape, 2),
            facts=torch.zeros((len(numbers), 1), dtype=torch.int64),
        )
        right = self.bought[numbers]
        return PastRequests(
            queries, right.ravel(), partial(_holds, right), partial(_nothing, right)
        )

    def measure(self, towers: Towers, vectors: Float32[np.ndarray, "n d"]) -> float:
        """Return the share of the first six products that are of the shopper's group."""
        queries = self.take(np.arange(64), np.random.default_rng(0)).queries
        with torch.no_grad():
            found, meant = towers.query(queries, torch.from_numpy(vectors))
        scores = (found @ torch.from_numpy(vectors).T).masked_fill(~meant[..., None], -1).amax(1)
        first = scores.argsort(dim=1, descending=True)[:, :SIZE].numpy()
        return float((first % GROUPS == self.group[:64, None]).mean())


def _holds(
    right: Int64[np.ndarray, "b p"], rows: Int64[np.ndarray, "c"]
) -> Bool[np.ndarray, "b c"]:
    return (right[:, :, None] == rows).any(axis=1)


def _nothing(
    right: Int64[np.ndarray, "b p"], rows: Int64[np.ndarray, "c"]
) -> Bool[np.ndarray, "b c"]:
    return np.zeros((len(right), len(rows)), bool)


def columns() -> TowerColumns:
    vectors = np.random.default_rng(3).normal(size=(PRODUCTS, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return TowerColumns(
        dense={"title": one_each(vectors)},
        codes=np.zeros((PRODUCTS, 2), np.int64),
        own=np.arange(1, PRODUCTS + 1),
        price=np.full(PRODUCTS, np.nan, np.float32),
        popularity=np.zeros((PRODUCTS, 2), np.float32),
    )


def towers(**changes: object) -> Towers:
    torch.manual_seed(0)
    about = {
        "widths": {"title": DIM},
        "text_dim": DIM,
        "picture_dim": 0,
        "num_own": PRODUCTS,
        "num_popularity": 2,
        "dim": 16,
        "width": 16,
        "heads": 2,
        "interests": 2,
        "recent": 3,
    }
    made = Towers(TowerShape(**{**about, **changes}))  # type: ignore[arg-type]
    start(made, Spaces(columns().dense["title"].vectors, 0, 0.0))
    return made.eval()


def test_untrained_towers_compare_as_the_encoders_do() -> None:
    vectors = columns().dense["title"].vectors

    found = embed_products(towers(), columns())

    assert np.abs(found @ found.T - vectors @ vectors.T).max() < 0.1


@pytest.mark.parametrize("loss", LOSSES)
def test_towers_learn_who_buys_what(loss: str) -> None:
    fans = Fans()
    before = fans.measure(towers(), embed_products(towers(), columns()))

    settings = QUICK._replace(loss=loss, epochs=12)
    trained = train(towers(), columns(), fans, fans.measure, settings)

    assert before < 0.6
    assert trained.epochs[trained.best - 1].worth > 0.9


def test_towers_learn_in_halves() -> None:
    fans = Fans()

    whole, half = (
        train(towers(), columns(), fans, fans.measure, QUICK._replace(precision=precision))
        for precision in ("float32", "bfloat16")
    )

    assert half.epochs[half.best - 1].worth > 0.9
    assert half.vectors.dtype == np.float32
    assert not np.array_equal(half.vectors, whole.vectors)


def test_the_same_seed_gives_the_same_towers() -> None:
    fans = Fans()
    settings = QUICK._replace(epochs=1)

    first, second = (
        train(towers(), columns(), fans, fans.measure, settings).vectors for _ in range(2)
    )

    assert np.array_equal(first, second)


def test_the_best_epoch_is_kept_and_not_the_last() -> None:
    worths = iter([0.1, 0.9, 0.2, 0.3])
    seen: list[np.ndarray] = []

    def measure(towers: Towers, vectors: Float32[np.ndarray, "n d"]) -> float:
        seen.append(vectors.copy())
        return next(worths)

    trained = train(towers(), columns(), Fans(64), measure, QUICK._replace(epochs=4))

    assert trained.best == 2
    assert np.allclose(trained.vectors, seen[1], atol=1e-6)


def test_training_ends_after_epochs_without_a_gain() -> None:
    trained = train(
        towers(), columns(), Fans(64), lambda *_: 0.5, QUICK._replace(epochs=9, patience=2)
    )

    assert len(trained.epochs) == 3


class OfPeriods(Fans):
    """Requests whose periods see the products with other popularity."""

    def __init__(self, count: int, seen: list[set[int]]) -> None:
        super().__init__(count)
        self._seen = seen

    def take(self, numbers: Int64[np.ndarray, "b"], random: np.random.Generator) -> PastRequests:
        self._seen.append({int(number) % 2 for number in numbers})
        return super().take(numbers, random)


def past_columns(count: int, *popularity: float) -> PastColumns:
    now = columns()
    periods = tuple(
        now._replace(popularity=np.full_like(now.popularity, value)) for value in popularity
    )
    return PastColumns(now, periods, np.arange(count) % len(popularity))


def test_a_step_is_of_one_period_and_sees_the_products_of_its_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[set[int]] = []
    looked: list[float] = []

    def taken(given: TowerColumns, rows: Int64[np.ndarray, "b"]) -> ProductBatch:
        looked.append(float(given.popularity[0, 0]))
        return take(given, rows)

    monkeypatch.setattr("retrieval.towers.batch_loss.take", taken)

    train(
        towers(), past_columns(64, 7.0, 9.0), OfPeriods(64, seen), lambda *_: 0.5,
        QUICK._replace(epochs=1, batch_size=8),
    )  # fmt: skip

    assert len(seen) == len(looked) == 8
    assert [7.0 + 2 * one for (one,) in seen] == looked
    assert set(looked) == {7.0, 9.0}


def test_what_is_known_now_changes_no_weight_of_towers_that_learn_from_the_past() -> None:
    past = past_columns(64, 0.0, 0.5)
    later = past.now._replace(
        popularity=np.full_like(past.now.popularity, 3.0),
        price=np.ones_like(past.now.price),
        own=np.zeros_like(past.now.own),
    )

    one, other = (
        train(towers(), given, Fans(64), lambda *_: 0.5, QUICK._replace(epochs=2)).towers
        for given in (past, past._replace(now=later))
    )

    for weights, others in each(zip(one.parameters(), other.parameters(), strict=True)):
        assert torch.equal(weights, others)


def test_training_ends_with_its_time() -> None:
    trained = train(towers(), columns(), Fans(64), lambda *_: 0.5, QUICK._replace(max_seconds=1e-6))

    assert len(trained.epochs) == 1


def test_saved_towers_say_the_same_again(tmp_path: Path) -> None:
    made = towers()
    vectors = embed_products(made, columns())
    ask = EncodedQuery(
        history=History(np.array([1, 4], np.int32), np.array([0, 86_400]), np.array([0, 1])),
        at_seconds=200_000,
    )

    made.save(tmp_path)
    again = Towers.open(tmp_path)

    assert np.array_equal(embed_products(again, columns()), vectors)
    assert np.array_equal(interests(again, ask, vectors), interests(made, ask, vectors))


def test_a_fact_that_towers_never_learnt_is_left_out(tmp_path: Path) -> None:
    towers(facts=(70, 1 << 61)).save(tmp_path)
    made, vectors = Towers.open(tmp_path), embed_products(towers(), columns())

    def asked(*codes: int) -> np.ndarray:
        return interests(made, EncodedQuery(facts=np.array(codes, np.int64)), vectors)

    assert np.array_equal(asked(70, 71, 0), asked(70))
    assert np.array_equal(asked(71, 1 << 61), asked(1 << 61))
    assert not np.array_equal(asked(70), asked(1 << 61))


def test_towers_that_do_not_say_which_facts_they_learnt_are_refused(tmp_path: Path) -> None:
    towers().save(tmp_path)
    about = json.loads((tmp_path / "towers.json").read_text())
    (tmp_path / "towers.json").write_text(json.dumps({**about, "facts": None}))

    with pytest.raises(UnknownTowers, match="build again"):
        Towers.open(tmp_path)


def test_towers_of_another_numbering_are_refused(tmp_path: Path) -> None:
    towers().save(tmp_path)
    about = json.loads((tmp_path / "towers.json").read_text())
    (tmp_path / "towers.json").write_text(json.dumps({**about, "code_buckets": 7}))

    with pytest.raises(UnknownTowers, match="7"):
        Towers.open(tmp_path)


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    towers().save(tmp_path)
    about = json.loads((tmp_path / "towers.json").read_text())
    (tmp_path / "towers.json").write_text(json.dumps({**about, "interests": 3}))

    with pytest.raises(UnknownTowers, match="do not fit"):
        Towers.open(tmp_path)


@pytest.mark.parametrize("asked", ["stranger", "shopper", "words"])
def test_one_request_is_asked_as_a_batch_is(asked: str) -> None:
    made, vectors = towers(), embed_products(towers(), columns())
    history = History(np.array([2, 7, 2], np.int32), np.array([0, 10, 20]), np.array([0, 1, 2]))
    ask = {
        "stranger": EncodedQuery(),
        "shopper": EncodedQuery(history=history, at_seconds=100),
        "words": EncodedQuery(joined_vector=vectors[3], history=history, at_seconds=100),
    }[asked]

    found = interests(made, ask, vectors)

    assert len(found) == {"stranger": 0, "shopper": 2, "words": 1}[asked]


SCRIPT = """
import sys
import torch
from tests_of_towers import QUICK, Fans, columns, towers
from retrieval.towers.training import train

torch.set_num_threads(1)
fans = Fans(128)
settings = QUICK._replace(epochs=2)
trained = train(towers(), columns(), fans, lambda *_: 0.0, settings)
if torch.distributed.is_initialized():
    rank = torch.distributed.get_rank()
else:
    rank = 0
if rank == 0:
    print("LOSSES", *(epoch.loss for epoch in trained.epochs), trained.vectors.sum())
"""


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    """The same global batch: equal losses step by step give equal weights after two epochs."""
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "tests_of_towers.py").write_text(Path(__file__).read_text())

    one = list(_losses([sys.executable], tmp_path))
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    two = list(_losses([sys.executable, *launch], tmp_path))

    assert one[0] > 0
    assert two == pytest.approx(one, rel=1e-3)


def _losses(command: list[str], folder: Path) -> Iterator[float]:
    path = os.pathsep.join([str(Path.cwd()), str(folder)])
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "1",
    }
    ended = subprocess.run(
        [*command, str(folder / "script.py")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    [line] = [line for line in ended.stdout.splitlines() if line.startswith("LOSSES")]
    yield from map(float, line.split()[1:])
