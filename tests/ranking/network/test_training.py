from copy import deepcopy
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from ranking.calibration.calibration import KINDS, SIGMOID, head_name
from ranking.features.context import Context
from ranking.features.definitions import NAMES
from ranking.network.cross_attention import OUTCOMES
from ranking.network.examples import Example, RankedProducts, collate, labels_of, thinned
from ranking.network.losses import ORDER_LOSSES, VALUE_LOSSES
from ranking.network.model import Model, RankerSettings, shape_of
from ranking.network.training import Progress, TrainedRanker, loss, train
from ranking.network.validation import (
    mean_ndcg,
    mean_retrieved_ndcg,
    ndcg_of_logits,
    scores,
    strongest,
    validation_ndcg,
)
from ranking.ranker import Ranker, UnfitLogits, UnknownRanker, save
from retrieval.context_facts import FACT_BUCKETS, MAX_FACTS
from tests.assertions import each, every

SETTINGS = RankerSettings(dim=8, heads=2, layers=1, epochs=12, learning_rate=1e-2)
FEATURE = NAMES.index("frequency_60")
PURCHASE = OUTCOMES.index("purchase")
MOVING = 30  # features; the others stand still, so that more of them make no test harder

SEEN, NEW = (1 << 40, (1 << 61) + 3), 77_777  # codes of facts


def facts_of(which: int) -> np.ndarray:
    facts = np.zeros(MAX_FACTS, np.int64)
    facts[0] = SEEN[which]
    return facts


@pytest.fixture(scope="module")
def products() -> RankedProducts:
    random = np.random.default_rng(0)
    return RankedProducts(
        random.normal(size=(30, 6)).astype(np.float32), np.arange(30, dtype=np.int32) % 3
    )


def example(random: np.random.Generator, count: int) -> Example:
    """What is bought follows one feature; every second request was also asked in words."""
    features = np.zeros((count, len(NAMES)), np.float32)
    features[:, :MOVING] = random.normal(size=(count, MOVING))
    recent = np.array([*random.integers(0, 30, 2), -1])
    facts = np.zeros(MAX_FACTS, np.int64)
    facts[:2] = random.integers(1, FACT_BUCKETS, 2)
    query = random.normal(size=6).astype(np.float32) if count % 2 else None
    return Example(
        rows=random.choice(30, count, replace=False),
        features=features,
        labels=labels_of(purchase=features[:, FEATURE] > 0.8),
        context=Context(query, recent, np.zeros((3, 2), np.float32), facts),
    )


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    random = np.random.default_rng(1)
    return [example(random, 8 + i % 5) for i in range(120)]


@pytest.fixture(scope="module")
def trained(examples: list[Example], products: RankedProducts) -> TrainedRanker:
    return train(examples[:100], examples[100:], products, SETTINGS)


def test_training_finds_the_feature_that_decides(
    trained: TrainedRanker, examples: list[Example], products: RankedProducts
) -> None:
    assert mean_ndcg(trained.model, examples[100:], products) > 0.9
    assert len(trained.ndcg_by_epoch) <= SETTINGS.epochs


def test_the_same_seed_gives_the_same_ranker(
    trained: TrainedRanker, examples: list[Example], products: RankedProducts
) -> None:
    again = train(examples[:100], examples[100:], products, SETTINGS)

    for one, other in each(zip(trained.model.parameters(), again.model.parameters(), strict=True)):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_saved_ranker_gives_the_scores_of_training(
    trained: TrainedRanker, examples: list[Example], products: RankedProducts, tmp_path: Path
) -> None:
    heads = {head_name(kind, "purchase"): SIGMOID for kind in KINDS}
    save(trained, products, ("search",), heads, tmp_path)
    ranker = Ranker.open(tmp_path)

    for asked in each(examples[:10]):
        served, said = ranker.rank(asked.rows, asked.features, asked.context)
        batch = collate([asked], products)
        with torch.inference_mode():
            learned = trained.model(products, batch)[0, :, PURCHASE].numpy()

        np.testing.assert_allclose(served, learned, atol=5e-3)  # tokens are kept in halves
        np.testing.assert_allclose(said["purchase"], 1 / (1 + np.exp(-served)), rtol=1e-6)


