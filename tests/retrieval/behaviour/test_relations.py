"""Tables learned from purchases, on logs small enough to solve by hand."""

import numpy as np
import pytest
from scipy import sparse

from index import ExactIndex, Hits
from retrieval.behaviour.cold_start import nearest_content
from retrieval.behaviour.ease import EaseSettings, ease, memory_mb, participants
from retrieval.behaviour.item_to_item import SHRINKAGE, next_after, together
from retrieval.behaviour.neighbours import (
    Neighbours,
    TooLittleMemory,
    block_ends,
    relate,
    strongest,
)
from retrieval.behaviour.purchases import DAY, Purchases
from retrieval.behaviour.relations import BehaviourSettings, ease_scores
from retrieval.behaviour.tables import Behaviour
from retrieval.channels.habit import EaseChannel, NextChannel, ScoredChannel, SeasonChannel
from retrieval.encoded_query import EncodedQuery
from tests.assertions import each

UNTIL = 1_000 * DAY
WANTED = np.array([[1, 1, 0], [1, 0, 1], [1, 1, 1], [0, 1, 0]], float)


def log_of(*baskets: tuple[int, int, tuple[int, ...]]) -> Purchases:
    """Baskets as user, day and products."""
    lines = [(u, p, d * DAY, b) for b, (u, d, rows) in enumerate(baskets) for p in rows]
    users, rows, seconds, numbers = (np.array(column) for column in zip(*lines, strict=True))
    return Purchases(
        users.astype(np.int32),
        rows.astype(np.int32),
        seconds.astype(np.int64),
        numbers.astype(np.int64),
    )


def dense(table: Neighbours, size: int) -> np.ndarray:
    found = np.zeros((size, size))
    rows, places = np.nonzero(table.rows >= 0)
    found[rows, table.rows[rows, places]] = table.weights[rows, places]
    return found


