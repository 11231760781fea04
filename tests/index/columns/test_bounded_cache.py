import pytest

from index.columns.bounded_cache import BoundedCache


@pytest.fixture
def cache() -> BoundedCache[str]:
    return BoundedCache(most=3, largest=10)


def test_the_least_recently_used_value_goes_when_there_are_too_many(
    cache: BoundedCache[str],
) -> None:
    for key in "abc":
        cache.keep(key, key.upper(), 1)
    cache.get("a")

    cache.keep("d", "D", 1)

    assert [cache.get(key) for key in "abcd"] == ["A", None, "C", "D"]


def test_the_least_recently_used_values_go_when_their_sizes_add_up_to_too_much(
    cache: BoundedCache[str],
) -> None:
    cache.keep("a", "A", 4)
    cache.keep("b", "B", 4)

    cache.keep("c", "C", 7)

    assert [cache.get(key) for key in "abc"] == [None, None, "C"]


def test_a_value_that_alone_is_too_large_leaves_the_others(cache: BoundedCache[str]) -> None:
    cache.keep("a", "A", 4)
    cache.keep("b", "B", 4)

    cache.keep("b", "larger", 11)

    assert [cache.get(key) for key in "ab"] == ["A", None]


def test_a_value_takes_the_place_of_the_one_with_its_key(cache: BoundedCache[str]) -> None:
    cache.keep("a", "A", 6)

    cache.keep("a", "new", 8)
    cache.keep("b", "B", 2)

    assert [cache.get(key) for key in "ab"] == ["new", "B"]


def test_a_value_is_made_once_and_again_after_it_was_dropped(cache: BoundedCache[str]) -> None:
    made: list[str] = []

    def of(key: str) -> str:
        def make() -> str:
            made.append(key)
            return key.upper()

        return cache.of(key, make, lambda _: 4)

    assert [of(key) for key in "aabcab"] == ["A", "A", "B", "C", "A", "B"]
    assert made == ["a", "b", "c", "a", "b"]
    assert cache.size == 8


def test_a_value_may_be_as_large_as_the_whole_cache(cache: BoundedCache[str]) -> None:
    cache.keep("a", "A", 10)

    assert cache.get("a") == "A"


def test_a_value_is_forgotten_when_its_seconds_are_over() -> None:
    lasting: BoundedCache[str] = BoundedCache(most=3, largest=10, seconds=1_000.0)
    over: BoundedCache[str] = BoundedCache(most=3, largest=10, seconds=0.0)

    for cache in (lasting, over):
        cache.keep("key", "value", 1)

    assert lasting.get("key") == "value"
    assert over.get("key") is None


def test_a_cleared_cache_holds_nothing() -> None:
    cache: BoundedCache[str] = BoundedCache(most=3, largest=10)
    cache.keep("a", "A", 4)

    cache.clear()

    assert (cache.get("a"), cache.size) == (None, 0)
