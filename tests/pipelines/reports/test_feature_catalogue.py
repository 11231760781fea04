from pathlib import Path

from pipelines.reports.feature_catalogue import COMMAND, FURTHER, KINDS, page
from ranking.features.definitions import FEATURES, NAMES, Feature

PAGE = Path(__file__).parents[3] / "docs/features.md"


def test_the_page_of_features_is_the_one_that_the_definitions_make() -> None:
    assert PAGE.read_text() == page(), f"write it again: {COMMAND}"


def test_every_feature_has_one_line_with_its_unit_its_meaning_and_its_default() -> None:
    lines = page().splitlines()

    for feature in FEATURES:
        [line] = [line for line in lines if f"| `{feature.name}` |" in line]
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        assert cells[2:4] == [feature.unit, feature.meaning]
        assert abs(float(cells[4]) - feature.default) <= 0.0005


def test_every_kind_holds_features_that_there_are_and_each_of_them_once() -> None:
    named = [name for names in KINDS.values() for name in names]

    assert len(set(named)) == len(named)
    assert set(named) <= set(NAMES)


def test_a_feature_of_no_kind_stands_at_the_end() -> None:
    last = page([Feature("novel", "days", "not sorted yet", 2.5), *FEATURES]).splitlines()[-1]

    assert last == f"| {FURTHER} | `novel` | days | not sorted yet | 2.5 |"
