from math import nan
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta

from ranking.creatives.thompson import (
    CreativeCounts,
    CreativeDraw,
    CreativeError,
    draw,
    propensities,
    redraw,
)
from tests.assertions import each, every

KNOWN = ((4_000, 40), (6_000, 93), (500, 4), (0, 0))


def counts(*pairs: tuple[int, int]) -> tuple[CreativeCounts, ...]:
    return tuple(
        CreativeCounts(creative=f"c{i}", views=views, clicks=clicks)
        for i, (views, clicks) in enumerate(pairs)
    )


def integral(pairs: tuple[tuple[int, int], ...], place: int) -> float:
    """Return the same probability by scipy's adaptive quadrature."""
    arms = [beta(1 + clicks, 1 + views - clicks) for views, clicks in pairs]
    others = [arm for i, arm in enumerate(arms) if i != place]
    found, _ = quad(
        lambda x: arms[place].pdf(x) * np.prod([arm.cdf(x) for arm in others]),
        0,
        1,
        points=[arm.mean() for arm in arms],
        epsabs=1e-11,
        limit=500,
    )
    return float(found)


def test_propensities_are_the_probabilities_to_be_the_best() -> None:
    found = propensities(counts(*KNOWN))

    assert found == pytest.approx([integral(KNOWN, i) for i in range(4)], abs=1e-8)


def test_two_creatives_have_the_closed_form() -> None:
    """P(Beta(1, 1 + n) > Beta(1, 1 + m)) = (m + 1) / (n + m + 2)."""
    assert propensities(counts((7, 0), (2, 0))) == pytest.approx([3 / 11, 8 / 11], abs=1e-12)


def test_equal_counts_are_equally_probable_and_one_creative_is_certain() -> None:
    assert propensities(counts(*[(900, 9)] * 5)) == pytest.approx([0.2] * 5, abs=1e-12)
    assert propensities(counts((5, 1))) == [1.0]


@pytest.mark.parametrize(
    "pairs",
    [
        ((10**9, 10**7), (10**9, 10**7 + 3_000), (3, 0)),
        ((10**9, 0), (10**9, 10**9)),
        ((10**9, 10**9), (10**9, 10**9)),
        ((0, 0), (10**9, 10**6)),
        tuple((i, 0) for i in range(100)),
    ],
)
def test_propensities_add_up_to_one_however_different_the_counts(
    pairs: tuple[tuple[int, int], ...],
) -> None:
    found = propensities(counts(*pairs))

    assert sum(found) == pytest.approx(1, abs=1e-12)
    assert every(0 <= share <= 1 for share in found)


def test_creatives_are_drawn_as_often_as_is_logged() -> None:
    given = counts(*KNOWN)
    shares = propensities(given)

    draws = [draw(given, seed).creative for seed in range(2_000)]

    for i, share in each(enumerate(shares)):
        often = draws.count(f"c{i}") / 2_000
        assert abs(often - share) < 4 * (share * (1 - share) / 2_000) ** 0.5 + 1e-9


def test_a_logged_draw_is_drawn_again_from_its_json() -> None:
    random = np.random.default_rng(4)

    for _ in range(200):
        views = random.integers(0, 10_000, 4)
        pairs = list(zip(views.tolist(), random.binomial(views, 0.01).tolist(), strict=True))
        logged = draw(counts(*pairs), int(random.integers(2**63)))

        again = redraw(msgspec.json.decode(msgspec.json.encode(logged), type=CreativeDraw))

        assert again.creative == logged.creative
        assert abs(again.propensity - logged.propensity) <= 1e-12


def test_the_order_of_creatives_changes_nothing() -> None:
    given = counts(*KNOWN)

    assert [draw(given, seed) for seed in range(50)] == [draw(given[::-1], s) for s in range(50)]


def test_the_propensity_is_that_of_the_draw_among_what_remains() -> None:
    given = counts(*KNOWN)

    remaining = draw(given[:2], 5)

    assert {one.creative for one in remaining.counts} == {"c0", "c1"}
    assert remaining.propensity in propensities(given[:2])


def test_more_clicks_are_never_drawn_less() -> None:
    shares = [propensities(counts((1_000, clicks), (1_000, 10)))[0] for clicks in range(30)]

    assert shares == sorted(shares)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"views": -1}, "views"),
        ({"views": 1.5}, "views"),
        ({"views": 10**9 + 1}, "views"),
        ({"views": 2**64}, "views"),
        ({"views": nan}, "views"),
        ({"views": True}, "views"),
        ({"clicks": 6}, "clicks"),
        ({"clicks": -1}, "clicks"),
        ({"creative": ""}, "creative"),
    ],
)
def test_counts_that_cannot_be_are_refused_by_name(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(CreativeError, match=f"^{field}: "):
        CreativeCounts(**{"creative": "c", "views": 5, "clicks": 1, **fields})


@pytest.mark.parametrize("seed", [-1, 2**64, 0.5, None, True])
def test_a_wrong_seed_is_refused(seed: Any) -> None:
    with pytest.raises(CreativeError, match=r"^seed: "):
        draw(counts((1, 0)), seed)


@pytest.mark.parametrize("given", [(), counts(*[(1, 0)] * 101), counts((1, 0)) * 2])
def test_no_creative_too_many_and_repeated_ones_are_refused(given: tuple) -> None:
    with pytest.raises(CreativeError, match=r"^counts: "):
        draw(given, 1)


def test_a_seed_draws_the_same_on_every_machine_and_in_every_version() -> None:
    given = counts(*[(0, 0)] * 4)

    drawn = [draw(given, seed).creative for seed in range(12)]

    assert drawn == ["c3", "c1", "c3", "c2", "c0", "c2", "c0", "c1", "c0", "c0", "c0", "c1"]
    assert draw(given, 2**64 - 1).creative == "c3"
