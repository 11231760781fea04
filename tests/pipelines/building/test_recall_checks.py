"""What an index must find of the true neighbours before a draft is published."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from index import ExactIndex
from pipelines.building.build import build
from pipelines.building.recall_checks import measured_recalls, recalls, refuse_low_recall
from pipelines.config.loading import load
from pipelines.config.sections import IndexConfig
from pipelines.errors import ReleaseError
from pipelines.evaluation.pinned_queries import Pinned
from pipelines.progress import silent
from pipelines.release.store import names, open_release
from pipelines.release.verdict import UnfitDraft
from pipelines.shop.writer import ShopWriter
from tests.pipelines.building.test_gate import FakeEngine, Parts, Places, columns, searches

NAMES = tuple(f"p{i}" for i in range(40))
WORDS = [
    "apple",
    "bread",
    "milk",
    "cheese",
    "soup",
    "tea",
    "juice",
    "rice",
    "pasta",
    "corn",
    "salt",
    "sugar",
    "honey",
    "jam",
    "nut",
    "oil",
]
SETTINGS = IndexConfig()


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(columns(tmp_path / "all.arrow", NAMES), np.eye(40, dtype=np.float32))


def test_a_recall_that_is_missed_by_chance_passes_and_says_so(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = {"luck": np.array([0.85, 1.0, 0.97, 0.94, 0.98]), "fault": np.full(5, 0.94)}
    engine = FakeEngine(
        parts._replace(joined_index=ExactIndex(parts.joined_vectors)), {}, encoder=Places(parts)
    )

    checks = {}
    for name, of_each in shares.items():
        monkeypatch.setattr(
            "pipelines.building.recall_checks.recall_of_each", lambda *_, found=of_each: found
        )
        [checks[name]] = recalls(engine, searches(5), load())  # type: ignore[arg-type]

    assert checks["luck"].passed
    assert "may be chance" in checks["luck"].told
    assert not checks["fault"].passed


def test_recall_is_measured_on_the_index_as_it_is_served(parts: Parts) -> None:
    config = load(None, ["index.recall_k=1"])
    true, false = (
        FakeEngine(parts._replace(joined_index=index), {}, encoder=Places(parts))
        for index in (ExactIndex(parts.joined_vectors), ExactIndex(-parts.joined_vectors))
    )

    [good] = recalls(true, searches(5), config)  # type: ignore[arg-type]
    [bad] = recalls(false, searches(5), config)  # type: ignore[arg-type]

    assert (good.value, good.passed) == (1.0, True)
    assert (bad.value, bad.passed) == (0.0, False)


@pytest.mark.parametrize("pinned", [[], [Pinned(id="q", user="u1")], [Pinned(id="q", text=" ")]])
def test_where_no_pinned_query_has_a_text_words_of_titles_are_searched(
    parts: Parts, pinned: list[Pinned]
) -> None:
    config = load(None, ["index.recall_k=1"])
    false = parts._replace(joined_index=ExactIndex(-parts.joined_vectors))

    [check] = recalls(FakeEngine(false, {}, encoder=Places(parts)), pinned, config)  # type: ignore[arg-type]

    assert (check.value, check.passed, check.told) == (0.0, False, "40 queries")


@pytest.mark.parametrize("space", ["joined", "picture", "towers"])
def test_what_the_build_measured_of_each_space_is_a_check(space: str) -> None:
    measured = {f"{space}_recall_at_20": 0.9499, f"{space}_kind": "shards", "ranker": "none"}

    [check] = measured_recalls(measured, SETTINGS)

    assert check.name == f"recall@20, {space}, measured by the build"
    assert (check.value, check.limit, check.passed) == (0.9499, 0.95, False)


def test_a_trial_whose_index_finds_too_little_is_refused_with_both_figures() -> None:
    refuse_low_recall({"joined_recall_at_100": 0.95, "picture_recall_at_100": 1.0}, SETTINGS)

    with pytest.raises(ReleaseError, match=r"joined.* is 0\.940, below the target 0\.950"):
        refuse_low_recall({"joined_recall_at_100": 0.94}, SETTINGS)


@pytest.mark.parametrize(
    "pinned",
    [None, '{"id": "q1", "user": "u1"}\n', '{"id": "q1", "text": "apple"}\n'],
    ids=["none", "recommendations", "one search"],
)
def test_a_release_whose_index_finds_too_little_is_not_published_whatever_is_pinned(
    tmp_path: Path, pinned: str | None
) -> None:
    random = np.random.default_rng(0)
    titles = [" ".join(random.choice(WORDS, 4)) for _ in range(400)]
    with ShopWriter(tmp_path / "shop", name="x", source="table") as writer:
        writer.add_products(pa.table({"id": [f"p{i}" for i in range(400)], "title": titles}))
    if pinned:
        (tmp_path / "shop/pinned.jsonl").write_text(pinned)
    poor = ["index.factory=PQ2x4np", "index.recall_k=20", "encoders.text.runtime=torch"]
    config = load(None, [*poor, "threads=1", "ranking.train=false"])

    with pytest.raises(UnfitDraft, match="recall@20, joined, measured by the build is 0"):
        build(tmp_path / "shop", tmp_path / "releases", config, None, silent)

    assert not (tmp_path / "releases/CURRENT").exists()
    [dark] = names(tmp_path / "releases")
    assert open_release(tmp_path / "releases", dark).dark