def test_a_fact_that_training_never_saw_is_left_out_when_served(
    examples: list[Example], products: RankedProducts, tmp_path: Path
) -> None:
    seen = [one._replace(context=one.context._replace(facts=facts_of(i % 2))) for i, one in
            enumerate(examples)]  # fmt: skip
    trained = train(seen[:100], seen[100:], products, SETTINGS._replace(epochs=2))
    save(trained, products, ("search",), {}, tmp_path)
    ranker, one = Ranker.open(tmp_path), seen[0]

    def logits(*codes: int) -> np.ndarray:
        context = one.context._replace(facts=np.array([*codes, 0], np.int64))
        return ranker.rank(one.rows, one.features, context).logits

    assert np.array_equal(logits(SEEN[0]), logits(SEEN[0], NEW))
    assert np.array_equal(logits(SEEN[0]), logits(NEW, SEEN[0]))
    assert not np.array_equal(logits(SEEN[0]), logits(SEEN[1]))
    assert trained.model.facts.codes == SEEN
    explained = ranker.explain(
        one.rows,
        one.features,
        one.context._replace(facts=np.array([NEW, SEEN[0], 0])),
        np.arange(2),
    )
    assert explained.attended.shape == (2, 1 + 2 + 2)  # query, recent products, facts
    assert (explained.attended[:, 3] == 0).all()
    assert (explained.attended[:, 4] > 0).all()
    np.testing.assert_allclose(explained.attended.sum(axis=1), 1, rtol=1e-5)


def test_the_scores_of_validation_leave_out_what_training_never_saw(
    trained: TrainedRanker, examples: list[Example], products: RankedProducts
) -> None:
    one = examples[0]._replace(context=examples[0].context._replace(facts=np.array([NEW, 0])))
    silent = one._replace(context=one.context._replace(facts=np.array([0, 0])))

    first, second = scores(trained.model, [one, silent], products)

    np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-6)


