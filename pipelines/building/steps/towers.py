"""Trains the towers or applies those of the live release, and writes them with their index."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from jaxtyping import Float32

from index import PreviousIndex, build_index, save_array, save_index
from pipelines.building.context import BuildContext, end_of, query_encoder
from pipelines.building.steps.indexes import described, requirements_of
from pipelines.building.steps.tower_columns import tower_columns
from pipelines.config import not_hidden
from pipelines.release.layout import OWN, RECOMMENDATION, SEARCH, TOWERS
from pipelines.release.parts import Parts, open_parts, save_windows
from pipelines.shop.purchases import Log, next_baskets
from pipelines.training.towers.ablation import SearchQuality, compare_searches
from pipelines.training.towers.examples import (
    BasketRequests,
    RequestSizes,
    TitleWords,
    title_numbers,
)
from pipelines.training.towers.setup import new_towers, training_settings
from pipelines.training.towers.synthetic_queries import synthetic_queries
from pipelines.training.towers.validation import TowerValidation, _ask, _measure
from retrieval.behaviour.purchases import DAY
from retrieval.behaviour.relations import BehaviourSettings
from retrieval.behaviour.tables import Behaviour
from retrieval.towers.columns import ProductColumns
from retrieval.towers.model import Spaces, Towers, embed_products, interests
from retrieval.towers.training import TrainedTowers, train

MOST_CASES = 400  # of the window that the epochs are compared on


def write_towers(job: BuildContext, log: Log) -> dict[str, Any]:
    """Write towers where there are enough past requests; return how good they are.

    They have seen nothing of the newest `ranking.window_days` before `until`: the epoch is chosen
    there, and there the channel is weighed against the others.
    """
    settings = job.config.towers
    if not settings.train:
        return {"towers": "none: towers.train is off"}
    if not len(log.purchases.rows):
        return {"towers": "none: no events to learn from"}
    parts = open_parts(job.folder)
    past = _past(job, log, parts)
    traits = {r["id"]: dict(r["traits"]) for r in job.shop.users().to_pylist()}
    columns = tower_columns(job, parts, past.behaviour.statistics)
    requests, words = _requests(job, parts, past, traits)
    if requests.size < settings.min_requests or not past.baskets:
        needed = settings.min_requests
        return {"towers": f"none: {requests.size} past baskets to learn from, {needed} are needed"}
    towers = new_towers(columns, _spaces(job, parts), job.config)
    torch.set_num_threads(job.config.threads)
    measure = _measure(past, traits)
    before = measure(towers, embed_products(towers, columns))

    def tell(steps: Iterator[int], count: int) -> Iterator[int]:
        return job.track(steps, "train the towers", count)

    trained = train(towers, columns, requests, measure, training_settings(job.config), tell)
    trained.towers.save(job.folder / TOWERS)
    _save_own(job.folder, parts, columns)
    quality = _save(job, trained, past, traits)
    searched = _searched(job, past, traits, words)
    helps = searched is not None and searched.helps
    save_windows(job.folder, (RECOMMENDATION, SEARCH) if helps else (RECOMMENDATION,))
    return {
        "towers": f"{settings.fusion}, {requests.size:,} requests, epoch {trained.best} kept",
        "towers_next_basket": f"{before:.4f} untrained, "
        + ", ".join(f"{epoch.worth:.4f}" for epoch in trained.epochs),
        **quality,
        **_told(searched),
    }


def apply_towers(
    job: BuildContext, log: Log, trained: Path, before: PreviousIndex | None
) -> dict[str, Any] | None:
    """Write the vectors that the towers of another release give these products, and their index.

    Products that have an embedding of their own there keep it, wherever they stand now. None
    where the shop has other kinds of things to see than the towers have learnt.
    """
    parts = open_parts(job.folder)
    past = _past(job, log, parts)
    traits = {r["id"]: dict(r["traits"]) for r in job.shop.users().to_pylist()}
    names = msgspec.json.decode((trained / OWN).read_bytes(), type=list[str])
    number_of = {name: number for number, name in enumerate(names, 1)}
    own = np.array([number_of.get(name, 0) for name in parts.products.ids], np.int64)
    columns = tower_columns(job, parts, past.behaviour.statistics)._replace(own=own)
    towers = Towers.open(trained)
    if {
        name: dense.vectors.shape[1] for name, dense in columns.dense.items()
    } != towers.shape.widths:
        return None
    found = TrainedTowers(towers, embed_products(towers, columns), (), 0, 0.0)
    return _save(job, found, past, traits, before)


def _save_own(folder: Path, parts: Parts, columns: ProductColumns) -> None:
    """Write the products that have an embedding of their own, by its number from 1 on."""
    ids = parts.products.ids
    names = [ids[row] for row in np.flatnonzero(columns.own).tolist()]
    (folder / TOWERS / OWN).write_bytes(msgspec.json.encode(names))


def _past(job: BuildContext, log: Log, parts: Parts) -> TowerValidation:
    until = end_of(job, log)
    begin = until - job.config.ranking.window_days * DAY
    behaviour = Behaviour.build(
        log.user_ids, log.purchases, parts.products.size, begin, BehaviourSettings(tables=())
    )
    baskets = next_baskets(log.user_ids, log.purchases, begin, until)
    if len(baskets) > MOST_CASES:
        drawn = np.random.default_rng(job.config.seed).choice(len(baskets), MOST_CASES, False)
        baskets = [baskets[i] for i in np.sort(drawn)]
    return TowerValidation(behaviour, baskets, parts.products.allowed(not_hidden(job.config)))


def _requests(
    job: BuildContext, parts: Parts, past: TowerValidation, traits: dict[str, dict[str, str]]
) -> tuple[BasketRequests, TitleWords | None]:
    titles = [str(title) for title in parts.products.column("title")]
    sizes = RequestSizes(
        parts.joined_vectors.shape[1],
        0 if parts.picture_vectors is None else parts.picture_vectors.shape[1],
        job.config.towers.recent_products,
    )
    numbers = title_numbers(titles)
    without = BasketRequests(past.behaviour, numbers, traits, None, sizes)
    if without.size < job.config.towers.min_requests:
        return without, None
    encoder = query_encoder(job)

    def encode(texts: Sequence[str]) -> Float32[np.ndarray, "s v"]:
        chunks = [texts[i : i + 512] for i in range(0, len(texts), 512)]
        told = job.track(chunks, "encode made-up searches", len(chunks))
        return np.concatenate([encoder.texts(chunk) for chunk in told])

    words = synthetic_queries(titles, without.shares, encode, job.config.seed)
    return BasketRequests(past.behaviour, numbers, traits, words, sizes), words


def _spaces(job: BuildContext, parts: Parts) -> Spaces:
    dim = 0 if job.encoders.image is None else job.encoders.image.dim
    return Spaces(parts.joined_vectors, dim, job.config.encoders.image_weight)


def _save(
    job: BuildContext,
    trained: TrainedTowers,
    past: TowerValidation,
    traits: dict[str, dict[str, str]],
    before: PreviousIndex | None = None,
) -> dict[str, Any]:
    save_array(job.folder / TOWERS / "vectors.npy", trained.vectors)
    asks = [_ask(past, basket, traits) for basket in past.baskets]
    queries = [interests(trained.towers, ask, trained.vectors) for ask in asks]
    planned = build_index(
        trained.vectors,
        np.concatenate(queries),
        requirements_of(job.config)._replace(factory=""),
        before=before,
    )
    save_index(planned.built, job.folder / "index/towers.faiss")
    return described(planned, "towers", job.config.index.recall_k)


def _searched(
    job: BuildContext,
    past: TowerValidation,
    traits: dict[str, dict[str, str]],
    words: TitleWords | None,
) -> SearchQuality | None:
    """Compare searches with and without the towers, which are asked for all windows here."""
    if words is None:
        return None
    save_windows(job.folder, (RECOMMENDATION, SEARCH))
    parts = open_parts(job.folder)
    return compare_searches(parts, past.behaviour, past.baskets, traits, words, job.config)


def _told(searched: SearchQuality | None) -> dict[str, str]:
    if searched is None:
        return {}
    ahead, where = searched.difference, "used" if searched.helps else "not used"
    return {
        "towers_search": f"mean reciprocal rank {searched.without:.4f} without, "
        f"{ahead.mean:+.4f} with ({ahead.low:+.4f} to {ahead.high:+.4f}): {where} in searches"
    }
