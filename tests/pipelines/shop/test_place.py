import pytest

from pipelines.config.loading import load
from pipelines.errors import ConfigError
from pipelines.shop.place import with_place
from pipelines.shop.reader import ShopMeta


def meta(**place: str) -> ShopMeta:
    return ShopMeta(name="Corner shop", source="table", **place)


def test_what_the_configuration_leaves_open_is_the_folder_s() -> None:
    shop = with_place(load(), meta(timezone="Asia/Tokyo", country="JP")).shop

    assert (shop.timezone, shop.country) == ("Asia/Tokyo", "JP")


def test_where_nobody_says_it_is_utc_and_the_united_states() -> None:
    shop = with_place(load(), meta()).shop

    assert (shop.timezone, shop.country) == ("UTC", "US")


def test_a_configuration_names_the_zone_of_a_folder_that_does_not() -> None:
    config = load(None, ["shop.timezone=Asia/Tokyo", "shop.country=DE"])

    shop = with_place(config, meta(country="JP")).shop

    assert (shop.timezone, shop.country) == ("Asia/Tokyo", "DE")


def test_a_zone_that_is_not_the_folder_s_is_refused_with_what_to_do() -> None:
    config = load(None, ["shop.timezone=Asia/Tokyo"])

    with pytest.raises(ConfigError, match=r"of Europe/Rome; .* --timezone Asia/Tokyo"):
        with_place(config, meta(timezone="Europe/Rome"))


def test_a_country_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"shop.country=QQ is no country"):
        with_place(load(None, ["shop.country=QQ"]), meta())


def test_a_place_once_filled_in_stays() -> None:
    once = with_place(load(), meta(timezone="Asia/Tokyo", country="JP"))

    assert with_place(once, meta(timezone="Asia/Tokyo", country="JP")) == once
