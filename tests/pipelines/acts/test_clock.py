"""Which time of an act is believed."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.acts.clock import MOST_AHEAD, Instant, believed
from pipelines.events.kept_act import FIRST_YEAR, LAST_YEAR

NOW = datetime(2024, 7, 1, 12, tzinfo=UTC)
ROME = ZoneInfo("Europe/Rome")


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("happened", "sent", "expected"),
    [
        (None, None, Instant(NOW)),
        (at(-5), None, Instant(at(-5))),
        (at(-5), at(-59), Instant(at(-5))),  # the way took a minute
        (at(-105), at(-100), Instant(at(-5))),  # the sender's clock is late
        (at(86_395), at(86_400), Instant(at(-5))),  # a day ahead
        (at(-3_000_000), None, Instant(at(-3_000_000))),  # late
        (at(299), None, Instant(at(299))),
        (at(301), None, Instant(NOW, clamped=True)),
        (datetime(2024, 7, 1, 14), None, Instant(NOW)),  # local in summer
        (datetime(2199, 1, 1), datetime(1971, 1, 1), Instant(NOW, clamped=True)),
        (datetime(1971, 1, 1), datetime(2199, 1, 1), Instant(NOW, clamped=True)),
    ],
)
def test_a_time_is_believed_shifted_or_clamped(
    happened: datetime | None, sent: datetime | None, expected: Instant
) -> None:
    assert believed(happened, sent, NOW, ROME)[:2] == expected[:2]


MOMENTS = st.datetimes(datetime(FIRST_YEAR, 1, 1), datetime(LAST_YEAR, 1, 1))


@given(MOMENTS, st.none() | MOMENTS)
def test_no_time_is_far_ahead_of_its_arrival_or_before_the_first_year(
    happened: datetime, sent: datetime | None
) -> None:
    instant = believed(happened, sent, NOW, UTC).at

    assert datetime(FIRST_YEAR, 1, 1, tzinfo=UTC) <= instant <= NOW + MOST_AHEAD
