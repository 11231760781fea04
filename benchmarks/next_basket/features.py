"""Twenty hand-made features of a household and a product, as of the household's next visit."""

from typing import NamedTuple

import numpy as np

from benchmarks.next_basket.baskets import DAY, Receipts, Task

HALF_LIVES = (14, 60, 365)
NEVER_DAYS = 400.0
NEVER_DUE = 9.0  # usual intervals since the last purchase, where there was none
RECENT_BASKETS = 5
FEATURES = {
    "own_60": "the household's baskets with it, halved every 60 days",
    "own_14": "the household's baskets with it, halved every 14 days",
    "own_365": "the household's baskets with it, halved every 365 days",
    "days_since": "since the household last bought it",
    "due": "days since, over the usual interval: the household's, smoothed by all households'",
    "basket_share": "of the household's baskets, those with it",
    "recent_share": "of the household's last five baskets, those with it",
    "category_60": "the household's baskets with its category, halved every 60 days",
    "category_days_since": "since the household last bought in its category",
    "category_share": "of the household's baskets with the category, those with it",
    "popularity_7": "all baskets with it, halved every 7 days",
    "popularity_30": "all baskets with it, halved every 30 days",
    "popularity_365": "all baskets with it, halved every 365 days",
    "trend": "the week's popularity over the month's",
    "buyers": "households that ever bought it",
    "repeat_share": "of the buyers, who came back for it",
    "together": "item-kNN: cosine with what the household bought, halved every 60 days",
    "price": "a unit, on average",
    "baskets": "of the household so far",
    "absence": "days since the household's last basket",
}


class Sums(NamedTuple):
    """The past by household and group (a product or a category), one entry a pair that met."""

    keys: np.ndarray  # household * num_groups + group, ascending
    num_groups: int
    baskets: np.ndarray
    first: np.ndarray  # seconds
    last: np.ndarray
    recent: np.ndarray  # of the household's last five baskets
    decayed: dict[int, np.ndarray]  # baskets, by half-life in days, as of the start


class Pairs(NamedTuple):
    """Households and products to describe, at a moment each."""

    households: np.ndarray
    products: np.ndarray
    moments: np.ndarray


def describe(asked: Task, pairs: Pairs, together: np.ndarray) -> np.ndarray:
    """Return one row a pair, one column a feature; `together` is item-kNN's score of each pair."""
    own = sums_by(asked.past, np.arange(len(asked.products)), asked.start_seconds)
    category = sums_by(asked.past, asked.categories, asked.start_seconds)
    columns = {
        **_own(asked, pairs, own),
        **_category(asked, pairs, own, category),
        **_product(asked, pairs, own),
        "together": together,
    }
    return np.stack([columns[name] for name in FEATURES], axis=1).astype(np.float32)


def sums_by(past: Receipts, group_of: np.ndarray, start_seconds: int) -> Sums:
    """Sum the past up by household and the group of the product."""
    num_groups = int(group_of.max()) + 1
    keys = past.households * num_groups + group_of[past.products]
    order = np.lexsort((past.baskets, past.seconds, keys))
    keys, baskets, seconds = keys[order], past.baskets[order], past.seconds[order]
    once = _changes(keys) | _changes(baskets)  # a basket counts once, with however many products
    keys, baskets, seconds = keys[once], baskets[once], seconds[once]
    starts = np.flatnonzero(_changes(keys))
    ends = np.append(starts[1:], len(keys))
    age_days = (start_seconds - seconds) / DAY
    recent = np.isin(baskets, _last_baskets(past, RECENT_BASKETS))
    return Sums(
        keys=keys[starts],
        num_groups=num_groups,
        baskets=ends - starts,
        first=seconds[starts],
        last=seconds[ends - 1],
        recent=np.add.reduceat(recent.astype(np.int64), starts),
        decayed={h: np.add.reduceat(0.5 ** (age_days / h), starts) for h in HALF_LIVES},
    )