def by_the_paper(wanted: np.ndarray, regularisation: float) -> np.ndarray:
    inverse = np.linalg.inv(wanted.T @ wanted + regularisation * np.eye(wanted.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


@pytest.mark.parametrize("num_users", [4, 2])  # fewer users than products: by the users' inverse
def test_ease_is_the_closed_form_from_either_side(num_users: int) -> None:
    wanted = WANTED[:num_users]

    table = ease(sparse.csr_matrix(wanted), EaseSettings(regularisation=0.5, neighbours=3))

    np.testing.assert_allclose(dense(table, 3), by_the_paper(wanted, 0.5), atol=1e-5)


def test_ease_keeps_the_weights_furthest_from_nothing_for_and_against() -> None:
    wanted = np.random.default_rng(0).integers(0, 2, (40, 8)).astype(float)
    exact = by_the_paper(wanted, 1.0)

    table = ease(sparse.csr_matrix(wanted), EaseSettings(regularisation=1.0, neighbours=3))

    assert (table.weights < 0).any()
    for row in range(8):
        strongest = np.sort(np.abs(exact[row]))[::-1][:3]
        np.testing.assert_allclose(np.abs(table.weights[row]), strongest, atol=1e-5)


def test_ease_leaves_the_least_bought_products_out_where_memory_is_short() -> None:
    random = np.random.default_rng(0)
    wanted = sparse.csr_matrix(
        (random.random((900, 800)) < np.linspace(0.4, 0.01, 800)).astype(float)
    )
    bound = memory_mb(400, 400)

    chosen = participants(wanted, EaseSettings(max_memory_mb=bound))

    assert 300 < len(chosen) <= 400
    assert memory_mb(len(chosen), len(chosen)) <= bound
    assert chosen.mean() < 250


def test_ease_without_any_memory_says_what_it_needs() -> None:
    with pytest.raises(TooLittleMemory, match=r"max_memory_mb is 0.*needs 1 MB"):
        ease(sparse.csr_matrix(WANTED), EaseSettings(max_memory_mb=0))


def test_products_of_one_basket_are_near_by_the_cosine_of_their_baskets() -> None:
    log = log_of((0, 1, (0, 1)), (0, 2, (0, 1, 2)), (1, 1, (0, 2)), (2, 1, (3, 1)))

    found = dense(together(log, 4, 3, 100), 4)

    sizes = np.array([3, 3, 2, 1]) + SHRINKAGE
    assert found[0, 1] == pytest.approx(2 / np.sqrt(sizes[0] * sizes[1]))
    assert found[0, 2] == pytest.approx(2 / np.sqrt(sizes[0] * sizes[2]))
    assert found[0, 3] == 0
    np.testing.assert_allclose(found, found.T)


def test_without_baskets_what_is_close_in_a_users_time_goes_together() -> None:
    log = log_of(*((user, day, (day,)) for user in range(2) for day in range(4)))

    found = dense(together(log, 4, 3, 100), 4)

    assert found[0, 1] > found[0, 2] > found[0, 3] > 0
    np.testing.assert_allclose(found, found.T)


def test_what_comes_next_has_a_direction() -> None:
    log = log_of((0, 1, (0,)), (0, 5, (1,)), (1, 2, (0,)), (1, 3, (1,)), (2, 1, (2,)))

    found = dense(next_after(log, 3, 3, 100), 3)

    assert found[0, 1] == pytest.approx(2 / np.sqrt((2 + SHRINKAGE) ** 2))
    assert found[1, 0] == 0
    assert not found[2].any()


def test_block_by_block_is_the_same_as_at_once() -> None:
    held = sparse.random(3_000, 400, 0.05, "csr", np.float32, np.random.default_rng(0))
    scale = np.ones(400)
    work = held.astype(bool).astype(np.int64).T @ np.diff(held.indptr)

    small, large = (relate(held.T.tocsr(), held, scale, 10, mb) for mb in (1, 1_000))

    assert len(block_ends(np.asarray(work), 400, 1)) > 3
    np.testing.assert_array_equal(small.rows, large.rows)
    np.testing.assert_array_equal(small.weights, large.weights)


def test_the_strongest_are_those_of_a_full_sort_ties_by_the_lower_column() -> None:
    values = np.random.default_rng(0).integers(-3, 4, (50, 40)).astype(float)  # full of ties
    block = sparse.csr_matrix(values)

    table = strongest(block, 7)

    for row in range(50):
        order = np.lexsort((np.arange(40), -np.abs(values[row])))[:7]
        assert table.rows[row].tolist() == order.tolist()
        assert table.weights[row].tolist() == values[row, order].tolist()


def test_a_row_that_may_not_fit_is_refused_before_the_work() -> None:
    with pytest.raises(TooLittleMemory, match="give it at least 39"):
        block_ends(np.array([1_000_000]), 1_000_000, 10)


def test_a_product_never_bought_is_proposed_to_who_buys_what_looks_like_it() -> None:
    log = log_of(
        *((user, 990 + day, (user % 2, 2 + user % 2)) for user in range(20) for day in (0, 5))
    )
    vectors = np.eye(6, 6, dtype=np.float32)
    vectors[4] = (0.9, 0, 0, 0, np.sqrt(1 - 0.81), 0)  # looks like product 0
    cold = np.array([False] * 4 + [True] * 2)
    content = nearest_content(ExactIndex(vectors), vectors, cold)
    settings = BehaviourSettings(ease=EaseSettings(regularisation=1.0))
    names = np.array([f"u{i:02}" for i in range(20)])
    behaviour = Behaviour.build(names, log, 6, UNTIL, settings, content)

    def asked(user: str) -> EncodedQuery:
        return EncodedQuery(history=behaviour.history(user, UNTIL), at_seconds=UNTIL)

    buyer, other = (EaseChannel(behaviour).propose(asked(user), 10) for user in ("u00", "u01"))

    assert buyer is not None
    assert other is not None
    assert 4 in buyer.rows
    assert 4 not in other.rows
    assert 5 not in buyer.rows
    scores = ease_scores(behaviour.relations, asked("u00").history, UNTIL)
    assert 0 < scores[4] < scores.max()


@pytest.mark.parametrize(("most_pairs", "searches"), [(0, 1), (1_000, 0)])
def test_products_that_look_the_same_are_sought_once_and_each_gets_the_answer(
    monkeypatch: pytest.MonkeyPatch, most_pairs: int, searches: int
) -> None:
    monkeypatch.setattr("retrieval.behaviour.cold_start.MOST_PAIRS", most_pairs)
    vectors = np.eye(5, 5, dtype=np.float32)[[0, 1, 2, 2, 1, 2]]
    vectors[[2, 3, 5], 0] = 0.5
    index = Counting(vectors)

    content = nearest_content(index, vectors, np.array([False, False, True, True, False, True]))

    assert index.asked == searches
    assert content.rows.tolist() == [2, 3, 5]
    assert content.near[:, 0].tolist() == [0, 0, 0]
    assert content.similarities[:, 0].tolist() == [0.5, 0.5, 0.5]


class Counting(ExactIndex):
    """An index that counts the queries."""

    asked = 0

    def search(self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> list[Hits]:
        self.asked += len(queries)
        return super().search(queries, k, allowed)


def test_the_numbers_of_a_request_are_made_once_and_those_of_the_next_anew() -> None:
    class Numbered(ScoredChannel):
        made = 0

        def scores(self, ask: EncodedQuery) -> np.ndarray:
            self.made += 1
            return np.full(3, self.made, np.float32)

    channel, first, second = Numbered(), EncodedQuery(), EncodedQuery()
    rows = np.arange(3)

    once = (channel.propose(first, 1), channel.score(first, rows), channel.score(first, rows))
    other = channel.score(second, rows)

    assert channel.made == 2
    assert once[0] is not None
    assert once[0].scores.tolist() == [1.0]
    assert other is not None
    assert other.tolist() == [2.0, 2.0, 2.0]


def test_what_follows_the_last_basket_is_proposed() -> None:
    log = log_of(*((user, day, (day % 3,)) for user in range(5) for day in range(3)))
    behaviour = Behaviour.build(np.array(list("abcde")), log, 4, UNTIL)
    history = behaviour.history("a", 2 * DAY)

    hits = NextChannel(behaviour).propose(EncodedQuery(history=history, at_seconds=2 * DAY), 4)

    assert hits is not None
    assert hits.rows[0] == 2


def second(day: str) -> int:
    return int(np.datetime64(day, "s").astype(int))


def test_a_season_is_that_of_last_year_and_silent_without_one() -> None:
    days = [second(day) // DAY for day in ("2010-12-12", "2011-02-12", "2011-09-20")]
    log = log_of(*((0, day, (row,)) for row, day in enumerate(days)))
    channel = SeasonChannel(Behaviour.build(np.array(["a"]), log, 3, second("2011-10-01")))

    hits = channel.propose(EncodedQuery(at_seconds=second("2011-12-10")), 3)

    assert hits is not None
    assert hits.rows.tolist() == [0]
    assert channel.propose(EncodedQuery(at_seconds=second("2011-10-01")), 3) is None


def test_tables_of_channels_that_are_off_are_not_learned() -> None:
    log = log_of((0, 1, (0, 1)), (0, 2, (0, 1)))

    behaviour = Behaviour.build(np.array(["a"]), log, 2, UNTIL, BehaviourSettings(tables=()))

    assert (
        behaviour.relations.ease.rows.size
        == behaviour.relations.together.rows.size
        == behaviour.season.size
        == 0
    )


def test_nothing_at_or_after_the_moment_is_in_any_table() -> None:
    log = log_of((0, 998, (0, 1)), (0, 999, (0, 1)), (0, 1_000, (2, 0)), (1, 1_001, (2, 1)))
    seen = Purchases(*(column[log.seconds < UNTIL] for column in log))

    whole, past = (Behaviour.build(np.array(["a", "b"]), part, 3, UNTIL) for part in (log, seen))

    for name, array in each(whole._arrays().items()):
        np.testing.assert_array_equal(array, past._arrays()[name], err_msg=name)
