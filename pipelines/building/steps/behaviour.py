"""Writes the tables of what shoppers did before `until`."""

from typing import Any

import numpy as np

from index import Columns, map_array, save_array
from pipelines.building.context import BuildContext, end_of
from pipelines.building.steps.products import write_catalogue, write_promotions
from pipelines.config import ConfigError
from pipelines.release.layout import BEHAVIOUR, CONTENT
from pipelines.release.retriever import behaviour_settings
from pipelines.release.vector_indexes import open_space
from pipelines.shop.purchases import Log, read_purchases
from retrieval.behaviour.cold_start import NO_CONTENT, Content, bridge, nearest_content
from retrieval.behaviour.neighbours import TooLittleMemory
from retrieval.behaviour.purchases import DAY
from retrieval.behaviour.tables import Behaviour, save_bridge, until_of

NO_MOMENT = np.iinfo(np.int64).max


def write_behaviour(job: BuildContext, products: Columns) -> Log:
    """Write the tables of what shoppers did before `until`, and the features' catalogue."""
    write_catalogue(job, products)
    write_promotions(job, products)
    log = read_purchases(job.shop, products, job.until)
    write_tables(job, log, products.size)
    write_content(job, products.size)
    return log


def write_tables(job: BuildContext, log: Log, num_products: int) -> dict[str, Any]:
    """Write what follows from purchases alone; return what counts as one."""
    try:
        behaviour = Behaviour.build(
            log.user_ids,
            log.purchases,
            num_products,
            end_of(job, log),
            behaviour_settings(job.config),
        )
    except TooLittleMemory as e:
        raise ConfigError(str(e)) from None
    behaviour.save_tables(job.folder / BEHAVIOUR)
    return {"events": log.kind}


def write_content(job: BuildContext, num_products: int) -> None:
    """Write what products look like that were new, and who inherits from whom."""
    content = _content(job, num_products)
    for name, column in content._asdict().items():
        save_array(job.folder / CONTENT.format(name), column)
    baskets = map_array(job.folder / BEHAVIOUR / "product_baskets.npy")
    save_bridge(bridge(content, baskets > 0), job.folder / BEHAVIOUR)


def _content(job: BuildContext, num_products: int) -> Content:
    """Find what looks like each product that was new at `until` or in any window before it."""
    folder = job.folder / BEHAVIOUR
    rows, seconds = (map_array(folder / f"log_{name}.npy") for name in ("rows", "seconds"))
    if not job.config.behaviour.cold_start or not len(rows):
        return NO_CONTENT
    ranking = job.config.ranking
    oldest = until_of(folder) - ranking.window_days * DAY * (ranking.windows + 1)
    cold = np.bincount(rows[seconds < oldest], minlength=num_products) == 0
    vectors = map_array(job.folder / "vectors/joined.npy")
    index = open_space(job.folder, "joined", vectors)
    return nearest_content(index, vectors, cold)
