from collections.abc import Iterable
from contextlib import suppress
from datetime import date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.importers.columns import EventColumns
from pipelines.importers.events.date_order import LogStyle, survey
from pipelines.importers.events.times import DateOrder, moment_of
from pipelines.importers.tables.rows import Row
from pipelines.importers.values.texts import RowError

TEN = datetime(2024, 3, 1, 10)
NOW = datetime(2026, 11, 30)


@pytest.mark.parametrize(
    "value",
    [
        "2024-03-01T10:00:00",
        "2024-03-01 10:00",
        "2024-03-01T10:00:00Z",
        "2024年3月1日 10:00",
        "2024年03月01日(金) 10時00分",
        "2024年3月1日 上午10:00",
        "2024년 3월 1일 오전 10:00",
        "1 марта 2024 10:00",
        "1 marca 2024 10:00",
        "1 Mart 2024 10:00",
        "1 Μαρτίου 2024 10:00",
        "2024-03-01T10:00:00.1234567Z",
        "2024-03-01 10:00:00 UTC",  # BigQuery
        "2024-03-01 10:00:00.123456 UTC",
        "2024-03-01 11:00:00 +0100",  # Shopify
        "2024-03-01T11:00:00+01:00",
        "2024-03-01T05:00:00-05:00[America/New_York]",  # Java
        "2024-03-01T05:00[America/New_York]",
        "2024-03-01 05:00:00 EST",
        "01.03.2024 11:00 MEZ",
        "2024-03-01 10:00:00 IST",  # of three zones: the shop's
        "2024-03-01 10:00:00 GMT",
        "2024/03/01 10:00:00",
        "2024.03.01 10:00",
        "2024-3-1 10:00",
        "01.03.2024 10:00",
        "1.3.2024, 10:00",
        "1.3.24 10:00:00",
        "Mar 1, 2024 10:00 AM",
        "March 1, 2024, 10:00:00 a.m.",
        "1 March 2024 10:00",
        "01-Mar-2024 10:00:00",
        "1. März 2024 10:00",
        "1 de marzo de 2024 10:00",
        "1 mars 2024 10:00",
        "Fri, 01 Mar 2024 10:00:00 GMT",  # RFC 2822
        "Fri, 01 Mar 2024 10:00:00 +0000",
        "Fri Mar 01 2024 11:00:00 GMT+0100 (CET)",  # JavaScript
        "01/Mar/2024:10:00:00 +0000",  # a web server's log
        "1709287200",
        "1709287200123",
        "1709287200123456",
        "1709287200123456789",
        1709287200,
        1709287200.5,
        1709287200123456,
        "1709287200.123",
        "1.7092872e+09",
        "01MAR2024:10:00:00",
        "Freitag, 1. März 2024, 10.00 Uhr",
        "20240301T100000Z",
        "2024030110",  # dateHour of Google Analytics
        "202403011000",
        "20240301100000",
        45352.4166666667,  # Excel
        "45352.4166666667",
        TEN,
    ],
)
def test_one_moment_is_read_in_every_form(value: object) -> None:
    assert moment_of(value) == TEN


@pytest.mark.parametrize("value", ["20240301", 20240301, "2024-03-01", "45352", date(2024, 3, 1)])
def test_a_day_alone_is_its_beginning(value: object) -> None:
    assert moment_of(value) == datetime(2024, 3, 1)


@pytest.mark.parametrize(
    ("text", "hour"), [("12:05 AM", 0), ("12:05 PM", 12), ("1:05 pm", 13), ("11:05 p. m.", 23)]
)
def test_a_clock_of_twelve_hours_is_read(text: str, hour: int) -> None:
    assert moment_of(f"2024/3/1 {text}") == datetime(2024, 3, 1, hour, 5)


@pytest.mark.parametrize(
    "value",
    [
        "", None, "soon", "yesterday", "2024", "1", "-5", "31.02.2024", "2024-13-01",
        "99999999999999", "3/1/2024", "12-01-10 8:20", "12-01-10", "32.1.2024", "0.0.2024",
        "1.2.3.2024", "x" * 10_000, "9" * 200, True, [1], float("nan"), float("inf"), 10**400,
        "2024-03-01 25:00", "3/1/2024 13:00 PM", "1889-01-01",
    ],
)  # fmt: skip
def test_what_is_no_moment_or_several_is_refused(value: object) -> None:
    with pytest.raises(RowError, match="is not a moment from 1990 to 2100"):
        moment_of(value)


