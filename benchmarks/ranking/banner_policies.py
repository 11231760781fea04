"""Policies that choose a banner's products, learnt from logged impressions."""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from benchmarks.ranking.open_bandit import PLACES, Log, Shop
from pipelines.training.ranker.impressions import HEAVIEST
from ranking.features.context import Context
from ranking.features.definitions import FEATURES, NAMES
from ranking.network.examples import Example, labels_of
from ranking.network.model import Model, RankerSettings
from ranking.network.training import train
from ranking.network.validation import scores
from ranking.slate.position_bias import chances_of_a_look
from retrieval import Scene
from retrieval.context_facts import hashed_facts

PRIOR = 200  # impressions, about one click: a rate counts as if it had been seen so often before
PENALTY = 1.0  # on the squared coefficients of the regression
MOST_VALUES = 9  # of a trait
NUM_TREES = 50
TREES = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 7,
    "min_data_in_leaf": 200,
    "num_threads": 1,
    "seed": 0,
    "verbose": -1,
}
CLICKED_BEFORE = NAMES.index("frequency_365")  # the feature that is nearest to it

Policy = Callable[[Log], np.ndarray]  # the chance of each product, [n p]
Learn = Callable[[Shop, Log], Policy]
Score = Callable[[Log], np.ndarray]  # [n p], the higher the better


def policies(how: RankerSettings) -> dict[str, Learn]:
    """Return how each policy is learnt from a log, by name."""
    return {
        "random": lambda shop, _: lambda asked: by_chance(shop.offered(asked)),
        "click rate of the product": lambda shop, log: best(shop, click_rates(shop, log)),
        "click rate of product and place": lambda shop, log: best(shop, by_place(shop, log)),
        "logistic regression": lambda shop, log: best(shop, logistic_regression(shop, log)),
        "LightGBM": lambda shop, log: best(shop, trees(shop, log)),
        "ranker, no propensities": ranker(how, lambda log: np.ones(len(log.clicks))),
        "ranker, propensities of places, estimated": ranker(how, of_places),
        "ranker, propensities as logged": ranker(how, lambda log: log.propensities),
    }


def by_chance(offered: np.ndarray) -> np.ndarray:
    return offered / offered.sum(axis=1, keepdims=True)


def best(shop: Shop, score: Score) -> Policy:
    """Return what shows the best products, as many as there are places, each as likely."""

    def chances(asked: Log) -> np.ndarray:
        scored = np.where(shop.offered(asked), -score(asked), np.inf)
        found = np.zeros(scored.shape)
        shown = np.argsort(scored, axis=1, kind="stable")[:, :PLACES]
        np.put_along_axis(found, shown, 1 / PLACES, axis=1)
        return found

    return chances


# Rates


def click_rates(shop: Shop, log: Log) -> Score:
    """Score by the click rate of each product, drawn to that of its campaign."""
    rates = rates_of_products(shop, log)
    return lambda asked: np.tile(rates, (len(asked.clicks), 1))


def by_place(shop: Shop, log: Log) -> Score:
    """Score by the click rate of each product at this place, drawn to that of the product."""
    usual = np.repeat(rates_of_products(shop, log), PLACES)
    rates = drawn_to(usual, log.products * PLACES + log.places - 1, log.clicks)
    return lambda asked: rates.reshape(-1, PLACES)[:, asked.places - 1].T


def rates_of_products(shop: Shop, log: Log) -> np.ndarray:
    of_campaign = np.bincount(log.campaigns, log.clicks) / np.bincount(log.campaigns)
    return drawn_to(of_campaign[shop.campaigns], log.products, log.clicks)


def drawn_to(usual: np.ndarray, cells: np.ndarray, clicks: np.ndarray) -> np.ndarray:
    """Return a click rate a cell, as if each had also been shown `PRIOR` times at its usual one."""
    shown, clicked = (np.bincount(cells, each, len(usual)) for each in (None, clicks))
    return (clicked + PRIOR * usual) / (shown + PRIOR)


# Models of one impression


def described(shop: Shop, log: Log, products: np.ndarray) -> np.ndarray:
    """Return what regression and trees see of a product at each impression."""
    clicked = log.clicked_before[np.arange(len(products)), products]
    places = log.places[:, None] == np.arange(1, PLACES + 1)
    traits = [values[:, None] == np.arange(MOST_VALUES) for values in log.traits.T]
    hours = log.seconds // 3600 % 24
    vectors = shop.products.vectors[products]
    return np.column_stack([vectors, places, *traits, hours / 24, np.log1p(clicked)])


