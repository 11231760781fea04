"""Trains the towers or applies those of the live release, and writes them with their index."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch
from jaxtyping import Float32

from index import PreviousIndex, build_index, save_array, save_index
from pipelines.building.context import BuildContext
from pipelines.building.index_measurements import described
from pipelines.building.step_runner import EarlierStep
from pipelines.building.steps.indexes import previous_index, requirements_of
from pipelines.building.steps.tower_columns import columns_at, tower_columns
from pipelines.config.sections import not_hidden
from pipelines.release.layout import OWN, RECOMMENDATION, SEARCH, TOWER_VECTORS, TOWERS, index_of
from pipelines.release.manifest import Measurements
from pipelines.release.parts import Parts, open_parts, save_request_kinds
from pipelines.shop.purchases.log import Log, next_baskets
from pipelines.training.towers.ablation import SearchQuality, compare_searches
from pipelines.training.towers.examples import (
    BasketRequests,
    RequestSizes,
    title_numbers,
)
from pipelines.training.towers.setup import new_towers, training_settings
from pipelines.training.towers.synthetic_queries import PartedSearches, part, synthetic_queries
from pipelines.training.towers.validation import TowerValidation, measure_of, request_of
from retrieval.behaviour.purchases import DAY
from retrieval.behaviour.relations import BehaviourSettings
from retrieval.behaviour.tables import Behaviour
from retrieval.towers.columns import PastColumns, TowerColumns
from retrieval.towers.model import Spaces, Towers, embed_products, interests
from retrieval.towers.query_export import write_query_network
from retrieval.towers.training import TrainedTowers, train

TEXTS_AT_ONCE = 512  # that are encoded between two notes of progress
MOST_CASES = 400  # of the window that the epochs are compared on


def write_towers(context: BuildContext) -> Measurements:
    """Write towers where there are enough past requests; return how good they are.

    They have seen nothing of the newest `ranking.window_days` before `until`: the epoch is chosen
    there, and there the channel is weighed against the others.
    """
    settings = context.config.towers
    if not settings.train:
        return {"towers": "none: towers.train is off"}
    if not len(context.log.purchases.rows):
        return {"towers": "none: no events to learn from"}
    parts = open_parts(context.folder)
    past = _validation(context, context.log, parts)
    columns = _columns(context, parts, past)
    requests, searches = _requests(context, parts, past)
    if requests.size < settings.min_requests or not past.baskets:
        needed = settings.min_requests
        return {"towers": f"none: {requests.size} past baskets to learn from, {needed} are needed"}
    then = _past_columns(context, columns, requests)
    trained, untrained = _train(context, parts, then, requests, past)
    trained.towers.save(context.folder / TOWERS)
    write_query_network(trained.towers, context.folder / TOWERS)
    _write_own(context.folder, parts, columns)
    quality = _write_vectors(context, trained, past)
    searched = _write_request_kinds(context, past, searches)
    epochs = ", ".join(f"{epoch.worth:.4f}" for epoch in trained.epochs)
    return {
        "towers": f"{settings.fusion}, {requests.size:,} requests, epoch {trained.best} kept",
        "towers_next_basket": f"{untrained:.4f} untrained, {epochs}",
        **quality,
        **_search_quality(searched, searches),
    }


def apply_towers(context: BuildContext, earlier: EarlierStep) -> Measurements | None:
    """Write the vectors that the towers of the live release give these products, and their index.

    Products that have an embedding of their own there keep it, wherever they stand now. None
    where the shop has other kinds of things to see than the towers have learnt.
    """
    parts = open_parts(context.folder)
    past = _validation(context, context.log, parts)
    names = msgspec.json.decode((earlier.release / OWN).read_bytes(), type=list[str])
    number_of = {name: number for number, name in enumerate(names, 1)}
    own = np.array([number_of.get(name, 0) for name in parts.products.ids], np.int64)
    columns = _columns(context, parts, past)._replace(own=own)
    towers = Towers.open(earlier.release / TOWERS)
    widths = {name: dense.vectors.shape[1] for name, dense in columns.dense.items()}
    if widths != towers.shape.widths:
        return None
    applied = TrainedTowers(towers, embed_products(towers, columns), (), 0, 0.0)
    return _write_vectors(context, applied, past, previous_index(TOWERS, earlier))


def _train(
    context: BuildContext,
    parts: Parts,
    columns: PastColumns,
    requests: BasketRequests,
    past: TowerValidation,
) -> tuple[TrainedTowers, float]:
    """Return trained towers, and what they were worth before they were trained."""
    towers = new_towers(columns.now, _spaces(context, parts), context.config, requests.facts)
    torch.set_num_threads(context.config.threads)
    measure = measure_of(past, context.traits)
    untrained = measure(towers, embed_products(towers, columns.now))

    def tell(steps: Iterator[int], count: int) -> Iterator[int]:
        return context.track(steps, "train the towers", count, settings.max_seconds or None)

    settings = training_settings(context.config)
    return train(towers, columns, requests, measure, settings, tell), untrained


def _past_columns(
    context: BuildContext, now: TowerColumns, requests: BasketRequests
) -> PastColumns:
    """Return what was known of the products where each period of the past baskets starts."""
    starts, period_of = requests.periods()
    tracked = context.track(starts.tolist(), "look back at the products", len(starts))
    periods = tuple(columns_at(now, context.log, start) for start in tracked)
    return PastColumns(now, periods, period_of, requests.shares_by_period(period_of))


def _write_own(folder: Path, parts: Parts, columns: TowerColumns) -> None:
    """Write the products that have an embedding of their own, by its number from 1 on."""
    ids = parts.products.ids
    names = [ids[row] for row in np.flatnonzero(columns.own).tolist()]
    (folder / OWN).write_bytes(msgspec.json.encode(names))


def _validation(context: BuildContext, log: Log, parts: Parts) -> TowerValidation:
    until, config = context.end, context.config
    begin = until - config.ranking.window_days * DAY
    behaviour = Behaviour.build(
        log.user_ids, log.purchases, parts.products.size, begin, BehaviourSettings(tables=())
    )
    baskets = next_baskets(log.user_ids, log.purchases, begin, until)
    if len(baskets) > MOST_CASES:
        drawn = np.random.default_rng(config.seed).choice(len(baskets), MOST_CASES, False)
        baskets = [baskets[i] for i in np.sort(drawn)]
    shown = parts.products.allowed(not_hidden(config))
    return TowerValidation(behaviour, baskets, shown, config.shop.country)


def _columns(context: BuildContext, parts: Parts, past: TowerValidation) -> TowerColumns:
    """Return what was known of each product where the newest window starts."""
    known = context.log.before(past.behaviour.until_seconds)
    prices = known.usual_prices(parts.products.size)
    return tower_columns(context, parts, past.behaviour.statistics, prices)


def _requests(
    context: BuildContext, parts: Parts, past: TowerValidation
) -> tuple[BasketRequests, PartedSearches | None]:
    """Return the past baskets as requests, some of them in words where there are enough.

    No request is asked in words that the towers are judged by.
    """
    titles = [str(title) for title in parts.products.column("title")]
    sizes = RequestSizes(
        parts.joined_vectors.shape[1],
        0 if parts.picture_vectors is None else parts.picture_vectors.shape[1],
        context.config.towers.recent_products,
    )
    numbers = title_numbers(titles)
    without = BasketRequests(past.behaviour, numbers, context.traits, None, sizes, past.country)
    if without.size < context.config.towers.min_requests:
        return without, None

    def encode(texts: Sequence[str]) -> Float32[np.ndarray, "s v"]:
        chunks = [texts[i : i + TEXTS_AT_ONCE] for i in range(0, len(texts), TEXTS_AT_ONCE)]
        tracked = context.track(chunks, "encode made-up searches", len(chunks))
        return np.concatenate([context.query_encoder.texts(chunk) for chunk in tracked])

    words = synthetic_queries(titles, without.shares, encode, context.config.seed)
    if words is None:
        return without, None
    parted = part(words, parts.products.ids)
    learnt, country = parted.learnt, past.country
    return BasketRequests(past.behaviour, numbers, context.traits, learnt, sizes, country), parted


def _spaces(context: BuildContext, parts: Parts) -> Spaces:
    image = context.encoders.image
    dim = 0 if image is None else image.dim
    return Spaces(parts.joined_vectors, dim, context.config.encoders.image_weight)


def _write_vectors(
    context: BuildContext,
    trained: TrainedTowers,
    past: TowerValidation,
    before: PreviousIndex | None = None,
) -> Measurements:
    """Write the vectors of the products and their index; return its measured recall."""
    save_array(context.folder / TOWER_VECTORS, trained.vectors)
    asks = [request_of(past, basket, context.traits) for basket in past.baskets]
    queries = [interests(trained.towers, ask, trained.vectors) for ask in asks]
    planned = build_index(
        trained.vectors,
        np.concatenate(queries),
        requirements_of(context.config)._replace(factory=""),
        before=before,
    )
    save_index(planned.built, context.folder / index_of(TOWERS))
    return described(planned, TOWERS, context.config.index.recall_k)


def _write_request_kinds(
    context: BuildContext, past: TowerValidation, searches: PartedSearches | None
) -> SearchQuality | None:
    """Write where the towers are asked: in searches only where they are measured to help there."""
    if searches is None:
        save_request_kinds(context.folder, (RECOMMENDATION,))
        return None
    save_request_kinds(context.folder, (RECOMMENDATION, SEARCH))
    parts, baskets = open_parts(context.folder), past.baskets
    searched = compare_searches(
        parts, past.behaviour, baskets, context.traits, searches.judging, context.config
    )
    if searched is None or not searched.helps:
        save_request_kinds(context.folder, (RECOMMENDATION,))
    return searched


def _search_quality(
    searched: SearchQuality | None, searches: PartedSearches | None
) -> dict[str, str | int]:
    if searches is None:
        return {}
    held_out = {"towers_searches_held_out": len(searches.judging.meant)}
    if searched is None:
        return held_out | {"towers_search": "none was held out that could judge: not used"}
    gain, where = searched.difference, "used" if searched.helps else "not used"
    return held_out | {
        "towers_search": f"mean reciprocal rank {searched.without:.4f} without, "
        f"{gain.mean:+.4f} with ({gain.low:+.4f} to {gain.high:+.4f}), "
        f"{searched.num_searches} searches that they did not learn from: {where} in searches"
    }