def test_a_ranker_that_does_not_say_which_facts_it_learnt_is_refused_by_name(
    trained: TrainedRanker, products: RankedProducts, tmp_path: Path
) -> None:
    save(trained, products, ("search",), {}, tmp_path)
    about = msgspec.json.decode((tmp_path / "ranker.json").read_bytes())
    del about["facts"]
    (tmp_path / "ranker.json").write_bytes(msgspec.json.encode(about))

    with pytest.raises(UnknownRanker, match="which facts it learnt; build again"):
        Ranker.open(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_request_has_only_probabilities_that_were_calibrated_on_it(
    kind: str,
    trained: TrainedRanker,
    examples: list[Example],
    products: RankedProducts,
    tmp_path: Path,
) -> None:
    save(trained, products, KINDS, {head_name(kind, "purchase"): SIGMOID}, tmp_path)
    ranker = Ranker.open(tmp_path)

    for one in each(examples[:10]):
        said = ranker.rank(one.rows, one.features, one.context).probabilities

        assert set(said) == ({"purchase"} if one.kind == kind else set())


def test_a_ranker_knows_where_it_was_better(
    trained: TrainedRanker, examples: list[Example], products: RankedProducts, tmp_path: Path
) -> None:
    found = validation_ndcg(trained.model, examples[100:], products)
    save(trained, products, ("search",), {"purchase": SIGMOID}, tmp_path)
    ranker = Ranker.open(tmp_path)

    assert set(found) == {"search", "recommendation"}
    assert every(w.ranked > w.retrieved for w in found.values())
    assert ranker.is_better("search")
    assert not ranker.is_better("recommendation")


def test_the_order_of_retrieval_is_the_order_of_the_candidates(examples: list[Example]) -> None:
    best_first = [
        e._replace(labels=labels_of(purchase=np.arange(len(e.rows)) < 2)) for e in examples[:5]
    ]

    assert mean_retrieved_ndcg(best_first) == 1.0


def test_what_was_bought_and_not_retrieved_counts_as_missed(examples: list[Example]) -> None:
    first = np.arange(8) < 2
    found = examples[0]._replace(rows=np.arange(8), labels=labels_of(purchase=first))
    half = found._replace(missed=2)
    nothing = found._replace(labels=labels_of(purchase=np.zeros(8)), missed=1)
    discounts = 1 / np.log2(np.arange(2, 6))

    assert mean_retrieved_ndcg([half]) == pytest.approx(discounts[:2].sum() / discounts.sum())
    assert mean_retrieved_ndcg([found, nothing]) == pytest.approx(0.5)
    assert mean_retrieved_ndcg([found, nothing._replace(missed=0)]) == 1  # nothing came of it


def test_a_request_scores_the_same_in_any_batch(
    trained: TrainedRanker, examples: list[Example], products: RankedProducts
) -> None:
    with torch.inference_mode():
        together = trained.model(products, collate(examples[:6], products))
        for place, asked in enumerate(examples[:6]):
            alone = trained.model(products, collate([asked], products))[0]

            torch.testing.assert_close(
                together[place, : len(asked.rows)], alone, rtol=1e-4, atol=1e-5
            )


def test_a_ranker_of_other_features_is_refused(
    trained: TrainedRanker, products: RankedProducts, tmp_path: Path
) -> None:
    save(trained, products, ("search",), {"purchase": SIGMOID}, tmp_path)
    about = msgspec.json.decode((tmp_path / "ranker.json").read_bytes())
    about["features"][3] = "moon_phase"
    (tmp_path / "ranker.json").write_bytes(msgspec.json.encode(about))

    with pytest.raises(UnknownRanker, match=r"days_since, moon_phase\); build again"):
        Ranker.open(tmp_path)


def test_a_ranker_that_answers_nan_is_caught(
    trained: TrainedRanker, examples: list[Example], products: RankedProducts, tmp_path: Path
) -> None:
    save(trained, products, ("search",), {"purchase": SIGMOID}, tmp_path)
    ranker = Ranker.open(tmp_path)
    broken = examples[0].features.copy()
    broken[2, 0] = np.nan

    with pytest.raises(UnfitLogits, match="8 of 8 logits"):
        ranker.rank(examples[0].rows, broken, examples[0].context)


def test_what_is_not_known_is_not_learnt_from(
    examples: list[Example], products: RankedProducts
) -> None:
    batch = collate(examples[:4], products)
    logits = torch.randn(4, batch.rows.shape[1], len(OUTCOMES), requires_grad=True)

    torch.autograd.backward(loss(logits, batch, SETTINGS))

    assert logits.grad is not None
    assert (logits.grad[..., PURCHASE] != 0).any()
    assert (logits.grad[..., [o for o in range(len(OUTCOMES)) if o != PURCHASE]] == 0).all()


def test_a_propensity_weighs_what_was_seldom_shown(
    examples: list[Example], products: RankedProducts
) -> None:
    shown = examples[0]._replace(weights=np.full(len(examples[0].rows), 4, np.float32))

    batch = collate([shown, examples[1]], products)

    came = torch.from_numpy(shown.wanted())
    weights = batch.weights[0, : len(shown.rows), PURCHASE]
    assert (weights[came] == 4).all()
    assert (weights[~came] == 1).all()  # what came to nothing may have been seen or not
    assert (batch.weights[1, : len(examples[1].rows), PURCHASE] == 1).all()


def test_a_thinned_request_keeps_what_was_wanted_and_counts_for_all(
    examples: list[Example],
) -> None:
    whole = next(e for e in examples if e.wanted().any() and len(e.rows) == 12)

    thin = thinned(whole, 6, np.random.default_rng(0))

    assert len(thin.rows) == 6
    assert set(whole.rows[whole.wanted()]) <= set(thin.rows)
    assert thin.stands_for is not None
    assert thin.stands_for.sum() == pytest.approx(12)
    assert (thin.stands_for[thin.wanted()] == 1).all()
    assert thinned(whole, 12, np.random.default_rng(0)) is whole
    soft = whole._replace(labels=labels_of(purchase=np.full(12, 0.1)))
    assert thinned(soft, 6, np.random.default_rng(0)) is soft


def test_the_strongest_outcome_known_orders(examples: list[Example]) -> None:
    clicks = [
        e._replace(labels=labels_of(click=e.wanted(), relevance=e.wanted())) for e in examples[:5]
    ]

    assert strongest(examples) == "purchase"
    assert strongest(clicks) == "click"
    assert strongest([]) == "purchase"


def test_every_loss_learns_the_order(examples: list[Example], products: RankedProducts) -> None:
    for order_loss, value_loss in product(ORDER_LOSSES, VALUE_LOSSES):
        if (order_loss, value_loss) != ("none", "none"):
            how = SETTINGS._replace(epochs=8, order_loss=order_loss, value_loss=value_loss)
            found = train(examples[:100], examples[100:], products, how)

            assert mean_ndcg(found.model, examples[100:], products) > 0.65, (order_loss, value_loss)


def test_a_training_without_gain_ends(examples: list[Example], products: RankedProducts) -> None:
    flat = [e._replace(labels=labels_of(purchase=np.ones(len(e.rows)))) for e in examples]

    found = train(flat[:20], flat[100:], products, SETTINGS._replace(patience=3))

    assert found.ndcg_by_epoch == (1.0,) * 4


def test_a_broken_training_goes_on_to_the_same_end(
    examples: list[Example], products: RankedProducts, trained: TrainedRanker
) -> None:
    class Broken(Exception):
        """The machine went down."""

    class Kept:
        """Holds what was saved, in memory."""

        state: tuple[Progress, dict[str, Any], dict[str, Any]] | None = None
        alive = True

        def load(self, model: Model, optimizer: torch.optim.Optimizer) -> Progress:
            if self.state is None:
                return Progress()
            model.load_state_dict(self.state[1])
            optimizer.load_state_dict(self.state[2])
            return self.state[0]

        def save(self, progress: Progress, model: Model, optimizer: torch.optim.Optimizer) -> None:
            self.state = deepcopy((progress, model.state_dict(), optimizer.state_dict()))
            if self.alive and len(progress.ndcg_by_epoch) == 3:
                self.alive = False
                raise Broken

    keeper = Kept()
    with pytest.raises(Broken):
        train(examples[:100], examples[100:], products, SETTINGS, keeper=keeper)
    found = train(examples[:100], examples[100:], products, SETTINGS, keeper=keeper)

    np.testing.assert_allclose(found.ndcg_by_epoch, trained.ndcg_by_epoch, atol=1e-3)


def test_heads_of_unequal_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="dim=10 cannot be split evenly among heads=4"):
        shape_of(SETTINGS._replace(dim=10, heads=4), 6)