def order_of(*texts: str, now: datetime = NOW, columns: EventColumns | None = None) -> DateOrder:
    return surveyed(texts, now, columns).order


def surveyed(
    texts: Iterable[str], now: datetime = NOW, columns: EventColumns | None = None
) -> LogStyle:
    rows = [Row(line, {"t": text}) for line, text in enumerate(texts, 2)]
    return survey(rows, columns or EventColumns(user="u", time="t", product="p"), now)


def test_a_day_above_twelve_anywhere_in_the_file_tells_the_order_of_all() -> None:
    late = [f"3/{1 + i % 12}/2024 10:00" for i in range(5_000)]

    assert order_of(*late, "3/13/2024 10:00").day_first is False
    assert order_of(*late, "13/3/2024 10:00").day_first is True


def test_without_such_a_day_the_order_of_the_rows_tells() -> None:
    days = ["11/1/2023", "11/2/2023", "12/1/2023", "1/2/2024"]

    assert order_of(*days).day_first is False
    assert order_of("1/11/2023", "2/11/2023", "1/12/2023", "2/1/2024").day_first is True


def test_events_do_not_lie_in_the_future() -> None:
    assert order_of("12/1/2024", now=datetime(2024, 2, 1)).day_first is True
    assert order_of("1/12/2024", now=datetime(2024, 2, 1)).day_first is False


def test_a_clock_of_twelve_hours_goes_with_the_month_first() -> None:
    assert order_of("3/1/2024 10:00 AM").day_first is False
    assert moment_of("3/1/2024 10:00 AM", order_of("3/1/2024 10:00 AM")) == TEN


def test_the_report_says_how_dates_are_read_and_why() -> None:
    [note] = surveyed(["3/1/2024 10:00", "3/13/2024 10:00"]).notes

    assert "'3/1/2024 10:00' are read month first: 1 dates have a day above 12" in note
    assert surveyed(["2024-03-01"]).notes == ()


@pytest.mark.parametrize(
    ("dates", "moment"),
    [
        ("day first", datetime(2010, 1, 12, 8, 20)),
        ("month first", datetime(2010, 12, 1, 8, 20)),
        ("year first", datetime(2012, 1, 10, 8, 20)),
    ],
)
def test_a_mapping_says_how_dates_are_read(dates: str, moment: datetime) -> None:
    columns = EventColumns(user="u", time="t", product="p", dates=dates)  # type: ignore[arg-type]

    order = order_of("13/13/2013", columns=columns)

    assert moment_of("12-01-10 8:20", order) == moment


def test_times_that_name_a_zone_are_converted_to_the_shops() -> None:
    order = order_of("1", columns=EventColumns(user="u", time="t", product="p", zone="Europe/Rome"))

    assert moment_of("2024-03-01T10:00:00Z", order) == datetime(2024, 3, 1, 11)
    assert moment_of("2024-07-01T10:00:00-04:00", order) == datetime(2024, 7, 1, 16)
    assert moment_of(1709287200, order) == datetime(2024, 3, 1, 11)
    assert moment_of("2024-03-01T10:00:00", order) == TEN


@pytest.mark.parametrize(
    ("instant", "local"),
    [
        (1730611800, datetime(2024, 11, 3, 1, 30)),  # the first 1:30 of the night
        (1730615400, datetime(2024, 11, 3, 1, 30)),  # the second
        ("2024-11-03T01:30:00-05:00", datetime(2024, 11, 3, 1, 30)),
        (1710053940, datetime(2024, 3, 10, 1, 59)),
        (1710054000, datetime(2024, 3, 10, 3)),  # 2:00 to 3:00 was skipped
        ("2024-03-10T02:30:00", datetime(2024, 3, 10, 2, 30)),  # and is taken as written
        ("2024-05-01T00:30:00-04:00", datetime(2024, 5, 1, 0, 30)),
        (1714537800, datetime(2024, 5, 1, 0, 30)),
        ("1714537800000000", datetime(2024, 5, 1, 0, 30)),  # event_timestamp of Google Analytics 4
    ],
)
def test_one_instant_is_one_local_moment_however_it_is_written(
    instant: object, local: datetime
) -> None:
    columns = EventColumns(user="u", time="t", product="p", zone="America/New_York")

    assert moment_of(instant, order_of("1", columns=columns)) == local


