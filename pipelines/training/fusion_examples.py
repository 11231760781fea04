"""Past baskets with what each channel proposed for them, to fit fusion weights on."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from pipelines.config.sections import Config, not_hidden
from pipelines.progress import Track
from pipelines.release.parts import Parts
from pipelines.release.retriever import behaviour_settings, retriever, with_interests
from pipelines.shop.purchases.log import Log, next_baskets
from retrieval import Scene
from retrieval.behaviour.tables import Behaviour
from retrieval.context_facts import hashed_facts
from retrieval.encoded_query import EncodedQuery
from retrieval.fusion.fusion import proposed
from retrieval.fusion.weight_fitting import ChannelOutcome

NO_TRAITS: Mapping[str, dict[str, str]] = MappingProxyType({})
MOST_REQUESTS = 500  # drawn by the seed; more would move the weights little


def past_outcomes(
    parts: Parts,
    log: Log,
    window: tuple[int, int],
    config: Config,
    track: Track,
    traits: Mapping[str, dict[str, str]] = NO_TRAITS,
) -> list[ChannelOutcome]:
    """Return what channels that end at a window's start propose for the first baskets in it."""
    start, end = window
    behaviour = Behaviour.build(
        log.user_ids,
        log.purchases,
        parts.products.size,
        start,
        behaviour_settings(config),
        parts.content,
    )
    stage = retriever(parts, behaviour, config)
    baskets = next_baskets(log.user_ids, log.purchases, start, end)
    if len(baskets) > MOST_REQUESTS:
        drawn = np.random.default_rng(config.seed).choice(
            len(baskets), MOST_REQUESTS, replace=False
        )
        baskets = [baskets[i] for i in np.sort(drawn)]
    allowed = parts.products.allowed(not_hidden(config))
    depth = max(config.retrieval.per_channel, config.retrieval.candidates)
    found, scene = [], Scene(country=config.shop.country)
    for basket in track(baskets, "weigh the channels", len(baskets)):
        history = behaviour.history(basket.user_id, basket.at_seconds)
        at = basket.at_seconds
        facts = hashed_facts(at, traits.get(basket.user_id, {}), scene)
        ask = EncodedQuery(history=history, at_seconds=at, allowed=allowed, facts=facts)
        asked = with_interests(ask, parts.trained)
        hits = stage.proposals(asked, depth)
        found.append(ChannelOutcome(hits, basket.rows, stage.scores(asked, proposed(hits))))
    return found
