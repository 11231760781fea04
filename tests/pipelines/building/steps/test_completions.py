from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from index import WordReader
from pipelines.building.steps.completions import counted, past_searches
from pipelines.engine.engine import Engine
from pipelines.shop.reader import Shop
from pipelines.shop.writer import ShopWriter

UNTIL = datetime(2024, 3, 1)
READER = WordReader("english")


def phrases_of(*titles: str) -> dict[str, float]:
    found = counted([[title] for title in titles], np.ones(len(titles)), READER)
    return {phrase.shown: phrase.weight for phrase in found.values()}


def test_phrases_are_runs_of_words_that_several_titles_have() -> None:
    found = phrases_of("Rye bread, 500 g", "Dark rye bread", "Rye Bread crumbs")

    assert found["rye bread"] == 3
    assert found["crumbs"] == 1  # a word alone may stand in one title
    assert "bread crumbs" not in found  # a phrase of several must not
    assert "bread 500" not in found  # nor go across a comma


def test_a_phrase_neither_begins_nor_ends_with_a_filler_or_is_a_number() -> None:
    found = phrases_of("bread with seeds, 500", "bread with seeds, 500")

    assert "bread with seeds" in found
    assert not {"bread with", "with", "with seeds", "500"} & found.keys()


def test_a_phrase_that_always_goes_on_is_not_offered_without_the_rest() -> None:
    found = phrases_of("extra virgin olive oil", "extra virgin olive oil")

    assert "extra virgin olive oil" in found
    assert "extra virgin olive" not in found


def test_a_phrase_keeps_its_accents_and_is_found_without_them() -> None:
    found = counted([["Crème brûlée"], ["CRÈME brûlée"]], np.ones(2), READER)

    assert found["creme brulee"].shown == "crème brûlée"


def test_what_is_bought_weighs_more() -> None:
    found = counted([["oat milk"], ["oats"]], np.array([1.0, 4.0]), READER)

    assert found["oats"].weight == 4 > found["oat"].weight


def test_a_search_is_offered_once_three_shoppers_made_it(tmp_path: Path) -> None:
    searches = [
        *[(f"u{i}", "Oat  Milk", True) for i in range(3)],
        *[("u1", "my name is nobody", True)] * 5,
        *[(f"u{i}", "not for training", i > 0) for i in range(3)],
    ]
    job = job_of(tmp_path, searches)

    found = past_searches(job, READER)

    assert {key: tuple(phrase) for key, phrase in found.items()} == {"oat milk": ("oat milk", 3.0)}


def test_a_search_at_or_after_the_cut_leaves_no_trace(tmp_path: Path) -> None:
    job = job_of(tmp_path, [(f"u{i}", "oat milk", True) for i in range(3)], at=UNTIL)

    assert past_searches(job, READER) == {}


def job_of(
    folder: Path, searches: list[tuple[str, str, bool]], at: datetime = datetime(2024, 2, 1)
) -> Any:
    users, texts, trained = zip(*searches, strict=True)
    consent = [{"search": True, "recommend": True, "ads": True, "train": one} for one in trained]
    with ShopWriter(folder / "shop", name="x", source="table") as writer:
        writer.add_products(pa.table({"id": ["p1"], "title": ["Oat milk"]}))
        writer.add_events(
            pa.table(
                {
                    "type": ["search"] * len(users),
                    "user": users,
                    "time": pa.array([at] * len(users), pa.timestamp("s")),
                    "text": texts,
                    "consent": consent,
                }
            )
        )
    return type("Job", (), {"shop": Shop(folder / "shop"), "until": UNTIL})()


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("rye", "rye bread"),
        ("RYE B", "rye bread"),
        ("oat milk 1 r", None),
        ("south t", "south tea"),
        ("milk so", "milk south"),
    ],
)
def test_the_last_word_is_completed_and_those_before_are_kept(
    real_engine: Engine, text: str, first: str | None
) -> None:
    found = real_engine.complete(text, 5)

    assert found[:1] == ([first] if first else [])
    assert len(found) <= 5
    assert found == real_engine.complete(text, 5)


@pytest.mark.parametrize("text", ["", "   ", "!!", "\ud7ff", "zzz"])
def test_where_nothing_begins_so_nothing_is_offered(real_engine: Engine, text: str) -> None:
    assert real_engine.complete(text, 5) == []


def test_completions_are_asked_over_http(client: TestClient[Litestar]) -> None:
    found = client.get("/v1/complete", params={"q": "o", "k": 1})
    long, many = (
        client.get("/v1/complete", params=params) for params in ({"q": "a" * 201}, {"k": 51})
    )

    assert found.json() == {"completions": ["Oat milk, barista, 1 l"]}
    assert (long.status_code, many.status_code) == (400, 400)
    assert long.json()["error"]["field"] == "q"


def test_a_beginning_with_control_characters_is_refused(client: TestClient[Litestar]) -> None:
    answer = client.get("/v1/complete", params={"q": "a\x00"})

    assert answer.status_code == 400
    assert answer.json()["error"]["field"] == "q"