def test_a_zone_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'Mars/Base' is no time zone; .* such as Europe/Rome"):
        EventColumns(user="u", time="t", product="p", zone="Mars/Base")


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="0123456789-/.: TZAPMapm+UTCJanMarch,", max_size=40) | st.text(max_size=30))
def test_no_text_brings_anything_but_a_moment_or_a_mistake(text: str) -> None:
    for order in (DateOrder(), DateOrder(day_first=True), DateOrder(year_first=True, said=True)):
        with suppress(RowError):
            assert 1990 <= moment_of(text, order).year <= 2100


def test_days_of_excel_with_a_decimal_comma() -> None:
    assert moment_of("45352,5") == datetime(2024, 3, 1, 12)


def test_a_date_that_can_be_read_in_one_way_asks_for_no_order() -> None:
    with pytest.raises(RowError) as refused:
        moment_of("2024-02-30")

    assert "day first" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "month"),
    [
        ("1 lipnja 2024", 6), ("1. lipanj 2024", 6), ("1 lipca 2024", 7), ("1 lipiec 2024", 7),
        ("1 marraskuuta 2024", 11), ("1. marraskuu 2024", 11), ("1 maaliskuuta 2024", 3),
        ("1 mars 2024", 3), ("1 mar 2024", 3), ("1 marca 2024", 3), ("1 maart 2024", 3),
    ],
)  # fmt: skip
def test_months_that_begin_alike_are_told_apart(text: str, month: int) -> None:
    assert moment_of(text) == datetime(2024, month, 1)


MONTHS = {
    "Polish": "sty lut mar kwi maj cze lip sie wrz paź lis gru",
    "Polish of dates": "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września "
    "października listopada grudnia",
    "Czech": "led úno bře dub kvě čvn čvc srp zář říj lis pro",
    "Czech of dates": "ledna února března dubna května června července srpna září října listopadu "
    "prosince",
    "Croatian": "sij velj ožu tra svi lip srp kol ruj lis stu pro",
    "Croatian of dates": "siječnja veljače ožujka travnja svibnja lipnja srpnja kolovoza rujna "
    "listopada studenoga prosinca",
    "Finnish": "tammikuuta helmikuuta maaliskuuta huhtikuuta toukokuuta kesäkuuta heinäkuuta "
    "elokuuta syyskuuta lokakuuta marraskuuta joulukuuta",
    "Dutch": "jan feb mrt apr mei jun jul aug sep okt nov dec",
    "Portuguese": "jan fev mar abr mai jun jul ago set out nov dez",
    "Hungarian": "január február március április május június július augusztus szeptember október "
    "november december",
    "Turkish": "OCAK ŞUBAT MART NİSAN MAYIS HAZİRAN TEMMUZ AĞUSTOS EYLÜL EKİM KASIM ARALIK",
    "Greek": "Ιανουάριος Φεβρουάριος Μάρτιος Απρίλιος Μάιος Ιούνιος Ιούλιος Αύγουστος Σεπτέμβριος "
    "Οκτώβριος Νοέμβριος Δεκέμβριος",
    "Ukrainian": "січня лютого березня квітня травня червня липня серпня вересня жовтня листопада "
    "грудня",
    "Lithuanian": "sausio vasario kovo balandžio gegužės birželio liepos rugpjūčio rugsėjo spalio "
    "lapkričio gruodžio",
}


@pytest.mark.parametrize("language", MONTHS)
def test_every_month_of_a_log_in_one_language_is_read(language: str) -> None:
    texts = [f"1 {name} 2024" for name in MONTHS[language].split()]

    order = order_of(*texts)

    assert [moment_of(text, order).month for text in texts] == [*range(1, 13)]


@pytest.mark.parametrize(
    ("texts", "month", "said"),
    [
        (["1 listopada 2024"], 11, "Polish or Czech, November: which is more common"),
        (["1 lip 2024"], 7, "Polish or Czech, July: which is more common"),
        (["1 listopada 2024", "1 stycznia 2024"], 11, "1 others such as 'stycznia'"),
        (["1. listopadu 2024", "1. prosince 2024"], 11, "1 others such as 'prosince'"),
        (["1. listopada 2024", "1. siječnja 2024"], 10, "Croatian, October: so are 1 others"),
        (["1. lis 2024", *["3 mar 2024"] * 2_000, "2. ruj 2024"], 10, "others such as 'ruj'"),
        (["1 lis 2024", "2 ruj 2024", "1 sty 2024", "1 sie 2024"], 11, "so are 2 others"),
    ],
)
def test_a_month_that_is_another_in_another_country_is_told_by_the_others_of_the_log(
    texts: list[str], month: int, said: str
) -> None:
    style = surveyed(texts)

    assert moment_of(texts[0], style.order).month == month
    [note] = style.notes
    assert said in note


