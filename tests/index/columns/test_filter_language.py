"""The language of filters at its bounds, and the messages of what cannot be read."""

import pyarrow as pa
import pytest

from index import Field, FilterError
from index.columns.dictionaries import coded
from index.columns.filter_language import LONGEST, field_named, parse, written
from index.columns.filter_masks import matching, passing
from index.columns.map_keys import keys_of, refuse_unknown_keys

KIND = pa.map_(pa.string(), pa.string())


def test_a_filter_may_be_as_long_as_the_bound_says() -> None:
    text = "price < 5"

    assert parse(text.ljust(LONGEST)) == parse(text)
    with pytest.raises(FilterError, match=r"10,001 characters; at most 10,000.* position 10001"):
        parse(text.ljust(LONGEST + 1))


@pytest.mark.parametrize(
    "before", ["", "price < 5 AND ", "(price < 5) AND ", 'brand: ANY("a") OR ']
)
def test_a_filter_may_be_nested_as_deep_as_the_bound_says(before: str) -> None:
    parse(f"{before}{'NOT ' * 32}price < 5")
    parse(f"{before}{'(' * 32}price < 5{')' * 32}")
    with pytest.raises(FilterError, match="nested more than 32 deep"):
        parse(f"{before}{'NOT ' * 33}price < 5")
    with pytest.raises(FilterError, match="nested more than 32 deep"):
        parse(f"{before}{'(' * 33}price < 5{')' * 33}")


def test_many_values_and_many_tests_are_not_deep() -> None:
    values = ", ".join(f'"v{i}"' for i in range(100))

    parse(f"brand: ANY({values})")
    parse(" AND ".join(f"price > {i}" for i in range(100)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("&", "at position 1: '&', where"),
        ("brand: 1234567890123456789012345", "at position 8: '12345678901234567890', where"),
        ('brand: ANY("a") AND   ', "at position 20: it ends early, where"),
        ("price: IN(5, 4)", "from 5 to 4 is nothing"),
    ],
)
def test_what_cannot_be_read_is_shown_from_its_place(text: str, said: str) -> None:
    with pytest.raises(FilterError) as refused:
        parse(text)

    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("price: IN(1e, 5)", "price: IN(1.0e, 5.0i)"),
        ("price: IN(*, 5e)", "price: IN(*, 5.0e)"),
        ("price: IN(5, 5)", "price: IN(5.0i, 5.0i)"),
        ("price: IN(5, *)", "price: IN(5.0i, *)"),
    ],
)
def test_an_interval_is_written_with_its_ends(text: str, again: str) -> None:
    assert written(parse(text)) == again


@pytest.mark.parametrize(
    ("name", "key"), [('"', '"'), ('""', ""), ('"a"', "a"), ("a", "a"), ('a"', 'a"'), ('"a', '"a')]
)
def test_a_key_is_quoted_where_it_begins_and_ends_so(name: str, key: str) -> None:
    assert field_named(f"attributes.{name}") == Field("attributes", key)


def test_words_are_not_compared_as_numbers_unless_other_rows_may_be() -> None:
    pairs = [[("colour", "red")], [("colour", "blue")]]
    table = pa.table({"id": ["a", "b"], "attributes": pa.array(pairs, KIND)})
    tree = parse("attributes.colour > 5")

    with pytest.raises(FilterError, match="holds words, not numbers"):
        passing(table, tree)
    assert passing(table, tree, strict=False).tolist() == [False, False]
    with pytest.raises(FilterError, match="unknown field 'nothing' at position 1"):
        matching(table, "nothing.colour > 5")


def test_whole_numbers_too_large_for_a_float_are_compared_all_the_same() -> None:
    table = pa.table({"stock": pa.array([2**53 + 1, 3, None], pa.int64())})

    assert matching(table, "stock > 5").tolist() == [True, False, False]


def test_a_key_that_no_row_has_is_answered_with_the_nearest_or_with_the_first_twenty() -> None:
    names = [f"name{i:02}" for i in range(30)]
    table = pa.table({"attributes": pa.array([[(name, "x") for name in names]], KIND)})

    def named(key: str) -> list[str]:
        with pytest.raises(FilterError) as refused:
            refuse_unknown_keys(parse(f"attributes.{key} > 1"), [keys_of(table)])
        return str(refused.value).partition("choose one of ")[2].split(", ")

    assert named("zzz") == names[:20]
    assert len(named("name3")) == 3
    assert set(named("name3")) <= set(names)


def test_a_missing_or_empty_word_has_the_code_of_none() -> None:
    table = pa.table({"brand": pa.array(["a", None, "", "b", "a"])})

    column = coded(table, Field("brand", None))

    names = [column.words[code].as_py() if code >= 0 else code for code in column.codes.tolist()]
    assert names == ["a", -1, -1, "b", "a"]
