from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pipelines.config.loading import load
from pipelines.config.place import ShopPlace
from pipelines.errors import ConfigError
from retrieval import Query, Scene

NEW_YORK = ShopPlace.of(load(None, ["shop.timezone=America/New_York"]).shop)
NOON = datetime(2024, 5, 1, 12)
FIRST_OF_TWO = datetime(2024, 11, 3, 5, 30, tzinfo=UTC)  # clocks go back at 6:00 UTC
SKIPPED = datetime(2024, 3, 10, 2, 30)  # clocks go from 2:00 to 3:00


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("given", "local"),
    [
        ("2024-05-01T00:30:00-04:00", "2024-05-01T00:30:00"),
        ("2024-05-01T04:30:00Z", "2024-05-01T00:30:00"),
        ("2024-05-01T13:30:00+09:00", "2024-05-01T00:30:00"),
        ("2024-01-01T04:30:00Z", "2023-12-31T23:30:00"),
        ("2024-05-01T00:30:00", "2024-05-01T00:30:00"),
    ],
)
def test_a_moment_with_an_offset_is_the_local_one_and_another_stays(given: str, local: str) -> None:
    assert NEW_YORK.local(moment(given)) == moment(local)


def test_of_two_moments_that_clocks_show_alike_both_have_the_same_local_time() -> None:
    local = [NEW_YORK.local(FIRST_OF_TWO + timedelta(hours=hours)) for hours in (0, 1)]

    assert local == [datetime(2024, 11, 3, 1, 30)] * 2


def test_a_local_time_that_clocks_skip_stays_as_it_is() -> None:
    assert NEW_YORK.local(SKIPPED) == SKIPPED


def test_no_moment_is_ever_in_the_hour_that_clocks_skip() -> None:
    before = datetime(2024, 3, 10, 6, 59, tzinfo=UTC)

    local = [NEW_YORK.local(before + timedelta(minutes=minutes)) for minutes in (0, 1)]

    assert local == [datetime(2024, 3, 10, 1, 59), datetime(2024, 3, 10, 3, 0)]


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_moment_at_the_ends_of_the_calendar_is_left_for_whoever_reads_it(text: str) -> None:
    assert NEW_YORK.local(moment(text)).tzinfo is None


def test_now_is_what_a_clock_in_the_shop_shows() -> None:
    far = ShopPlace.of(load(None, ["shop.timezone=Pacific/Kiritimati"]).shop)  # UTC+14

    ahead = far.now() - datetime.now(UTC).replace(tzinfo=None)

    assert far.now().tzinfo is None
    assert round(ahead / timedelta(hours=1)) == 14


def test_a_request_has_the_country_of_the_shop_unless_it_names_one() -> None:
    german = ShopPlace.of(load(None, ["shop.country=DE"]).shop)
    asked = Query(text="x", scene=Scene(at=NOON, country="FR"))

    assert german.localised(Query()).scene == Scene(country="DE")
    assert german.localised(asked) == asked
    assert ShopPlace.of(load().shop).localised(Query()).scene.country == "US"


@pytest.mark.parametrize("zone", ["Europe/Berlim", "../../etc/passwd", "/etc/localtime", "America"])
def test_a_zone_that_there_is_not_is_refused_by_name(zone: str) -> None:
    with pytest.raises(ConfigError, match=f"'{zone}' is no time zone; give .* Europe/Rome"):
        load(None, [f"shop.timezone={zone}"])


@pytest.mark.parametrize("country", ["de", "DEU", "Germany", "D1"])
def test_a_country_is_two_capitals(country: str) -> None:
    with pytest.raises(ConfigError, match="country"):
        load(None, [f"shop.country={country}"])


def test_every_zone_of_the_system_can_be_named() -> None:
    for name in ("UTC", "Asia/Kolkata", "Australia/Lord_Howe", "Europe/Rome"):
        place = ShopPlace.of(load(None, [f"shop.timezone={name}"]).shop)

        assert place.local(NOON.replace(tzinfo=ZoneInfo(name))) == NOON
