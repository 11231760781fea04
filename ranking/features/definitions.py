"""Dynamic features: one definition each, used alike by training and by serving."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64

from index import distinct
from ranking.features.catalogue_words import NOTHING, CatalogueWords
from retrieval.behaviour.promotions import NO_PROMOTIONS, Promotions, shares_at
from retrieval.behaviour.purchases import DAY, History, decay
from retrieval.behaviour.relations import together_scores
from retrieval.behaviour.statistics import HALF_LIVES_DAYS
from retrieval.behaviour.tables import Behaviour

NEVER_DAYS = 400.0  # stands for "not once": longer than any log that we hold in a year
# What the logarithms below give where there is nothing to count.
NONE, UNSOLD = math.log(0.01), math.log(0.1)  # baskets of a shopper, of all shoppers
NEVER, USUAL = math.log1p(NEVER_DAYS), math.log1p(60.0)  # days since, days between
STEADY = math.log(30 / 7)  # of a week and a month without sales


class Feature(NamedTuple):
    """A number about one candidate in one request."""

    name: str
    unit: str
    meaning: str
    default: float = 0.0  # no history, no query, a product without price that nobody ever bought


WORD_FEATURES = (  # one definition each, in `ranking.features.word_match`
    Feature(
        "rare_title", "share", "of the query's stems that the title has, a rare one counts more"
    ),
    Feature(
        "bigrams_title", "share", "of neighbouring query stems that the title has side by side"
    ),
    Feature("place_title", "share", "how early in the title the matched stems stand; 1 is first"),
    Feature("asked_title", "share", "of the title's stems that the query has, by rarity"),
    Feature("rare_text", "share", "of query stems in title, brand or description, by rarity"),
    Feature("brand_asked", "share", "of the brand's words that the query has"),
    Feature("numbers_title", "share", "of the query's numbers that the title has", 1.0),
    Feature("measures_other", "share", "of the query's measures of which the title has another"),
    Feature("head_found", "0 or 1", "whether the title has what the query names last"),
    Feature("query_words", "log words", "length of the query"),
)
FEATURES = (
    Feature(
        "frequency_60", "log baskets", "this person's baskets with it, halved every 60 days", NONE
    ),
    Feature("frequency_14", "log baskets", "the same, halved every 14 days", NONE),
    Feature("frequency_365", "log baskets", "the same, halved every year", NONE),
    Feature("days_since", "log days", "since this person last bought it", NEVER),
    Feature("rhythm", "share", "days since, against the usual interval; 1 means due now", 5.0),
    Feature("own_interval", "log days", "mean days between this person's purchases of it", USUAL),
    Feature("basket_share", "share", "of this person's baskets that held it"),
    Feature("recent_share", "share", "of this person's last five baskets that held it"),
    Feature("bought_before", "0 or 1", "whether this person ever bought it"),
    Feature(
        "category_frequency", "log baskets", "purchases in its category, halved every 60 days", NONE
    ),
    Feature(
        "category_days_since", "log days", "since this person last bought in its category", NEVER
    ),
    Feature("category_share", "share", "of this person's purchases in its category that were it"),
    Feature("popularity_7", "log baskets", "all baskets with it, halved every 7 days", UNSOLD),
    Feature("popularity_30", "log baskets", "the same, halved every 30 days", UNSOLD),
    Feature("popularity_365", "log baskets", "the same, halved every year", UNSOLD),
    Feature("trend", "log ratio", "popularity of the week against that of the month", STEADY),
    Feature("buyers", "log users", "who ever bought it"),
    Feature("repeat_share", "share", "of its buyers who came back for it", 0.1),
    Feature("product_rhythm", "log days", "mean days until a buyer comes back for it", USUAL),
    Feature("price", "log price", "what one unit usually cost so far; 0 where it was never sold"),
    Feature("price_habit", "log ratio", "that price against what this person usually pays"),
    Feature("history_baskets", "log baskets", "this person's baskets so far"),
    Feature("basket_size", "log products", "this person's usual basket"),
    Feature("absence", "log days", "since this person's last basket", NEVER),
    Feature("offer", "share", "of the shop's places that offer it now, in a leaflet or cheaper"),
    Feature("display", "share", "of the shop's places that display it now, apart from the shelf"),
    Feature("together", "similarity", "item-to-item from this person's recent products"),
    Feature("text_match", "cosine", "query text against the product's text"),
    Feature("words_match", "share of best", "BM25 of the query, against the best candidate's"),
    Feature("picture_match", "cosine", "query against the product's picture"),
    *WORD_FEATURES,
    Feature("ease_score", "score", "what this person's whole history says of it, by EASE"),
    Feature("next_score", "score", "how strongly this person's last baskets lead to it"),
    Feature("kind_score", "score", "this person's purchases of its kind, by its share in the kind"),
    Feature("season_score", "score", "baskets with it in these weeks a year before"),
)
PAST = (  # what only the past of a product itself tells
    "frequency_60", "frequency_14", "frequency_365", "days_since", "rhythm", "own_interval",
    "basket_share", "recent_share", "bought_before", "category_share", "popularity_7",
    "popularity_30", "popularity_365", "trend", "buyers", "repeat_share", "product_rhythm",
    "price", "price_habit", "offer", "display", "together",
)  # fmt: skip
HABITS = ("ease", "next", "kind", "season")  # channels of which the ranker sees the score
NAMES = tuple(feature.name for feature in FEATURES)


class Catalogue(NamedTuple):
    """What the features need to know of every product."""

    categories: Int32[np.ndarray, "n"]  # a number a category
    prices: Float32[np.ndarray, "n"]  # usually paid for one unit until now; 0: never sold
    promotions: Promotions = NO_PROMOTIONS
    words: CatalogueWords | None = None  # None: of an older build


class Matches(NamedTuple):
    """What each channel of retrieval makes of each candidate, and how its words answer."""

    num_candidates: int
    scores: Mapping[str, Float32[np.ndarray, "c"]]  # by channel, of those that were asked
    words: Mapping[str, Float32[np.ndarray, "c"]] = NOTHING  # by feature, of what can be compared

    def of(self, channel: str) -> Float32[np.ndarray, "c"]:
        """Return the scores of a channel; zeros where it was not asked."""
        return self.scores.get(channel, np.zeros(self.num_candidates, np.float32))

    def in_words(self, feature: Feature) -> Float32[np.ndarray, "c"]:
        """Return a feature of the words; its default where nothing can be compared."""
        if feature.name in self.words:
            return self.words[feature.name]
        return np.full(self.num_candidates, feature.default, np.float32)


class Shopper(NamedTuple):
    """One shopper at one moment: the history, summed up by product and by category."""

    history: History
    at_seconds: int
    products: Int32[np.ndarray, "p"]  # distinct, ascending
    product_sums: dict[str, Float64[np.ndarray, "p"]]
    categories: Int32[np.ndarray, "g"]  # distinct, ascending
    category_sums: dict[str, Float64[np.ndarray, "g"]]
    num_baskets: int
    mean_log_price: float


def shopper(catalogue: Catalogue, history: History, at_seconds: int) -> Shopper:
    """Sum up a history once a request."""
    products, product_of = np.unique(history.rows, return_inverse=True)
    categories, category_of = np.unique(catalogue.categories[history.rows], return_inverse=True)
    prices = catalogue.prices[history.rows]
    known = prices > 0
    weights = _weights(history, at_seconds)
    return Shopper(
        history=history,
        at_seconds=at_seconds,
        products=products,
        product_sums=_sums(history, product_of, len(products), weights),
        categories=categories,
        category_sums=_sums(history, category_of, len(categories), weights),
        num_baskets=len(distinct(history.baskets)),
        mean_log_price=float(np.log(prices[known]).mean()) if known.any() else 0.0,
    )


def compute(
    behaviour: Behaviour,
    catalogue: Catalogue,
    person: Shopper,
    rows: Int64[np.ndarray, "c"],
    matches: Matches,
) -> Float32[np.ndarray, "c f"]:
    """Return one row a candidate, one column a feature in the order of `FEATURES`.

    Only purchases before `person.at_seconds` are looked at, besides the statistics of
    `behaviour`, which saw nothing at or after its own `until_seconds`.
    """
    columns = {
        **_habit(behaviour, person, rows),
        **_category_habit(catalogue, person, rows),
        **_product(behaviour, rows),
        **_price(person, catalogue.prices[rows]),
        **_person(person, len(rows)),
        **_promotion(catalogue, person.at_seconds, rows),
        "together": together_scores(behaviour.relations, person.history)[rows],
        "text_match": matches.of("semantic"),
        "words_match": share_of_best(matches.of("lexical")),
        "picture_match": matches.of("image"),
        **{feature.name: matches.in_words(feature) for feature in WORD_FEATURES},
        **{f"{channel}_score": matches.of(channel) for channel in HABITS},
    }
    features = np.empty((len(NAMES), len(rows)), np.float32)
    for feature, name in zip(features, NAMES, strict=True):
        feature[:] = columns[name]
    return np.ascontiguousarray(features.T)


def share_of_best(scores: Float32[np.ndarray, "c"]) -> Float32[np.ndarray, "c"]:
    """Return the scores against the highest; zeros where none is above zero."""
    return np.asarray(scores / max(float(scores.max(initial=0)), 1e-6), np.float32)


def _weights(history: History, at_seconds: int) -> dict[str, np.ndarray]:
    """Return what each entry of a history counts, by the name of the sum."""
    ages = at_seconds - history.seconds
    decayed = {f"frequency_{days:.0f}": decay(ages, days) for days in (14.0, 60.0, 365.0)}
    return decayed | {"recent": np.isin(history.baskets, last_baskets(history, 5))}


def _sums(
    history: History,
    group_of: Int64[np.ndarray, "h"],
    num_groups: int,
    weights: Mapping[str, np.ndarray],
) -> dict[str, Float64[np.ndarray, "g"]]:
    """Sum the history by group: counts, decayed counts, first and last purchase."""
    first = np.full(num_groups, np.iinfo(np.int64).max)
    last = np.zeros(num_groups, np.int64)
    np.minimum.at(first, group_of, history.seconds)
    np.maximum.at(last, group_of, history.seconds)
    sums = {
        **{name: np.bincount(group_of, column, num_groups) for name, column in weights.items()},
        "count": np.bincount(group_of, minlength=num_groups),
        "first": first,
        "last": last,
    }
    return {name: column.astype(np.float64) for name, column in sums.items()}


def last_baskets(history: History, count: int) -> Int64[np.ndarray, "b"]:
    """Return the ids of the newest baskets, newest last."""
    if not len(history.rows):
        return history.baskets
    new = np.flatnonzero(np.diff(history.baskets, prepend=history.baskets[0] - 1))
    return history.baskets[new[-count:]]


def _look_up(
    keys: Int32[np.ndarray, "p"], wanted: np.ndarray
) -> tuple[Int64[np.ndarray, "c"], Bool[np.ndarray, "c"]]:
    """Find each wanted key among sorted keys; the place means nothing where it is not found."""
    if not len(keys):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return place, keys[place] == wanted


def _pick(
    sums: Float64[np.ndarray, "g"], place: np.ndarray, found: np.ndarray
) -> Float64[np.ndarray, "c"]:
    return np.where(found, sums[place], 0.0) if len(sums) else np.zeros(len(place))


def _habit(
    behaviour: Behaviour, person: Shopper, rows: Int64[np.ndarray, "c"]
) -> dict[str, np.ndarray]:
    place, found = _look_up(person.products, rows)
    own = {name: _pick(s, place, found) for name, s in person.product_sums.items()}
    since = np.where(found, (person.at_seconds - own["last"]) / DAY, NEVER_DAYS)
    gaps = np.maximum(own["count"] - 1, 0)
    span = np.where(gaps > 0, (own["last"] - own["first"]) / DAY, 0.0)
    usual = behaviour.statistics.rhythm_days[rows].astype(np.float64)
    interval = (span + usual) / (gaps + 1)  # the product's rhythm counts as one observation
    return {
        "frequency_60": np.log(own["frequency_60"] + 0.01),
        "frequency_14": np.log(own["frequency_14"] + 0.01),
        "frequency_365": np.log(own["frequency_365"] + 0.01),
        "days_since": np.log1p(since),
        "rhythm": np.where(found, np.clip(since / np.maximum(interval, 1.0), 0, 5), 5.0),
        "own_interval": np.log1p(interval),
        "basket_share": own["count"] / max(person.num_baskets, 1),
        "recent_share": own["recent"] / max(min(person.num_baskets, 5), 1),
        "bought_before": found.astype(np.float64),
    }


def _category_habit(
    catalogue: Catalogue, person: Shopper, rows: Int64[np.ndarray, "c"]
) -> dict[str, np.ndarray]:
    place, found = _look_up(person.categories, catalogue.categories[rows])
    own = {name: _pick(s, place, found) for name, s in person.category_sums.items()}
    product_place, product_found = _look_up(person.products, rows)
    bought = _pick(person.product_sums["frequency_365"], product_place, product_found)
    since = np.where(found, (person.at_seconds - own["last"]) / DAY, NEVER_DAYS)
    return {
        "category_frequency": np.log(own["frequency_60"] + 0.01),
        "category_days_since": np.log1p(since),
        "category_share": bought / np.maximum(own["frequency_365"], 1e-9),
    }


def _product(behaviour: Behaviour, rows: Int64[np.ndarray, "c"]) -> dict[str, np.ndarray]:
    statistics = behaviour.statistics
    popularity = np.log(statistics.popularity[:, rows] + 0.1)
    week, month, year = popularity
    days_week, days_month, _ = HALF_LIVES_DAYS
    return {
        "popularity_7": week,
        "popularity_30": month,
        "popularity_365": year,
        "trend": week - month + np.log(days_month / days_week),
        "buyers": np.log1p(statistics.buyers[rows]),
        "repeat_share": statistics.repeat_share[rows],
        "product_rhythm": np.log1p(statistics.rhythm_days[rows]),
    }


def _price(person: Shopper, prices: Float32[np.ndarray, "c"]) -> dict[str, np.ndarray]:
    log_price = np.log(np.where(prices > 0, prices, 1.0))
    habit = np.where(prices > 0, log_price - person.mean_log_price, 0.0)
    return {"price": log_price, "price_habit": np.clip(habit, -3, 3)}


def _promotion(
    catalogue: Catalogue, at_seconds: int, rows: Int64[np.ndarray, "c"]
) -> dict[str, np.ndarray]:
    return {
        kind.value: shares_at(runs, rows, at_seconds) for kind, runs in catalogue.promotions.items()
    }


def _person(person: Shopper, num_candidates: int) -> dict[str, np.ndarray]:
    seconds = person.history.seconds
    absence = (person.at_seconds - seconds[-1]) / DAY if len(seconds) else NEVER_DAYS
    size = len(person.history.rows) / max(person.num_baskets, 1)
    facts = {
        "history_baskets": np.log1p(person.num_baskets),
        "basket_size": np.log1p(size),
        "absence": np.log1p(absence),
    }
    return {name: np.full(num_candidates, value) for name, value in facts.items()}
