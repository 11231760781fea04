from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from ranking.context import Context
from ranking.features import NAMES
from ranking.ranker import Ranker, UnfitLogits, UnknownRanker, save
from ranking.training import (
    Example,
    Products,
    Settings,
    Trained,
    collate,
    list_loss,
    mean_ndcg,
    mean_retrieved_ndcg,
    ndcg,
    point_loss,
    train,
    worth,
)
from retrieval.scenes import FACT_BUCKETS, MAX_FACTS

SETTINGS = Settings(dim=8, heads=2, layers=1, epochs=20, learning_rate=1e-2)
FEATURE = NAMES.index("frequency_60")


@pytest.fixture(scope="module")
def products() -> Products:
    random = np.random.default_rng(0)
    return Products(
        random.normal(size=(30, 6)).astype(np.float32), np.arange(30, dtype=np.int32) % 3
    )


def example(random: np.random.Generator, count: int) -> Example:
    """What is bought follows one feature; every second request was also asked in words."""
    features = random.normal(size=(count, len(NAMES))).astype(np.float32)
    recent = np.array([*random.integers(0, 30, 2), -1])
    facts = np.zeros(MAX_FACTS, np.int64)
    facts[:2] = random.integers(1, FACT_BUCKETS, 2)
    query = random.normal(size=6).astype(np.float32) if count % 2 else None
    return Example(
        rows=random.choice(30, count, replace=False),
        features=features,
        labels=features[:, FEATURE] > 0.8,
        context=Context(query, recent, np.zeros((3, 2), np.float32), facts),
    )


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    random = np.random.default_rng(1)
    return [example(random, 8 + i % 5) for i in range(120)]


@pytest.fixture(scope="module")
def trained(examples: list[Example], products: Products) -> Trained:
    return train(examples[:100], examples[100:], products, SETTINGS)


def test_training_finds_the_feature_that_decides(
    trained: Trained, examples: list[Example], products: Products
) -> None:
    assert mean_ndcg(trained.model, examples[100:], products) > 0.9
    assert len(trained.ndcg_by_epoch) == SETTINGS.epochs


def test_the_same_seed_gives_the_same_ranker(
    trained: Trained, examples: list[Example], products: Products
) -> None:
    again = train(examples[:100], examples[100:], products, SETTINGS)

    for one, other in zip(trained.model.parameters(), again.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_saved_ranker_gives_the_scores_of_training(
    trained: Trained, examples: list[Example], products: Products, tmp_path: Path
) -> None:
    save(trained.model, products, SETTINGS, ("search",), tmp_path)
    ranker = Ranker.open(tmp_path)

    for asked in examples[:10]:
        served = ranker.rank(asked.rows, asked.features, asked.context).logits
        batch = collate([asked], products)
        with torch.inference_mode():
            learned = trained.model(products, batch)[0].numpy()

        np.testing.assert_allclose(served, learned, atol=1e-5)


def test_a_ranker_knows_where_it_was_better(
    trained: Trained, examples: list[Example], products: Products, tmp_path: Path
) -> None:
    found = worth(trained.model, examples[100:], products)
    save(trained.model, products, SETTINGS, ("search",), tmp_path)
    ranker = Ranker.open(tmp_path)

    assert set(found) == {"search", "recommendation"}
    assert all(w.ranked > w.retrieved for w in found.values())
    assert ranker.is_better("search")
    assert not ranker.is_better("recommendation")


def test_the_order_of_retrieval_is_the_order_of_the_candidates(examples: list[Example]) -> None:
    best_first = [e._replace(labels=np.arange(len(e.rows)) < 2, rows=e.rows) for e in examples[:5]]

    assert mean_retrieved_ndcg(best_first) == 1.0


def test_a_request_scores_the_same_in_any_batch(
    trained: Trained, examples: list[Example], products: Products
) -> None:
    with torch.inference_mode():
        together = trained.model(products, collate(examples[:6], products))
        for place, asked in enumerate(examples[:6]):
            alone = trained.model(products, collate([asked], products))[0]

            torch.testing.assert_close(
                together[place, : len(asked.rows)], alone, rtol=1e-4, atol=1e-5
            )


def test_a_ranker_of_other_features_is_refused(
    trained: Trained, products: Products, tmp_path: Path
) -> None:
    save(trained.model, products, SETTINGS, ("search",), tmp_path)
    about = msgspec.json.decode((tmp_path / "ranker.json").read_bytes())
    about["features"][3] = "moon_phase"
    (tmp_path / "ranker.json").write_bytes(msgspec.json.encode(about))

    with pytest.raises(UnknownRanker, match=r"days_since, moon_phase\); build again"):
        Ranker.open(tmp_path)


def test_a_ranker_that_answers_nan_is_caught(
    trained: Trained, examples: list[Example], products: Products, tmp_path: Path
) -> None:
    save(trained.model, products, SETTINGS, ("search",), tmp_path)
    ranker = Ranker.open(tmp_path)
    broken = examples[0].features.copy()
    broken[2, 0] = np.nan

    with pytest.raises(UnfitLogits, match="1 of 8 logits"):
        ranker.rank(examples[0].rows, broken, examples[0].context)


def test_padding_does_not_change_a_loss() -> None:
    logits, labels = torch.randn(2, 4), torch.tensor([[1.0, 0, 0, 1], [0, 1, 0, 0]])
    kept = torch.ones(2, 4, dtype=torch.bool)
    wide = torch.cat([logits, torch.full((2, 3), 50.0)], dim=1)
    wide_labels = torch.cat([labels, torch.zeros(2, 3)], dim=1)
    wide_kept = torch.cat([kept, torch.zeros(2, 3, dtype=torch.bool)], dim=1)

    for loss in (list_loss, point_loss):
        torch.testing.assert_close(loss(logits, labels, kept), loss(wide, wide_labels, wide_kept))


def test_losses_are_what_the_formulas_say() -> None:
    logits, labels = torch.tensor([[0.0, 0.0, 0.0, 0.0]]), torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    kept = torch.ones(1, 4, dtype=torch.bool)

    assert list_loss(logits, labels, kept).item() == pytest.approx(np.log(4), rel=1e-6)
    assert point_loss(logits, labels, kept).item() == pytest.approx(np.log(2), rel=1e-6)


def test_ndcg_is_what_the_formula_says() -> None:
    bought = np.array([False, True, False, True])

    found = ndcg(np.array([4, 3, 2, 1], np.float32), bought)

    assert found == pytest.approx((1 / np.log2(3) + 1 / np.log2(5)) / (1 + 1 / np.log2(3)))
