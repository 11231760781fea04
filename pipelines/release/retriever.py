"""Puts the channels of a release together into its retriever."""

import msgspec

from pipelines.config.sections import Config
from pipelines.release.layout import RECOMMENDATION, SEARCH
from pipelines.release.parts import Parts, ReleaseTowers
from retrieval.behaviour.ease import EaseSettings
from retrieval.behaviour.relations import BehaviourSettings
from retrieval.behaviour.tables import Behaviour
from retrieval.channels.catalogue import CatalogueChannel
from retrieval.channels.habit import (
    EaseChannel,
    KindChannel,
    NextChannel,
    RepeatChannel,
    SeasonChannel,
    TogetherChannel,
    TrendingChannel,
)
from retrieval.channels.image import ImageChannel
from retrieval.channels.lexical import LexicalChannel
from retrieval.channels.semantic import SemanticChannel
from retrieval.channels.towers import TowersChannel
from retrieval.channels.types import Channel
from retrieval.encoded_query import EncodedQuery
from retrieval.retriever import Retriever, searches

SEARCHING = ("semantic", "lexical", "image", "towers")
RECOMMENDING = ("towers", "repeat", "ease", "together", "next", "season", "kind", "trending")


def retriever(parts: Parts, behaviour: Behaviour, config: Config) -> Retriever:
    """Return the first stage over these parts, with habits as of `behaviour`."""
    channels: dict[str, Channel] = {
        "semantic": SemanticChannel(parts.joined_index, parts.joined_vectors),
        "lexical": LexicalChannel(parts.lexical),
        "repeat": RepeatChannel(behaviour, config.retrieval.half_life_days),
        "ease": EaseChannel(behaviour),
        "together": TogetherChannel(behaviour),
        "next": NextChannel(behaviour),
        "season": SeasonChannel(behaviour),
        "trending": TrendingChannel(behaviour),
    }
    if parts.kinds is not None:
        channels["kind"] = KindChannel(behaviour, parts.kinds)
    if parts.picture_index is not None and parts.picture_vectors is not None:
        channels["image"] = ImageChannel(parts.picture_index, parts.picture_vectors)
    kinds = () if parts.trained is None else parts.trained.request_kinds
    if parts.trained is not None and kinds:
        channels["towers"] = TowersChannel(
            parts.trained.nearest, parts.trained.vectors, parts.trained.query.shape.temperature
        )
    on = [name for name in config.retrieval.channels if name in channels]
    searching = [name for name in on if name in SEARCHING]
    recommending = [name for name in on if name in RECOMMENDING]
    return Retriever(
        [channels[n] for n in searching if n != "towers" or SEARCH in kinds],
        [channels[n] for n in recommending if n != "towers" or RECOMMENDATION in kinds],
        per_channel=config.retrieval.per_channel,
        rrf_k=config.retrieval.rrf_k,
        weights=parts.weights or msgspec.to_builtins(config.retrieval.weights),
        scales=parts.scales,
        fusion=config.retrieval.fusion,
        words_weight=config.retrieval.words_weight,
        floor=config.retrieval.floor,
        fallback=CatalogueChannel(parts.catalogue.categories),
    )


def behaviour_settings(config: Config) -> BehaviourSettings:
    """Return what is learned from purchases: the tables of the channels that are on."""
    settings = config.behaviour
    return BehaviourSettings(
        neighbours=settings.neighbours,
        ease=EaseSettings(
            regularisation=settings.ease_lambda,
            neighbours=settings.ease_neighbours,
            products=settings.ease_products,
            half_life_days=settings.ease_half_life_days,
            max_memory_mb=settings.max_memory_mb,
        ),
        max_memory_mb=settings.max_memory_mb,
        tables=config.retrieval.channels,
    )


def with_interests(ask: EncodedQuery, trained: ReleaseTowers | None) -> EncodedQuery:
    """Return the request with its vectors in the space of the towers, where they are asked."""
    kind = SEARCH if searches(ask) else RECOMMENDATION
    if trained is None or kind not in trained.request_kinds:
        return ask
    return ask._replace(interests=trained.query.interests(ask, trained.vectors))
