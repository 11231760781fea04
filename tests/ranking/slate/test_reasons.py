import pytest

from ranking.features.definitions import FEATURES
from ranking.slate.reasons import reasons

PLAIN = {feature.name: feature.default for feature in FEATURES}
IN_BASKETS = {**PLAIN, "bought_before": 1.0, "recent_share": 1.0, "rhythm": 0.0, "days_since": 0.0}


@pytest.mark.parametrize(
    ("features", "bought", "said"),
    [
        (IN_BASKETS, True, ("in most of your last baskets", "you bought it today")),
        (IN_BASKETS, False, ("you chose it or looked at it lately",)),
        ({**PLAIN, "together": 0.9}, True, ("goes with what you bought lately",)),
        ({**PLAIN, "together": 0.9}, False, ("goes with what you looked at lately",)),
        ({**PLAIN, "popularity_30": 9.0}, False, ("many shoppers buy it these weeks",)),
        ({}, True, ()),
    ],
)
def test_who_only_looked_is_not_told_of_purchases(
    features: dict[str, float],
    bought: bool,  # noqa: FBT001 - a case
    said: tuple[str, ...],
) -> None:
    assert reasons(features, bought=bought) == said
