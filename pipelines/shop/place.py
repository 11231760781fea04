"""Completes the place of a shop in a configuration from what its folder says."""

import msgspec

from pipelines.config.place import DEFAULT_COUNTRY
from pipelines.config.sections import Config
from pipelines.errors import ConfigError
from pipelines.shop.reader import ShopMeta
from retrieval.context_facts import has_calendar


def with_place(config: Config, meta: ShopMeta) -> Config:
    """Return the configuration with the zone and country of the shop filled in.

    What the configuration leaves open is the folder's, then UTC and the United States. Raises
    ConfigError where both name a zone and differ, and for a country that there is not.
    """
    shop = config.shop
    if shop.timezone and meta.timezone and shop.timezone != meta.timezone:
        raise ConfigError(
            f"shop.timezone={shop.timezone}, but the times in the shop folder {meta.name!r} are of "
            f"{meta.timezone}; leave the key out, or import again with "
            f"--timezone {shop.timezone}"
        )
    country = shop.country or meta.country or DEFAULT_COUNTRY
    if not has_calendar(country):
        raise ConfigError(f"shop.country={country} is no country of ISO 3166, such as US, DE or GB")
    timezone = shop.timezone or meta.timezone or "UTC"
    place = msgspec.structs.replace(shop, timezone=timezone, country=country)
    return msgspec.structs.replace(config, shop=place)
