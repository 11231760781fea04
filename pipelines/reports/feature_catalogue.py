"""The catalogue of features, generated from their definitions: `docs/features.md`, as Markdown."""

import sys
from collections.abc import Iterable, Iterator

from ranking.features.definitions import FEATURES, Feature

COMMAND = "python -m pipelines.reports.feature_catalogue > docs/features.md"
KINDS = {
    "shopper and product": (
        "frequency_60",
        "frequency_14",
        "frequency_365",
        "days_since",
        "rhythm",
        "own_interval",
        "basket_share",
        "recent_share",
        "bought_before",
        "together",
    ),
    "shopper and category": ("category_frequency", "category_days_since", "category_share"),
    "product": (
        "popularity_7",
        "popularity_30",
        "popularity_365",
        "trend",
        "buyers",
        "repeat_share",
        "product_rhythm",
    ),
    "price": ("price", "price_habit"),
    "scene and product": ("offer", "display"),
    "shopper": ("history_baskets", "basket_size", "absence"),
    "query and product": (
        "text_match",
        "words_match",
        "picture_match",
        "rare_title",
        "bigrams_title",
        "place_title",
        "asked_title",
        "rare_text",
        "brand_asked",
        "numbers_title",
        "measures_other",
        "head_found",
    ),
    "query": ("query_words",),
    "retrieval": ("ease_score", "next_score", "kind_score", "season_score"),
}
FURTHER = "further"  # features that are in no kind yet
HEAD = f"""\
# Features

What the ranker knows of one candidate in one request, besides its vector and the context.
This page is made from `ranking/features/definitions.py`, and a test compares the two:
`{COMMAND}`.

The last column is the number where nothing is known: no history, no query, no price, no sale.
Logarithms are natural, and counts get a little added before them, so that none is infinite.

| kind | feature | unit | meaning | where nothing is known |
| --- | --- | --- | --- | --- |
"""


def page(features: Iterable[Feature] = FEATURES) -> str:
    """Return the page: one table, the features of a kind together, in the order of definition."""
    return HEAD + "".join(_lines(list(features)))


def main() -> None:
    """Write the page to the standard output."""
    sys.stdout.write(page())


def _lines(features: list[Feature]) -> Iterator[str]:
    for kind in (*KINDS, FURTHER):
        told = kind
        for feature in features:
            if _kind(feature) == kind:
                cells = (told, f"`{feature.name}`", feature.unit, feature.meaning, _number(feature))
                yield f"| {' | '.join(cells)} |\n"
                told = ""


def _kind(feature: Feature) -> str:
    return next((kind for kind, names in KINDS.items() if feature.name in names), FURTHER)


def _number(feature: Feature) -> str:
    return f"{round(feature.default, 3):g}"


if __name__ == "__main__":
    main()
