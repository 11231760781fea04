"""The report of a campaign: what it spent, what for, what was given away, and why it lost."""

from pipelines.ads.campaigns.campaign import AdCampaign
from pipelines.ads.ledger.account import Account, DayFigures
from pipelines.ads.ledger.ledger import Ledger
from retrieval.types import Noun


class DayReport(Noun, frozen=True, kw_only=True):
    """The figures of one day of the shop; money in micros."""

    day: str
    served: int
    impressions: int
    views: int
    clicks: int
    spent_micros: int
    given_away_micros: int


class CampaignReport(Noun, frozen=True, kw_only=True):
    """What became of a campaign up to the record `sequence` of the ledger; money in micros.

    `served` showings stood in answers, of which pages told `impressions`, `views` and `clicks`.
    `charged` acts were charged, and `free` ones not, or not in full: what they would have cost
    beyond the budget is given away. `held_micros` is what showings that may still be charged will
    probably cost. `lost` counts auctions by the reasons for which it is not on the page.
    """

    campaign: str
    advertiser: str
    currency: str
    sequence: int
    budget_micros: int
    daily_budget_micros: int | None
    spent_micros: int
    spent_today_micros: int
    held_micros: int
    given_away_micros: int
    charged: int
    free: int
    served: int
    impressions: int
    views: int
    clicks: int
    cost_per_click_micros: float | None  # of all that was spent; None: there was no click
    click_rate: float | None  # clicks a showing in an answer; None: there was none
    lost: dict[str, int]
    days: tuple[DayReport, ...]


def report_of(campaign: AdCampaign, ledger: Ledger, day: str, now_ms: int) -> CampaignReport:
    """Return the report of a campaign at one moment: no figure is of another one."""
    with ledger.reading:
        account = ledger.account(campaign.id) or Account()
        sums = _sums(account)
        return CampaignReport(
            campaign=campaign.id,
            advertiser=campaign.advertiser,
            currency=campaign.currency,
            sequence=ledger.upto,
            budget_micros=campaign.budget.total_micros,
            daily_budget_micros=campaign.budget.daily_micros,
            spent_micros=account.spent,
            spent_today_micros=account.spent_on(day),
            held_micros=account.held(now_ms),
            given_away_micros=account.given_away,
            charged=account.charged,
            free=account.free,
            served=sums.served,
            impressions=sums.impressions,
            views=sums.views,
            clicks=sums.clicks,
            cost_per_click_micros=account.spent / sums.clicks if sums.clicks else None,
            click_rate=sums.clicks / sums.served if sums.served else None,
            lost=dict(sorted(account.lost.items())),
            days=tuple(_day(name, one) for name, one in sorted(account.days.items())),
        )


def _sums(account: Account) -> DayFigures:
    total = DayFigures()
    for one in account.days.values():
        total.served += one.served
        total.impressions += one.impressions
        total.views += one.views
        total.clicks += one.clicks
    return total


def _day(name: str, one: DayFigures) -> DayReport:
    return DayReport(
        day=name,
        served=one.served,
        impressions=one.impressions,
        views=one.views,
        clicks=one.clicks,
        spent_micros=one.spent,
        given_away_micros=one.given_away,
    )
