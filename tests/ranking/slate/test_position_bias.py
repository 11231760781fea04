import tracemalloc

import numpy as np

from ranking.slate.position_bias import LEAST_CLICKED, LOWEST, chances_of_a_look, examination

LOOKED = np.array([1.0, 0.6, 0.3])


def clicks(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Items of unequal worth at places drawn at random; a click needs a look."""
    random = np.random.default_rng(seed)
    items, places = random.integers(0, 30, count), random.integers(1, 4, count)
    worth = np.linspace(0.05, 0.6, 30)[items]
    return items, places, random.random(count) < worth * LOOKED[places - 1]


def test_the_chance_of_a_look_is_found_again() -> None:
    np.testing.assert_allclose(examination(*clicks(0, 60_000)), LOOKED, atol=0.04)


def test_better_items_further_up_do_not_deceive_it() -> None:
    items, places, _ = clicks(1, 60_000)
    random = np.random.default_rng(2)
    # the better an item, the further up it stands, most of the time
    places = np.where(random.random(60_000) < 0.7, 3 - items // 10, places)
    worth = np.linspace(0.05, 0.6, 30)[items]
    clicked = random.random(60_000) < worth * LOOKED[places - 1]

    naive = np.array([clicked[places == p].mean() for p in (1, 2, 3)])
    found = examination(items, places, clicked)

    assert np.abs(naive / naive[0] - LOOKED).max() > 0.15
    np.testing.assert_allclose(found, LOOKED, atol=0.06)


def two_windows(count: int, few: int) -> tuple[np.ndarray, ...]:
    """Of the first window few look at the last places, of the second all look at everything."""
    random = np.random.default_rng(4)
    windows = (np.arange(count + few) >= count).astype(np.int64)
    items, places, clicked = clicks(3, count + few)
    worth = np.linspace(0.05, 0.6, 30)[items]
    flat = random.random(count + few) < worth
    return items + 30 * windows, windows, places, np.where(windows == 1, flat, clicked)


def test_a_window_with_enough_clicks_is_estimated_by_itself() -> None:
    items, windows, places, clicked = two_windows(40_000, 40_000)

    found = chances_of_a_look(items, windows, places, clicked)

    for window, looked in ((0, LOOKED), (1, np.ones(3))):
        own = windows == window
        np.testing.assert_allclose(found[own], looked[places[own] - 1], atol=0.06)


def test_a_window_with_few_clicks_goes_by_all_windows_together() -> None:
    items, windows, places, clicked = two_windows(40_000, 600)
    together = examination(items, places, clicked)

    found = chances_of_a_look(items, windows, places, clicked)

    few = windows == 1
    assert clicked[few].sum() < LEAST_CLICKED
    assert (found[few] == together[places[few] - 1]).all()
    assert (found[~few] != together[places[~few] - 1]).any()


def test_what_nothing_is_known_of_counts_as_the_place_above() -> None:
    items, places = np.array([1, 1, 2]), np.array([1, 2, 4])

    found = examination(items, places, np.array([True, False, True]))

    assert found.tolist() == [1, 1, 1, 1]


def test_the_last_place_of_one_item_is_no_neighbour_of_the_first_of_the_next() -> None:
    items = np.repeat([1, 2], 200)
    places = np.repeat([50, 1], 200)

    found = examination(items, places, items == 1)

    assert found.shape == (50,)
    assert (found == 1).all()


def test_memory_follows_the_log_and_not_the_names_in_it() -> None:
    """A search log shows millions of products for other words each, most of them once."""
    items = np.arange(20_000)
    peak = _peak_bytes(items, items % 50 + 1)

    assert peak < 20_000 * 50 * 8 / 2  # half of one table of items and places


def _peak_bytes(items: np.ndarray, places: np.ndarray) -> int:
    tracemalloc.start()
    try:
        examination(items, places, items % 7 == 0)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_no_place_is_never_looked_at() -> None:
    items = np.zeros(400, np.int64)
    places = np.repeat([1, 2], 200)

    assert examination(items, places, places == 1).tolist() == [1, np.float32(LOWEST)]