@pytest.mark.parametrize(
    "text",
    [
        "2024. március 1. 10:00", "2024-Mar-01 10:00", "2024 March 1 10:00", "Mar-01-2024 10:00",
        "2024 m. kovo 1 d. 10:00", "fredag den 1 mars 2024 kl. 10:00", "1er mars 2024 à 10h00",
        "1. ožujka 2024. 10:00", "01.03.2024. 10:00", "1. 3. 2024 10:00", "1. 3. 2024. 10:00",
        "2024. 03. 01. 10:00", "sexta-feira, 1 de março de 2024 10:00", "Pt, 1 mar 2024 10:00",
    ],
)  # fmt: skip
def test_a_date_is_read_in_the_order_and_with_the_stops_of_its_country(text: str) -> None:
    assert moment_of(text) == TEN


@pytest.mark.parametrize(
    "text", ["1 de març de 2024", "1. ožujka 2024.", "1. 3. 2024.", "2024. március 1."]
)
def test_a_stop_behind_the_year_or_the_day_ends_a_date(text: str) -> None:
    assert moment_of(text) == datetime(2024, 3, 1)


def test_catalan_elides_the_word_before_a_month() -> None:
    assert moment_of("1 d'abril de 2024") == datetime(2024, 4, 1)


SECONDS = 1709287200  # 2024-03-01 10:00


@pytest.mark.parametrize(
    ("unit", "factor"), [("seconds", 1), ("milliseconds", 10**3), ("microseconds", 10**6),
                         ("nanoseconds", 10**9)]
)  # fmt: skip
@pytest.mark.parametrize("kind", [int, str])
def test_the_first_rows_tell_what_the_numbers_of_a_column_count(
    unit: str, factor: int, kind: type
) -> None:
    rows = [Row(line, {"t": kind((SECONDS + line) * factor)}) for line in range(20)]
    columns = EventColumns(user="u", time="t", product="p")

    style = survey(rows, columns, NOW)

    assert style.notes == ()
    assert moment_of(kind(SECONDS * factor), style.order) == TEN
    other = SECONDS * (1 if factor > 1 else 1_000)
    with pytest.raises(RowError, match=f"the numbers of this column count {unit} since 1970"):
        moment_of(kind(other), style.order)
    for absurd in (45352, 0, 7, 9_999_999_999, SECONDS * factor * 10):
        with pytest.raises(RowError, match="is not a moment"):
            moment_of(kind(absurd), style.order)
    assert moment_of("2024-03-01T10:00:00", style.order) == TEN
    assert moment_of(20240301, style.order) == datetime(2024, 3, 1)


def test_numbers_of_another_unit_than_most_are_named() -> None:
    [note] = surveyed([*["1709287200000"] * 9, "1709287200"]).notes

    assert "numbers of milliseconds since 1970, as 9 of the first 10 are" in note


def test_ten_digits_are_an_hour_of_google_unless_the_column_counts_seconds() -> None:
    hours = order_of("2024030110", "2024030111")
    seconds = order_of("1709287200", "1709287201")

    assert moment_of("2024030110", hours) == TEN
    assert moment_of("2024030110", seconds) == datetime(2034, 2, 20, 6, 35, 10)


@pytest.mark.parametrize(
    ("texts", "to_second"),
    [
        (["2024-03-01 10:00:00", "2024-03-01 10:07:00"], False),
        (["2024-03-01 10:00:00", "2024-03-01 10:07:01"], True),
        (["2024-03-01 10:00:00.250"], True),
        (["1709287200123456"], True),
        (["1709287200000000"], False),
        (["1709287207"], True),
        (["3/13/2024 10:00:07 AM"], True),
        (["1 mars 2024 10:00:07"], True),
        (["2024-03-01"], False),
        (["nonsense", "2024-03-01 10:00:07"], True),
    ],
)
def test_the_first_rows_tell_whether_times_are_to_the_second(
    texts: list[str],
    to_second: bool,  # noqa: FBT001
) -> None:
    assert surveyed(texts).to_second is to_second
