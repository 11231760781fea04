import numpy as np
import pytest

from benchmarks.ranking.trees import grow
from ranking.features.context import Context
from ranking.features.definitions import NAMES
from ranking.network.examples import Example, labels_of
from retrieval.context_facts import NO_FACTS

lightgbm = pytest.importorskip("lightgbm")
CANDIDATES = 40


def request(random: np.random.Generator, *, search: bool = False) -> Example:
    """What is bought follows the first feature."""
    features = random.normal(size=(CANDIDATES, len(NAMES))).astype(np.float32)
    query = np.ones(4, np.float32) if search else None
    return Example(
        rows=np.arange(CANDIDATES),
        features=features,
        labels=labels_of(purchase=features[:, 0] > 1),
        context=Context(query, np.full(2, -1), np.zeros((2, 2), np.float32), NO_FACTS),
    )


@pytest.fixture
def requests() -> list[Example]:
    random = np.random.default_rng(0)
    return [request(random, search=i % 3 == 0) for i in range(120)]


def test_trees_learn_from_every_candidate_of_every_request(
    requests: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: list[int] = []
    whole = lightgbm.Dataset

    def data(features: list[np.ndarray], labels: np.ndarray, **given: object) -> object:
        learnt.extend(len(part) for part in features)
        return whole(features, labels, **given)

    monkeypatch.setattr(lightgbm, "Dataset", data)

    grow(requests[:90], requests[90:], [{"num_leaves": 7}], rounds=1)

    assert learnt == [CANDIDATES] * 90


def test_the_choice_of_trees_hangs_on_the_validation_requests_alone(
    requests: list[Example],
) -> None:
    choices = [{"num_leaves": 7, "learning_rate": rate} for rate in (1e-9, 0.3)]

    good = grow(requests[:90], requests[90:], choices, rounds=20)
    turned = [one._replace(features=-one.features) for one in requests[90:]]
    bad = grow(requests[:90], turned, choices, rounds=20)

    figures = [
        [float(one.split("nDCG@20 ")[1].split()[0]) for one in trees.told] for trees in (good, bad)
    ]
    assert min(figures[0]) > 0.9
    assert max(figures[1]) < 0.5
    [scores] = good.scores(requests[90:91])
    assert np.corrcoef(scores, requests[90].features[:, 0])[0, 1] > 0.6