def _own(asked: Task, pairs: Pairs, own: Sums) -> dict[str, np.ndarray]:
    place, met = _find(own, pairs.households, pairs.products)
    since = np.where(met, (pairs.moments - own.last[place]) / DAY, NEVER_DAYS)
    gaps = np.where(met, own.baskets[place] - 1, 0)
    days = np.where(met, (own.last[place] - own.first[place]) / DAY, 0.0)
    interval = (days + _usual_interval(own)[pairs.products]) / (gaps + 1)
    new = _changes(asked.past.baskets)
    visits = np.bincount(asked.past.households[new], minlength=int(pairs.households.max()) + 1)
    visits = visits[pairs.households]
    last_visit = np.zeros(int(asked.past.households.max()) + 1, np.int64)
    np.maximum.at(last_visit, asked.past.households, asked.past.seconds)
    return {
        **{f"own_{h}": np.where(met, _as_of(own, h, place, asked, pairs), 0) for h in HALF_LIVES},
        "days_since": since,
        "due": np.where(met, since / np.maximum(interval, 1.0), NEVER_DUE),
        "basket_share": np.where(met, own.baskets[place], 0) / visits,
        "recent_share": np.where(met, own.recent[place], 0) / np.minimum(visits, RECENT_BASKETS),
        "baskets": visits,
        "absence": (pairs.moments - last_visit[pairs.households]) / DAY,
    }


def _category(asked: Task, pairs: Pairs, own: Sums, category: Sums) -> dict[str, np.ndarray]:
    place, met = _find(category, pairs.households, asked.categories[pairs.products])
    own_place, own_met = _find(own, pairs.households, pairs.products)
    bought = np.where(own_met, own.decayed[365][own_place], 0)
    return {
        "category_60": np.where(met, _as_of(category, 60, place, asked, pairs), 0),
        "category_days_since": np.where(
            met, (pairs.moments - category.last[place]) / DAY, NEVER_DAYS
        ),
        "category_share": bought / np.where(met, category.decayed[365][place], 1.0),
    }


def _product(asked: Task, pairs: Pairs, own: Sums) -> dict[str, np.ndarray]:
    past, count = asked.past, len(asked.products)
    age_days = (asked.start_seconds - past.seconds) / DAY
    week, month, year = (
        np.bincount(past.products, 0.5 ** (age_days / h), count) for h in (7, 30, 365)
    )
    bought = own.keys % own.num_groups
    buyers = np.bincount(bought, minlength=count)
    spent, units = (np.bincount(past.products, c, count) for c in (past.spent, past.units))
    columns = {
        "popularity_7": week,
        "popularity_30": month,
        "popularity_365": year,
        "trend": (week / 7) / np.maximum(month / 30, 1e-6),
        "buyers": buyers,
        "repeat_share": np.bincount(bought, own.baskets > 1, count) / np.maximum(buyers, 1),
        "price": spent / np.maximum(units, 1),
    }
    return {name: column[pairs.products] for name, column in columns.items()}


def _find(sums: Sums, households: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find each pair; the place means nothing where they never met."""
    wanted = households * sums.num_groups + groups
    place = np.minimum(np.searchsorted(sums.keys, wanted), len(sums.keys) - 1)
    return place, sums.keys[place] == wanted


def _as_of(sums: Sums, half_life: int, place: np.ndarray, asked: Task, pairs: Pairs) -> np.ndarray:
    """Decay further, from the start to the moment of the request."""
    later_days = (pairs.moments - asked.start_seconds) / DAY
    return np.asarray(sums.decayed[half_life][place] * 0.5 ** (later_days / half_life))


def _usual_interval(own: Sums) -> np.ndarray:
    """Return the days until a household comes back for each product, one of 60 days taken in."""
    bought = own.keys % own.num_groups
    gaps = np.bincount(bought, own.baskets - 1, own.num_groups)
    days = np.bincount(bought, (own.last - own.first) / DAY, own.num_groups)
    return np.asarray((days + 60.0) / (gaps + 1.0))


def _last_baskets(past: Receipts, count: int) -> np.ndarray:
    """Return the newest baskets of every household; the past is sorted by household and time."""
    new = _changes(past.baskets)
    households, baskets = past.households[new], past.baskets[new]
    behind = np.searchsorted(households, households, side="right") - np.arange(len(households))
    return np.asarray(baskets[behind <= count])


def _changes(column: np.ndarray) -> np.ndarray:
    """Tell where a value differs from the one before it; the first does."""
    return np.append(True, column[1:] != column[:-1])
