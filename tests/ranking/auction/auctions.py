"""Builds auctions for tests."""

from typing import Any

from ranking.auction.values import (
    Auction,
    Organic,
    Outcome,
    PriceRule,
    Pricing,
    Rules,
    Sponsored,
)

MICROS = 1_000_000


def ad(name: str, bid_micros: int, probability: float = 1.0, **fields: Any) -> Sponsored:
    """Return a candidate that pays for clicks, alone of its advertiser."""
    given = {"product": f"product of {name}", "advertiser": f"advertiser of {name}"} | fields
    return Sponsored(
        campaign=name,
        bid_micros=bid_micros,
        probability=probability,
        **{"pricing": Pricing.CPC, "relevance": 1.0} | given,
    )


def rules(price_rule: PriceRule = PriceRule.GSP, **fields: Any) -> Rules:
    """Return rules under which three sponsored products may stand on a page."""
    return Rules(price_rule=price_rule, **{"ad_load": 3} | fields)


def auction(
    *sponsored: Sponsored,
    organic: dict[str, int] | None = None,
    exposure_ppm: tuple[int, ...] = (1_000_000, 500_000),
    **fields: Any,
) -> Auction:
    """Return an auction with these sponsored candidates, and organic values by product."""
    return Auction(
        placement="search",
        exposure_ppm=exposure_ppm,
        organic=tuple(
            Organic(product=product, value_micros=value)
            for product, value in (organic or {}).items()
        ),
        sponsored=sponsored,
        **{"rules": rules(), "random_number": 7} | fields,
    )


def names(outcome: Outcome) -> list[str]:
    """Return the campaign of each position, and of organic ones the product."""
    return [one.campaign or one.product for one in outcome.page]


def prices(outcome: Outcome) -> dict[str, int | None]:
    """Return the price of each campaign on the page."""
    return {one.campaign: one.price_micros for one in outcome.page if one.campaign is not None}