def test_ndcg_is_what_the_formula_says() -> None:
    bought = np.array([False, True, False, True])

    found = ndcg_of_logits(np.array([4, 3, 2, 1], np.float32), bought)

    assert found == pytest.approx((1 / np.log2(3) + 1 / np.log2(5)) / (1 + 1 / np.log2(3)))


def test_propensities_bring_back_the_order_that_a_biased_page_hid(products: RankedProducts) -> None:
    """The worse product always stood on top, where everybody looks."""
    random = np.random.default_rng(3)
    worse, better = np.zeros(len(NAMES), np.float32), np.zeros(len(NAMES), np.float32)
    better[FEATURE] = 1
    looked, likes = np.array([1.0, 0.3]), np.array([0.3, 0.6])
    facts = np.zeros(MAX_FACTS, np.int64)
    context = Context(None, np.array([-1]), np.zeros((1, 2), np.float32), facts)
    lists = [
        Example(
            rows=np.array([0, 0]),
            features=np.stack([worse, better]),
            labels=labels_of(click=random.random(2) < looked * likes),
            context=context._replace(facts=np.append(facts[:-1], 1)),
        )
        for _ in range(600)
    ]
    weighed = [one._replace(weights=(1 / looked).astype(np.float32)) for one in lists]
    how = SETTINGS._replace(order_loss="listwise", value_loss="none", points=0, epochs=4)

    def prefers_the_better(shown: list[Example]) -> bool:
        came = [one for one in shown if one.came()]
        found = train(came, came[:50], products, how)
        [logits] = scores(found.model, lists[:1], products, "click")
        return bool(logits[1] > logits[0])

    assert not prefers_the_better(lists)
    assert prefers_the_better(weighed)
