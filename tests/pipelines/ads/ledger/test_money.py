"""Money: charged once, never a micro above a budget, and the same in ledger and journal."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.ads.ad_log import FOLDER, forget, replay
from pipelines.ads.campaigns.campaign import Bid
from pipelines.ads.ledger.checkpoint import FILE
from pipelines.ads.ledger.records import (
    AdAct,
    CountedAct,
    DeleteCampaign,
    PutCampaign,
    UnwrittenAd,
)
from ranking.auction.values import Pricing
from tests.assertions import each, every
from tests.pipelines.ads.conftest import DAY_MS, MINUTE_MS, Till, auction, campaign, showing

TODAY = "2024-06-01"


def test_a_click_is_charged_once(till: Till) -> None:
    till.put(campaign())

    first, again = till.tell(showing(1), showing(1))
    [later] = till.tell(showing(1))

    assert isinstance(first, int)
    assert [again, later] == [UnwrittenAd(200, "token", "was counted before")] * 2
    assert till.spent() == (300_000, 300_000)


def test_impression_view_and_click_are_three_acts_of_which_the_click_is_charged(
    till: Till,
) -> None:
    till.put(campaign())

    outcomes = [till.tell(showing(1), act=act)[0] for act in AdAct]

    assert every(isinstance(one, int) for one in outcomes)
    account = till.ads.ledger.account("c1")
    assert account is not None
    figures = account.on(TODAY)
    assert (figures.impressions, figures.views, figures.clicks) == (1, 1, 1)
    assert till.spent() == (300_000, 300_000)


def test_the_last_click_is_charged_what_is_left_and_later_ones_are_given_away(till: Till) -> None:
    till.put(campaign(total=700_000))

    till.tell(*(showing(n) for n in range(4)))

    account = till.ads.ledger.account("c1")
    assert account is not None
    assert (account.spent, account.given_away) == (700_000, 500_000)
    assert (account.charged, account.free) == (3, 2)


def test_a_daily_budget_is_a_bound_of_its_own_and_new_on_the_next_day(till: Till) -> None:
    till.put(campaign(daily=400_000))

    till.tell(showing(1), showing(2))
    today = till.spent()
    till.now_ms += DAY_MS
    till.tell(showing(3, expires_ms=till.now_ms + MINUTE_MS))

    assert today == (400_000, 400_000)
    assert till.spent(day="2024-06-02") == (700_000, 300_000)


def test_thousandths_of_views_are_added_up_before_they_are_cut(till: Till) -> None:
    till.put(campaign(bid=Bid(kind=Pricing.CPM, micros=2_500)))
    views = [showing(n, kind="cpm", price_micros=2_400, hold_micros=2) for n in range(10)]

    till.tell(*views[:5], act=AdAct.VIEW)
    till.reopen()
    till.tell(*views[5:], act=AdAct.VIEW)
    till.tell(*views, act=AdAct.CLICK)

    assert till.spent() == (24, 24)


def test_an_expired_token_is_refused_and_charges_nothing(till: Till) -> None:
    till.put(campaign())
    till.now_ms += 30 * MINUTE_MS

    [outcome] = till.tell(showing(1))

    assert isinstance(outcome, UnwrittenAd)
    assert outcome.status == 410
    assert till.spent() == (0, 0)


def test_a_showing_with_a_later_end_is_counted_once_after_a_restart_too(
    till: Till, tmp_path: Path
) -> None:
    till.put(campaign())
    till.tell(showing(1))
    till.now_ms += DAY_MS
    later = showing(1, expires_ms=till.now_ms + MINUTE_MS)
    till.tell(later)
    till.ads.close()
    (tmp_path / FOLDER / FILE).unlink()  # so that the journal is read from its beginning
    till.open()

    assert till.tell(later) == [UnwrittenAd(200, "token", "was counted before")]


def test_a_clock_that_goes_back_charges_no_click_again(till: Till) -> None:
    till.put(campaign())
    till.tell(showing(1))
    till.now_ms += 31 * MINUTE_MS
    till.tell(showing(2, expires_ms=till.now_ms + MINUTE_MS))  # forgets the first
    till.now_ms -= 31 * MINUTE_MS

    [again] = till.tell(showing(1))
    till.reopen()
    [after] = till.tell(showing(1))

    for outcome in each([again, after]):
        assert isinstance(outcome, UnwrittenAd)
    assert till.spent()[0] == 600_000


def test_a_clock_that_was_a_year_ahead_and_is_set_right_stops_no_ads_and_charges_none_again(
    till: Till,
) -> None:
    till.put(campaign())
    till.tell(showing(1))
    till.now_ms += 365 * DAY_MS
    till.tell(showing(2, at_ms=till.now_ms, expires_ms=till.now_ms + MINUTE_MS))
    till.now_ms -= 365 * DAY_MS - 5 * MINUTE_MS
    fresh = showing(3, at_ms=till.now_ms + 1, expires_ms=till.now_ms + MINUTE_MS)

    [again], [new] = till.tell(showing(1)), till.tell(fresh)
    till.reopen()
    [after], [twice] = till.tell(showing(1)), till.tell(fresh)

    assert isinstance(new, int)
    for outcome in each([again, after, twice]):
        assert isinstance(outcome, UnwrittenAd)
    assert till.spent()[0] == 900_000


def test_a_budget_below_what_was_spent_is_refused(till: Till) -> None:
    till.put(campaign(total=1_000_000, daily=500_000))
    till.tell(showing(1))

    [total] = till.put(campaign(total=299_999))
    [daily] = till.put(campaign(total=300_000, daily=299_999))
    [fits] = till.put(campaign(total=300_000, daily=300_000))

    assert isinstance(total, UnwrittenAd)
    assert (total.status, total.field) == (400, "budget.total_micros")
    assert isinstance(daily, UnwrittenAd)
    assert daily.field == "budget.daily_micros"
    assert isinstance(fits, int)


def test_a_budget_is_not_new_for_a_campaign_that_is_deleted_and_put_again(till: Till) -> None:
    till.put(campaign(total=300_000))
    till.tell(showing(1))
    till.ads.submit([DeleteCampaign(id="c1")]).result()
    till.tell(showing(2))
    till.put(campaign(total=300_000))

    till.tell(showing(3))

    account = till.ads.ledger.account("c1")
    assert account is not None
    assert (account.spent, account.given_away) == (300_000, 600_000)


def test_all_campaigns_have_one_currency(till: Till) -> None:
    till.put(campaign("c1"))

    [other] = till.put(campaign("c2", currency="USD"))
    [same] = till.put(campaign("c1", currency="USD"))

    assert isinstance(other, UnwrittenAd)
    assert other.field == "currency"
    assert isinstance(same, int)


def test_what_is_held_ends_with_the_charge_or_the_token(till: Till) -> None:
    till.put(campaign(total=1_000_000))
    one, two = showing(1), showing(2)
    till.ads.submit([auction(one), auction(two)]).result()
    held = left(till)
    till.tell(one)
    charged = left(till)
    till.now_ms += 32 * MINUTE_MS

    assert (held, charged, left(till)) == (994_000, 697_000, 700_000)


def left(till: Till) -> int:
    return till.ads.ledger.standings(["c1"], TODAY, till.now_ms)["c1"].left


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["click", "view", "day", "put", "delete", "reopen", "auction"]),
        st.integers(0, 5),
        st.integers(1, 900),
    ),
    max_size=40,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(operations=OPERATIONS, total=st.integers(1, 3_000), daily=st.integers(1, 1_500))
def test_ledger_journal_and_budget_agree_after_any_operations(
    tmp_path_factory: pytest.TempPathFactory,
    operations: list[tuple[str, int, int]],
    total: int,
    daily: int,
) -> None:
    folder = tmp_path_factory.mktemp("till")
    till = Till(folder)
    daily = min(total, daily)
    till.put(campaign(total=total, daily=daily))
    most = total
    for kind, number, price in operations:
        expires = till.now_ms + MINUTE_MS
        one = showing(number, price_micros=price, expires_ms=expires, at_ms=till.now_ms)
        if kind == "click":
            till.tell(one, one)
        elif kind == "view":
            till.tell(one, act=AdAct.VIEW)
        elif kind == "day":
            till.now_ms += DAY_MS
        elif kind == "put":
            most = max(most, total + price)
            till.put(campaign(total=total + price, daily=daily))
        elif kind == "delete":
            till.ads.submit([DeleteCampaign(id="c1")]).result()
        elif kind == "auction":
            till.ads.submit([auction(one)]).result()
        else:
            till.reopen()
            by_checkpoint = kept(till)
            (folder / FOLDER / FILE).unlink()
            till.ads.close()
            (folder / FOLDER / FILE).unlink(missing_ok=True)
            till.open()
            assert kept(till) == by_checkpoint
        conserved(folder, till, most, daily)
    till.ads.close()


def kept(till: Till) -> object:
    """Return all that a ledger knows."""
    return till.ads.ledger.checkpoint("")


def test_a_checkpoint_that_is_damaged_or_of_another_journal_is_passed_over(
    till: Till, tmp_path: Path
) -> None:
    till.put(campaign())
    till.tell(showing(1))
    till.ads.close()
    path = tmp_path / FOLDER / FILE
    whole = path.read_bytes()
    spends = []
    for content in (whole[:-5], b"", whole.replace(b'"log":"', b'"log":"x'), b"[]"):
        path.write_bytes(content)
        till.open()
        spends.append(till.spent())
        till.ads.close()
    till.open()

    assert spends == [(300_000, 300_000)] * 4


def test_old_auctions_are_forgotten_and_charges_are_not(till: Till, tmp_path: Path) -> None:
    till.put(campaign())
    till.ads.submit([auction(showing(1))]).result()
    till.tell(showing(1))
    till.now_ms += 40 * DAY_MS
    till.put(campaign())
    before = kept(till)
    till.reopen()

    kinds = [type(one.record) for one in replay(tmp_path / FOLDER)]
    assert kinds == [PutCampaign, CountedAct, PutCampaign]
    assert till.spent() == (300_000, 300_000)
    assert kept(till) == before


def test_of_more_auctions_than_are_kept_the_oldest_go(till: Till, tmp_path: Path) -> None:
    till.put(campaign())
    till.ads.submit([auction(showing(n)) for n in range(9)]).result()
    till.tell(showing(1))

    removed = forget(tmp_path / FOLDER, till.ads.ledger.upto, 0, most=4)

    kinds = [type(one.record).__name__ for one in replay(tmp_path / FOLDER)]
    assert removed == 6
    assert kinds == ["PutCampaign", *["HeldAuction"] * 3, "CountedAct"]


def conserved(folder: Path, till: Till, most: int, daily: int) -> None:
    """Look at ledger, days and records, which must all say the same."""
    counted = [e.record for e in replay(folder / FOLDER) if isinstance(e.record, CountedAct)]
    charged = sum(one.charged_micros for one in counted)
    account = till.ads.ledger.account("c1")
    assert account is not None
    assert account.spent == charged == sum(day.spent for day in account.days.values()) <= most
    assert not [day for day in account.days.values() if day.spent > daily]
    due = sum(one.showing.price_micros for one in counted if one.act is AdAct.CLICK)
    assert charged + account.given_away == due
    told = [(one.act, one.showing.auction, one.showing.expires_ms) for one in counted]
    assert len(set(told)) == len(told)
