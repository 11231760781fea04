"""Where the shop is: its clock, and the country whose holidays count."""

from datetime import datetime, tzinfo
from typing import NamedTuple

import msgspec

from pipelines.config.sections import ShopConfig
from pipelines.config.zones import local_time, zone_of
from retrieval import Query

DEFAULT_COUNTRY = "US"


class ShopPlace(NamedTuple):
    """The zone of a shop, in which every moment inside is local, and its country.

    Local time is what a clock on the wall shows, without a zone. Where clocks go back, two
    moments an hour apart have the same local time; a local time that clocks skip stays as it is.
    """

    zone: tzinfo
    country: str

    @classmethod
    def of(cls, config: ShopConfig) -> "ShopPlace":
        """Return the place that a configuration names, by default UTC and the United States."""
        return cls(zone_of(config.timezone), config.country or DEFAULT_COUNTRY)

    def now(self) -> datetime:
        """Return the local time, to the second."""
        return datetime.now(self.zone).replace(tzinfo=None, microsecond=0)

    def local(self, moment: datetime) -> datetime:
        """Return the local time of a moment; one without a zone is local already."""
        return local_time(moment, self.zone)

    def localised(self, query: Query) -> Query:
        """Return a request whose moment is local, in a country: by default the shop's."""
        scene = query.scene
        at = None if scene.at is None else self.local(scene.at)
        scene = msgspec.structs.replace(scene, at=at, country=scene.country or self.country)
        return msgspec.structs.replace(query, scene=scene)
