"""The requests and judgments that the supermarket benchmark writes for `vetrina run`."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from benchmarks.next_basket.baskets import Journey, Receipts, Task
from benchmarks.next_basket.supermarket import best, by_release, write_qrels, write_requests
from pipelines.evaluation.requests import read_request, to_query
from pipelines.evaluation.trec_files import read_qrels

MOMENT = int(np.datetime64("2017-11-20T18:30:00", "s").astype(np.int64))
NOTHING = Receipts(*(np.empty(0, np.int64) for _ in Receipts._fields))
JOURNEY = Journey(
    NOTHING,
    np.array([7, 1228]),
    np.array([10, 20, 30]),
    np.ones(3, bool),
    *np.zeros((2, 3), np.int64),
)
ASKED = Task(
    start_seconds=MOMENT - 1,
    past=NOTHING,
    products=np.array([0, 2]),
    categories=np.zeros(2, np.int64),
    kinds=np.zeros(2, np.int64),
    households=np.array([1]),
    moments=np.array([MOMENT]),
    bought=[np.array([1])],
)


def test_a_request_asks_for_all_ranked_products_at_the_moment_of_the_basket(tmp_path: Path) -> None:
    write_requests(tmp_path / "requests.jsonl", JOURNEY, ASKED)

    request = read_request((tmp_path / "requests.jsonl").read_bytes())
    query = to_query(request, tmp_path)
    assert (request.id, query.user, query.k) == ("1228", "1228", 100)
    assert query.scene.at == datetime(2017, 11, 20, 18, 30)
    assert query.candidates == ("10", "30")


def test_the_judgments_name_what_was_bought(tmp_path: Path) -> None:
    write_qrels(tmp_path / "qrels", JOURNEY, ASKED)

    assert read_qrels(tmp_path / "qrels") == {"1228": {"30": 1.0}}


def test_the_best_products_are_named_by_the_ids_of_the_source() -> None:
    assert best(JOURNEY, ASKED, np.array([[0.1, 0.2]])) == {"1228": ["30", "10"]}


def test_a_release_that_has_seen_what_is_asked_for_is_not_measured(releases: Path) -> None:
    with pytest.raises(SystemExit, match="has seen events until 2024-03-01T00:00:00, which"):
        by_release(releases, JOURNEY, ASKED)
