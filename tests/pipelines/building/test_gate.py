"""What the gate lets pass, of engines that need no release."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from index import Columns, ExactIndex
from pipelines.building.gate import (
    GateInput,
    gone,
    judge,
    latency,
    lost,
    pictures,
    texts,
    worth,
)
from pipelines.config.sections import Config, GateConfig
from pipelines.evaluation.pinned_queries import Pinned
from pipelines.progress import silent
from pipelines.release.verdict import Check, Verdict
from retrieval import Placed, Product, Query, Slate, Stage
from tests.pipelines.evaluation.test_pinned_queries import bare_shop

NAMES = tuple(f"p{i}" for i in range(40))
LIMITS = GateConfig()


class Parts(NamedTuple):
    products: Columns
    joined_vectors: np.ndarray
    picture_vectors: np.ndarray | None = None
    joined_index: Any = None
    picture_index: Any = None
    trained: None = None


class Places:
    """Reads the place of a product from its text, and answers with its vector."""

    def __init__(self, parts: Parts) -> None:
        self.probe = self
        self.parts = parts

    def texts(self, asked: list[str]) -> np.ndarray:
        return self.parts.joined_vectors[[int(text[1:]) for text in asked]]


class FakeEngine:
    """Answers each text with a list of ids, after a while."""

    def __init__(
        self,
        parts: Parts,
        pages: Mapping[str, Sequence[str]],
        seconds: float = 0.0,
        encoder: Any = None,
    ) -> None:
        self.probe = self
        self.parts = parts
        self.encoder = encoder
        self._pages = pages
        self._seconds = seconds

    def answer(self, query: Query) -> Slate:
        time.sleep(self._seconds)
        placed = tuple(
            Placed(position=place, product=Product(id=name, title=name), score=1.0 / place)
            for place, name in enumerate(self._pages.get(query.text, ()), 1)
        )
        return Slate(products=placed, stage=Stage.RETRIEVAL, release="fake")

    def forget(self) -> None:
        """Nothing is remembered."""


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(columns(tmp_path / "all.arrow", NAMES), np.eye(40, dtype=np.float32))


def columns(path: Path, names: Sequence[str]) -> Columns:
    words = pa.array(names, pa.string())
    table = pa.table({"id": words, "title": words})
    Columns.write(path, table.to_batches(), table.schema)
    return Columns.open(path)


def searches(count: int) -> list[Pinned]:
    return [Pinned(id=f"q{i}", text=f"q{i}", relevant={f"p{i}": 1.0}) for i in range(count)]


def first(count: int) -> dict[str, list[str]]:
    """Every query finds what it should, in the first place."""
    return {f"q{i}": [f"p{i}", "p39"] for i in range(count)}


def test_a_draft_that_finds_as_much_as_the_live_release_passes(parts: Parts) -> None:
    live = FakeEngine(parts, first(30))

    [check] = worth(live, live, searches(30), LIMITS, silent)  # type: ignore[arg-type]

    assert (check.name, check.value, check.passed) == ("nDCG@20, searches", 1.0, True)


def test_a_draft_that_finds_less_in_many_queries_fails(parts: Parts) -> None:
    live = FakeEngine(parts, first(30))
    worse = {
        name: page[::-1] if number < 15 else page
        for number, (name, page) in enumerate(first(30).items())
    }
    draft = FakeEngine(parts, worse)

    [check] = worth(draft, live, searches(30), LIMITS, silent)  # type: ignore[arg-type]

    assert not check.passed
    assert check.value == pytest.approx((15 + 15 / np.log2(3)) / 30)


def test_a_loss_that_may_be_chance_does_not_fail(parts: Parts) -> None:
    pages = first(10)
    mixed = {**pages, "q0": [], "q1": ["p39", "p1"]}
    live = FakeEngine(parts, {**pages, "q2": ["p39", "p2"]})

    [check] = worth(FakeEngine(parts, mixed), live, searches(10), LIMITS, silent)  # type: ignore[arg-type]

    assert check.value < LIMITS.least_ndcg
    assert check.passed
    assert "may be chance" in check.told


def test_a_product_that_only_one_release_has_is_not_judged(parts: Parts, tmp_path: Path) -> None:
    live = FakeEngine(parts, first(30))
    fewer = parts._replace(products=columns(tmp_path / "few.arrow", NAMES[10:]))
    draft = FakeEngine(fewer, {k: v for k, v in first(30).items() if int(k[1:]) >= 10})

    [check] = worth(draft, live, searches(30), LIMITS, silent)  # type: ignore[arg-type]

    assert check.value == 1.0
    assert "20 queries" in check.told


def test_a_product_of_the_shop_that_the_draft_lacks_is_lost(tmp_path: Path) -> None:
    shop = bare_shop(tmp_path / "shop", ["p1", "p2", "p3", "p4"])

    check = lost(columns(tmp_path / "c", ["p1", "p2", "p4"]), shop, LIMITS)

    assert not check.passed
    assert check.value == 0.25
    assert check.told == "1 of 4: p3"


def test_live_products_may_go_but_not_too_many(tmp_path: Path) -> None:
    shop = bare_shop(tmp_path / "shop", ["p1"])
    live = columns(tmp_path / "live", NAMES)

    few, many = (gone(columns(tmp_path / str(n), NAMES[n:]), live, shop, LIMITS) for n in (4, 5))

    assert (few.value, few.passed) == (0.1, True)
    assert (many.value, many.passed) == (0.125, False)


def test_what_was_deleted_on_purpose_is_not_gone(tmp_path: Path) -> None:
    shop = bare_shop(tmp_path / "shop", ["p1"])
    live = columns(tmp_path / "live", NAMES)

    class Folded:
        deleted = frozenset(NAMES[:20])

    check = gone(columns(tmp_path / "now", NAMES[20:]), live, Folded(), LIMITS)  # type: ignore[arg-type]

    assert shop.deleted == frozenset()
    assert (check.value, check.passed) == (0.0, True)


def test_products_without_a_text_vector_fail_a_draft(parts: Parts) -> None:
    vectors = np.eye(40, dtype=np.float32)
    vectors[:2] = 0

    check = texts(FakeEngine(parts._replace(joined_vectors=vectors), {}), LIMITS)  # type: ignore[arg-type]

    assert (check.value, check.passed) == (0.95, False)


def test_pictures_that_vanish_fail_a_draft(parts: Parts) -> None:
    seen = np.ones((40, 2), np.float32)
    fewer = seen.copy()
    fewer[:10] = 0
    live, draft = (FakeEngine(parts._replace(picture_vectors=v), {}) for v in (seen, fewer))

    [check] = pictures(draft, live, LIMITS)  # type: ignore[arg-type]
    [better] = pictures(live, draft, LIMITS)  # type: ignore[arg-type]

    assert (check.value, check.passed) == (0.25, False)
    assert (better.value, better.passed) == (0.0, True)


def test_a_draft_that_takes_many_times_as_long_fails(parts: Parts) -> None:
    live = FakeEngine(parts, first(3), seconds=0.001)
    slow = FakeEngine(parts, first(3), seconds=0.03)

    [check] = latency(slow, live, searches(3), LIMITS, silent)  # type: ignore[arg-type]
    [other] = latency(live, slow, searches(3), LIMITS, silent)  # type: ignore[arg-type]

    assert (check.passed, other.passed) == (False, True)


def test_a_first_draft_is_not_compared_and_says_so(parts: Parts, tmp_path: Path) -> None:
    shop = bare_shop(tmp_path / "shop", list(NAMES))

    verdict = judge(GateInput(searched(parts), None), shop, [], Config(), silent)  # type: ignore[arg-type]

    assert verdict.against is None
    assert verdict.note == "there is no live release to compare with"
    names = [check.name for check in verdict.checks]
    assert names == ["recall@100, joined", "products lost", "text vectors"]
    assert verdict.opens


def test_a_recall_below_the_target_keeps_a_draft_dark_although_the_pinned_queries_find_enough(
    parts: Parts, tmp_path: Path
) -> None:
    shop = bare_shop(tmp_path / "shop", list(NAMES))
    sides = GateInput(searched(parts), None, measured={"picture_recall_at_100": 0.9499})

    verdict = judge(sides, shop, searches(5), Config(), silent)  # type: ignore[arg-type]

    [failed] = verdict.failed
    assert failed.name == "recall@100, picture, measured by the build"
    assert not verdict.opens


def searched(parts: Parts) -> FakeEngine:
    index = ExactIndex(parts.joined_vectors)
    return FakeEngine(parts._replace(joined_index=index), {}, encoder=Places(parts))


def test_only_a_forced_verdict_opens_over_a_failed_check() -> None:
    failed = Check(name="x", value=1.0, limit=2.0, passed=False)

    assert not Verdict(against=None, checks=(failed,)).opens
    assert Verdict(against=None, checks=(failed,), forced=True).opens
