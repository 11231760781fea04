from typing import Any

import numpy as np
import pytest

from pipelines.training.ranker import calibration
from pipelines.training.ranker.calibration import calibrate, logits_of
from ranking.calibration.calibration import KINDS, Part, head_name
from ranking.features.context import Context
from ranking.features.definitions import NAMES
from ranking.network.examples import Example, RankedProducts, labels_of
from ranking.network.model import Model, RankerSettings
from retrieval.context_facts import NO_FACTS
from tests.assertions import each

NUM_PRODUCTS, CANDIDATES = 40, 30
SHARES = {"recommendation": 0.4, "search": 0.05}  # of the candidates are bought


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.fixture
def products(rng: np.random.Generator) -> RankedProducts:
    vectors = rng.normal(size=(NUM_PRODUCTS, 6)).astype(np.float32)
    return RankedProducts(vectors, np.zeros(NUM_PRODUCTS, np.int32))


@pytest.fixture
def model(products: RankedProducts) -> Model:
    shape = RankerSettings(dim=8, heads=2, layers=1, epochs=1, learning_rate=1e-2)
    return Model(shape, products).eval()


def request(rng: np.random.Generator, kind: str, at_seconds: int, share: float) -> Example:
    recent = np.array([-1, -1])
    query = rng.normal(size=6).astype(np.float32) if kind == "search" else None
    return Example(
        rows=rng.choice(NUM_PRODUCTS, CANDIDATES, replace=False),
        features=rng.normal(size=(CANDIDATES, len(NAMES))).astype(np.float32),
        labels=labels_of(purchase=rng.random(CANDIDATES) < share),
        context=Context(query, recent, np.zeros((2, 2), np.float32), NO_FACTS),
        at_seconds=at_seconds,
    )


def logged(rng: np.random.Generator) -> list[Example]:
    return [request(rng, kind, at, SHARES[kind]) for at in range(60) for kind in KINDS]


def test_each_kind_of_request_has_probabilities_that_are_right_on_it(
    model: Model, products: RankedProducts, rng: np.random.Generator
) -> None:
    examples = logged(rng)

    found = calibrate(model, examples, products)

    for kind in KINDS:
        own = [one for one in examples if one.kind == kind]
        logits, labels = logits_of(model, own, products, "purchase")
        said = found[head_name(kind, "purchase")].calibration.probabilities(logits)
        assert said.mean() == pytest.approx(labels.mean(), abs=0.02)


def test_the_ranker_is_asked_only_about_outcomes_that_something_is_known_of(
    model: Model,
    products: RankedProducts,
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def note(*arguments: Any) -> Part:
        asked.append(arguments[-1])
        return logits_of(*arguments)

    monkeypatch.setattr(calibration, "logits_of", note)

    calibrate(model, logged(rng), products)

    assert set(asked) == {"purchase"}


def test_made_up_searches_calibrate_nothing(
    model: Model, products: RankedProducts, rng: np.random.Generator
) -> None:
    real = [one for one in logged(rng) if one.kind == "recommendation"]
    made_up = [request(rng, "search", at, 0.5)._replace(synthetic=True) for at in range(60)]

    alone, together = (calibrate(model, given, products) for given in (real, real + made_up))

    assert set(together) == {head_name("recommendation", "purchase")}
    assert alone == together


def test_which_calibration_is_better_is_told_by_requests_that_came_later(
    model: Model, products: RankedProducts, rng: np.random.Generator
) -> None:
    examples = [request(rng, "recommendation", at, 0.4) for at in range(60)]
    later = [
        one._replace(labels=labels_of(purchase=rng.random(CANDIDATES) < 0.9))
        if one.at_seconds >= 30
        else one
        for one in examples
    ]

    before, after = (calibrate(model, given, products)["purchase"] for given in (examples, later))

    for name in each(
        before.figures
    ):  # fitted on the earlier half: only what is measured on differs
        assert before.figures[name].mean_predicted == after.figures[name].mean_predicted
        assert after.figures[name].mean_observed > before.figures[name].mean_observed
