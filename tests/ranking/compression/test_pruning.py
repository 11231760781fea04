import numpy as np
import pytest
import torch

from ranking.compression.pruning import (
    PrunedShape,
    PruneError,
    attentions,
    gated,
    importances,
    logits,
    ones,
    prune,
    strongest,
    without_others,
)
from ranking.features.context import Context
from ranking.features.definitions import NAMES
from ranking.network.cross_attention import CrossAttentionRanker
from ranking.network.examples import Example, RankedProducts, collate, labels_of
from ranking.network.model import RankerSettings
from ranking.network.shape import RankerShape
from retrieval.context_facts import FACT_BUCKETS

SHAPE = RankerShape(
    dim=8,
    heads=4,
    head_dim=2,
    hidden=10,
    layers=2,
    points=3,
    vector_dim=6,
    num_features=len(NAMES),
    bins=4,
    num_facts=FACT_BUCKETS,
)
SETTINGS = RankerSettings(dim=8, heads=4, layers=2, epochs=1, learning_rate=1e-3)
PRODUCTS = RankedProducts(np.empty((0, 6), np.float32), np.empty(0, np.int32))


@pytest.fixture
def network() -> CrossAttentionRanker:
    torch.manual_seed(0)
    return CrossAttentionRanker(SHAPE).eval()


@pytest.fixture
def tokens() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(30, 8)).astype(np.float16)


@pytest.fixture
def examples() -> list[Example]:
    random = np.random.default_rng(1)
    return [
        Example(
            rows=random.choice(30, 9, replace=False),
            features=random.normal(size=(9, len(NAMES))).astype(np.float32),
            labels=labels_of(purchase=np.arange(9) < 2),
            context=Context(
                random.normal(size=6).astype(np.float32),
                np.array([3, 4, -1]),
                np.zeros((3, 2), np.float32),
                np.array([5, 9, 0]),
            ),
        )
        for _ in range(6)
    ]


def test_a_pruned_ranker_scores_as_the_whole_one_with_the_rest_shut_off(
    network: CrossAttentionRanker, tokens: np.ndarray, examples: list[Example]
) -> None:
    random = np.random.default_rng(2)
    kept = {
        name: PrunedShape(
            np.sort(random.choice(4, 3, replace=False)),
            np.sort(random.choice(10, 6, replace=False)),
        )
        for name in attentions(network)
    }
    batch = collate(examples, PRODUCTS)

    smaller = prune(network, kept)

    assert (smaller.shape.heads, smaller.shape.hidden) == (3, 6)
    with torch.inference_mode():
        whole = logits(network, tokens, batch)
        with gated(network, without_others(network, kept)):
            masked = logits(network, tokens, batch)
        torch.testing.assert_close(logits(smaller, tokens, batch), masked)
        assert not torch.allclose(masked, whole)
        torch.testing.assert_close(logits(network, tokens, batch), whole)


def test_a_ranker_with_all_that_it_had_scores_the_same(
    network: CrossAttentionRanker, tokens: np.ndarray, examples: list[Example]
) -> None:
    batch = collate(examples, PRODUCTS)

    same = prune(network, strongest(ones(network), 4, 10))

    with torch.inference_mode():
        torch.testing.assert_close(logits(same, tokens, batch), logits(network, tokens, batch))


def test_heads_and_units_that_say_nothing_matter_nothing_and_go_first(
    network: CrossAttentionRanker, tokens: np.ndarray, examples: list[Example]
) -> None:
    with torch.no_grad():
        for attention in attentions(network).values():
            attention.to_out.weight[:, 2:4] = 0  # the second head
            attention.feed_forward[3].weight[:, 7] = 0

    found = importances(network, tokens, examples, SETTINGS)
    kept = strongest(found, heads=3, hidden=9)

    assert len(found) == 4  # two layers, to the points and from them
    for name, gates in found.items():
        assert gates.heads[1] == 0
        assert gates.hidden[7] == 0
        assert (gates.heads[[0, 2, 3]] > 0).all()
        assert kept[name].heads.tolist() == [0, 2, 3]
        assert 7 not in kept[name].hidden


def test_importance_foretells_what_shutting_a_little_does_to_the_loss(
    network: CrossAttentionRanker, tokens: np.ndarray, examples: list[Example]
) -> None:
    """The first order of Taylor's series: a small step on one gate moves the loss by so much."""
    from ranking.network.training import loss

    found = importances(network, tokens, examples[:1], SETTINGS)
    batch = collate(examples[:1], PRODUCTS)
    gates = ones(network)
    step = 1e-2
    losses = []
    for change in (-step, step):
        gates["attend.0"].heads[1] = 1 + change
        with torch.no_grad(), gated(network, gates):
            losses.append(float(loss(logits(network, tokens, batch), batch, SETTINGS)))

    slope = abs(losses[1] - losses[0]) / (2 * step)
    assert float(found["attend.0"].heads[1]) == pytest.approx(slope, rel=0.05, abs=1e-5)


@pytest.mark.parametrize(
    ("heads", "hidden", "message"),
    [(0, 5, "0 heads are to be kept of 4; keep 1 to 4"), (2, 11, "11 hidden are to be kept of 10")],
)
def test_more_than_there_is_cannot_be_kept(
    network: CrossAttentionRanker, heads: int, hidden: int, message: str
) -> None:
    with pytest.raises(PruneError, match=message):
        strongest(ones(network), heads, hidden)
