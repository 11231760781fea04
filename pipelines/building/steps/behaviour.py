"""Writes the tables of what shoppers did before `until`."""

import numpy as np

from index import map_array, save_array
from pipelines.building.context import BuildContext
from pipelines.errors import ConfigError
from pipelines.release.layout import BEHAVIOUR, JOINED, content_of, vectors_of
from pipelines.release.manifest import Measurements
from pipelines.release.retriever import behaviour_settings
from pipelines.release.vector_indexes import open_space
from retrieval.behaviour.cold_start import NO_CONTENT, Content, bridge, nearest_content
from retrieval.behaviour.neighbours import TooLittleMemory
from retrieval.behaviour.purchases import DAY
from retrieval.behaviour.tables import Behaviour, bought_products, log_of, save_bridge
from retrieval.types import local_seconds


def write_tables(context: BuildContext) -> Measurements:
    """Write the tables that follow from purchases alone; return what counts as a purchase."""
    log = context.log
    try:
        behaviour = Behaviour.build(
            log.user_ids,
            log.purchases,
            context.products.size,
            _end_of(context),
            behaviour_settings(context.config),
        )
    except TooLittleMemory as e:
        raise ConfigError(str(e)) from None
    behaviour.save_tables(context.folder / BEHAVIOUR)
    return {"events": log.kind}


def write_content(context: BuildContext) -> None:
    """Write which products new ones look like, and from whom products inherit behaviour."""
    content = _content(context)
    for name, column in content._asdict().items():
        save_array(context.folder / content_of(name), column)
    bought = bought_products(context.folder / BEHAVIOUR)
    save_bridge(bridge(content, bought), context.folder / BEHAVIOUR)


def _content(context: BuildContext) -> Content:
    """Find what looks like each product that was new at `until` or in any window before it."""
    log = log_of(context.folder / BEHAVIOUR)
    if not context.config.behaviour.cold_start or not len(log.rows):
        return NO_CONTENT
    ranking = context.config.ranking
    oldest = context.end - ranking.window_days * DAY * (ranking.windows + 1)
    sold = np.bincount(log.rows[log.seconds < oldest], minlength=context.products.size)
    vectors = map_array(context.folder / vectors_of(JOINED))
    index = open_space(context.folder, JOINED, vectors)
    return nearest_content(index, vectors, sold == 0)


def _end_of(context: BuildContext) -> int:
    """Return the second that no table has seen: `until`, or just after the last purchase."""
    if context.until is not None:
        return local_seconds(context.until)
    return int(context.log.purchases.seconds.max(initial=0)) + 1
