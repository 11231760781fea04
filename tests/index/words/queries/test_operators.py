"""Operators of a query, and what they do to an answer."""

import numpy as np
import pytest

from index import DeltaIndex, LexicalIndex, read_operators

WEIGHTS = {"title": 2.0, "description": 0.5}
DOCUMENTS = [
    {"title": "Oat milk barista"},
    {"title": "Whole milk", "description": "never with oats"},
    {"title": "Milk chocolate, red"},
    {"title": "Red Bull energy"},
    {"title": "Bull terrier, red collar"},
    {"title": "A-b milk"},
]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> LexicalIndex:
    return LexicalIndex.build(tmp_path_factory.mktemp("words") / "x", WEIGHTS, DOCUMENTS)


@pytest.mark.parametrize(
    ("text", "wanted", "phrases", "excluded"),
    [
        ("milk -oat", "milk", (), ("oat",)),
        ('milk -"oat drink" x', "milk x", (), ("oat drink",)),
        ('"red bull" can', "red bull can", ("red bull",), ()),
        ("“red bull”", "red bull", ("red bull",), ()),
        ("«red bull», can", "red bull , can", ("red bull",), ()),
        ('tv 55"', 'tv 55"', (), ()),
        ('tv 55" or 65"', 'tv 55" or 65"', (), ()),
        ('"red bull', '"red bull', (), ()),
        ("rye - bread", "rye - bread", (), ()),
        ("wi-fi", "wi-fi", (), ()),
        ("freezer -18", "freezer -18", (), ()),
        ("milk -oat-drink", "milk", (), ("oat-drink",)),
        ("-", "-", (), ()),
        ('""', '""', (), ()),
        ("--oat", "--oat", (), ()),
    ],
)
def test_operators_are_read_where_a_word_begins(
    text: str, wanted: str, phrases: tuple[str, ...], excluded: tuple[str, ...]
) -> None:
    assert read_operators(text) == (wanted, phrases, excluded)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("milk -oat", [2, 5]),
        ("milk -oats -chocolate", [5]),
        ('"red bull"', [3]),
        ('"bull"', [3, 4]),
        ('red -"red bull"', [2, 4]),
        ("a-b", [5]),
        ("red - bull", [2, 3, 4]),
        ("-oat", []),
    ],
)
def test_operators_decide_what_is_found_in_the_index_and_beside_it(
    words: LexicalIndex, text: str, rows: list[int]
) -> None:
    beside = DeltaIndex(words)
    for document in DOCUMENTS:
        beside.add(document)

    assert sorted(words.search(text, 10).rows) == rows
    assert np.flatnonzero(beside.scores(text, beside.size)).tolist() == rows
    permitted, also = words.permitted(text), beside.permitted(text, beside.size)
    assert (permitted is None) == (also is None)
    if permitted is not None and also is not None:
        assert permitted.tolist() == also.tolist()


def test_many_quotes_are_read_in_time_in_proportion() -> None:
    assert read_operators('"' * 100_000 + " " + 'a "' * 30_000).excluded == ()
