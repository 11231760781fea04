"""What the index benchmark reads off its curves, and how it counts what was found."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.index.__main__ import SearchTask, at_target, recall_of, synthetic
from benchmarks.index.drawing import OperatingPoint, draw
from benchmarks.index.results import Layer, Part, Results
from index import DesignTrial


def test_the_speed_at_a_recall_lies_between_the_points_beside_it() -> None:
    points = [OperatingPoint(50, 0.90, 400.0, 1_600.0), OperatingPoint(100, 0.98, 100.0, 400.0)]

    met = at_target(points, 0.94)

    assert met is not None
    assert met.single == pytest.approx(200.0)
    assert met.batch == pytest.approx(800.0)


def test_a_first_point_beyond_the_recall_counts_as_it_is() -> None:
    first = OperatingPoint(100, 0.97, 300.0, 500.0)

    assert at_target([first, OperatingPoint(200, 0.99, 200.0, 300.0)]) == first


def test_a_curve_that_never_gets_there_has_no_speed_there() -> None:
    assert at_target([OperatingPoint(100, 0.80, 300.0, 500.0)]) is None


def test_any_of_equal_vectors_is_right_and_any_other_is_not() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    asked = SearchTask(vectors, vectors[:1], np.array([1.0]))

    assert recall_of(np.array([[1]]), asked) == 1.0
    assert recall_of(np.array([[2]]), asked) == 0.0


def test_synthetic_vectors_have_length_one_and_are_drawn_again_by_their_seed() -> None:
    vectors = synthetic(50, seed=3, dim=16)

    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(vectors, synthetic(50, seed=3, dim=16))


def test_a_plot_names_every_way(tmp_path: Path) -> None:
    points = [OperatingPoint(50, 0.90, 400.0, 1_600.0), OperatingPoint(100, 0.98, 100.0, 400.0)]

    draw({"vetrina, planned: ivf": points, "another": points}, "title", 0.8, tmp_path / "x.svg")

    drawn = (tmp_path / "x.svg").read_text()
    assert "vetrina, planned: ivf" in drawn
    assert "another" in drawn


def test_a_run_goes_on_after_its_last_whole_result_and_knows_no_other_run(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    Results(file, "few vectors").add(part("planned"))
    Results(file, "many vectors").add(part("hnswlib"))
    with file.open("a") as cut_off:
        cut_off.write('{"run": "few vectors", "slot": "usea')

    Results(file, "few vectors").add(part("voyager"))

    parts = Results(file, "few vectors").parts
    assert list(parts) == ["planned", "voyager"]
    assert parts["planned"] == part("planned")


def part(slot: str) -> Part:
    return Part(
        run="few vectors" if slot != "hnswlib" else "many vectors",
        slot=slot,
        name=slot,
        points=(OperatingPoint(50, 0.9, 400.0, 1_600.0),),
        build_seconds=1.0,
        num_bytes=10,
        took_seconds=2.0,
        layer=Layer("svs", 50, 0.99, 0.98, 0.95),
        choices=(DesignTrial(kind="flat", form="Flat", num_bytes=1),),
    )