def of_each_product(shop: Shop, predict: Callable[[np.ndarray], np.ndarray]) -> Score:
    """Return what a model of one product says of all."""

    def score(log: Log) -> np.ndarray:
        every = (np.full(len(log.clicks), product) for product in range(len(shop.campaigns)))
        return np.stack([predict(described(shop, log, product)) for product in every], axis=1)

    return score


def logistic_regression(shop: Shop, log: Log) -> Score:
    """Fit the click on the product shown by maximum likelihood, with a quadratic penalty."""
    x, y = described(shop, log, log.products), log.clicks
    start = np.append(np.zeros(x.shape[1]), np.log(y.mean() / (1 - y.mean())))

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        logits = x @ w[:-1] + w[-1]
        wrong, penalty = expit(logits) - y, PENALTY * np.append(w[:-1], 0)
        value = np.logaddexp(0, logits).sum() - y @ logits + penalty @ w / 2
        return value, np.append(wrong @ x, wrong.sum()) + penalty

    w = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return of_each_product(shop, lambda seen: seen @ w[:-1])


def trees(shop: Shop, log: Log) -> Score:
    import lightgbm  # not before torch: loaded after lightgbm's OpenMP, torch is 30 times slower

    data = lightgbm.Dataset(described(shop, log, log.products), log.clicks)
    grown = lightgbm.train(TREES, data, NUM_TREES)
    return of_each_product(shop, lambda seen: np.asarray(grown.predict(seen)))


# The ranker


def ranker(how: RankerSettings, propensities: Callable[[Log], np.ndarray]) -> Learn:
    """Return how a ranker learns as in a build: a click counts 1 / propensity."""

    def learn(shop: Shop, log: Log) -> Policy:
        weights = np.minimum(1 / propensities(log), HEAVIEST)
        clicked = log.clicks > 0
        is_newest = log.days == log.days.max()
        older, newest = (
            examples(shop, log.of(kept), weights[kept])
            for kept in (clicked & ~is_newest, clicked & is_newest)
        )
        return best(shop, scored_by(train(older, newest, shop.products, how).model, shop))

    return learn


def of_places(log: Log) -> np.ndarray:
    """Return how likely each was looked at, as a build finds it where no propensity is logged."""
    return chances_of_a_look(log.products, log.campaigns, log.places, log.clicks > 0)


def examples(shop: Shop, log: Log, weights: np.ndarray) -> list[Example]:
    """Return an impression as a list of all that could have been shown; what was not, came to 0."""
    nothing = np.array([feature.default for feature in FEATURES], np.float32)
    found = []
    for line, offered in enumerate(shop.offered(log)):
        rows = np.flatnonzero(offered)
        was_shown = rows == log.products[line]
        features = np.tile(nothing, (len(rows), 1))
        features[:, CLICKED_BEFORE] = np.log(0.01 + log.clicked_before[line, rows])
        found.append(
            Example(
                rows=rows,
                features=features,
                labels=labels_of(click=was_shown * log.clicks[line]),
                context=context_of(log, line),
                weights=np.where(was_shown, weights[line], 1).astype(np.float32),
                at_seconds=int(log.seconds[line]),
            )
        )
    return found


def context_of(log: Log, line: int) -> Context:
    """Return traits, place, hour and weekday; what a shopper looked at before is not in the log."""
    at = int(log.seconds[line])
    traits = {str(trait): str(value) for trait, value in enumerate(log.traits[line])}
    scene = Scene(at=datetime.fromtimestamp(at, UTC).replace(tzinfo=None), country="JP")
    facts = hashed_facts(at, {**traits, "place": str(log.places[line])}, scene)
    return Context(None, np.array([-1]), np.zeros((1, 2), np.float32), facts)


def scored_by(model: Model, shop: Shop) -> Score:
    def score(log: Log) -> np.ndarray:
        asked = examples(shop, log, np.ones(len(log.clicks)))
        found = np.zeros(log.clicked_before.shape)
        logits = scores(model, asked, shop.products, "click")
        for line, one, of_one in zip(found, asked, logits, strict=True):
            line[one.rows] = of_one
        return found

    return score
