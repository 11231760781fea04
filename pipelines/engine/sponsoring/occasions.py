"""The occasion of a request: what of it decides which campaigns are for it."""

from collections.abc import Iterable

from pipelines.ads.ad_serving import AdServing
from pipelines.ads.campaigns.eligibility import Occasion
from pipelines.ads.campaigns.target_words import words_of
from pipelines.config.place import ShopPlace
from pipelines.engine.request import scene_of
from retrieval import Query


def occasion_of(
    query: Query, categories: Iterable[str], serving: AdServing, place: ShopPlace
) -> Occasion:
    """Return the occasion of a request that is about these categories, now by the server's clock.

    A moment that the request names does not count: budgets and schedules are of the real day.
    """
    scene = scene_of(query)
    return Occasion(
        now_ms=serving.now(),
        words=words_of(query.text),
        categories=tuple(categories),
        products=frozenset(query.liked),
        placement=scene.placement,
        device=scene.device,
        channel=scene.channel,
        country=scene.country or place.country,
        consents=serving.consents(query),
    )
