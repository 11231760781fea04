import numpy as np
import pytest

from ranking.compression.distillation import distil, soften
from ranking.features.context import Context
from ranking.features.definitions import NAMES
from ranking.network.examples import Example, RankedProducts, labels_of
from ranking.network.model import RankerSettings
from ranking.network.shape import OUTCOMES
from ranking.network.validation import mean_ndcg
from retrieval.context_facts import MAX_FACTS

FEATURE = NAMES.index("frequency_60")
PURCHASE = OUTCOMES.index("purchase")
MOVING = 30  # features; the others stand still, so that more of them make no test harder


def example(random: np.random.Generator, *, known: bool = True) -> Example:
    features = np.zeros((10, len(NAMES)), np.float32)
    features[:, :MOVING] = random.normal(size=(10, MOVING))
    bought = features[:, FEATURE] > 0.8
    return Example(
        rows=random.choice(30, 10, replace=False),
        features=features,
        labels=labels_of(purchase=bought if known else random.random(10) < 0.2),
        context=Context(
            None, np.array([-1]), np.zeros((1, 2), np.float32), np.zeros(MAX_FACTS, np.int64)
        ),
    )


def says(one: Example) -> np.ndarray:
    return (8 * (one.features[:, FEATURE] - 0.8)).astype(np.float32)


def test_a_label_is_mixed_with_what_the_teacher_says() -> None:
    one = example(np.random.default_rng(0))

    mixed = soften(one, np.zeros(10, np.float32), "purchase", 0.5).labels

    np.testing.assert_allclose(mixed[:, PURCHASE], 0.25 + 0.5 * one.wanted())
    assert np.isnan(np.delete(mixed, PURCHASE, axis=1)).all()
    assert set(one.labels[:, PURCHASE].tolist()) == {0.0, 1.0}  # the example itself is as before


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="give one from 0 to 1"):
        soften(example(np.random.default_rng(0)), np.zeros(10, np.float32), "purchase", share)


def test_a_small_ranker_learns_from_its_teacher_what_the_labels_do_not_say() -> None:
    random = np.random.default_rng(1)
    products = RankedProducts(
        random.normal(size=(30, 6)).astype(np.float32), np.zeros(30, np.int32)
    )
    noisy = [example(random, known=False) for _ in range(100)]
    true = [example(random) for _ in range(30)]
    settings = RankerSettings(dim=8, heads=2, layers=1, points=0, epochs=10, learning_rate=1e-2)

    found = distil(says, "purchase", noisy, true, products, settings, share=1.0)
    alone = distil(says, "purchase", noisy, true, products, settings, share=0.0)

    learnt, unlearnt = (mean_ndcg(one.model, true, products) for one in (found, alone))
    assert learnt > 0.9
    assert learnt > unlearnt + 0.1
