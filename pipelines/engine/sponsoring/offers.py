"""Offers: the campaigns that are for a request, and what speaks against each of them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from pipelines.ads.campaigns.campaign import AdCampaign
from pipelines.ads.campaigns.eligibility import (
    Ineligible,
    Occasion,
    Shelf,
    is_for,
    reasons_against,
)
from pipelines.ads.ledger.ledger import Ledger
from pipelines.engine.sponsoring.ad_rows import AdRows


class Offer(NamedTuple):
    """A campaign that is for a request, and one of its products among the candidates."""

    place: int  # among the candidates
    row: int
    product: str
    campaign: AdCampaign
    against: tuple[Ineligible, ...]  # none: it takes part in the auction


class Asker(NamedTuple):
    """Of whom and when it is asked how campaigns stand."""

    visitor: str  # a digest; "" where nobody is named
    day: str  # of the shop


def offers_of(
    candidates: Int64[np.ndarray, "c"],
    ad_rows: AdRows,
    ledger: Ledger,
    occasion: Occasion,
    asker: Asker,
    visible: str,
) -> list[Offer]:
    """Return what campaigns that run now offer for a request, among the rows of its candidates.

    A campaign that is for other requests, or for another time, offers nothing.
    """
    places, campaigns = ad_rows.places(candidates), ledger.books.campaigns
    wanted = [
        (place, int(candidates[place]), campaign)
        for place in places.tolist()
        for name in ad_rows.campaigns[int(candidates[place])]
        if (campaign := campaigns.get(name)) is not None and is_for(campaign, occasion)
    ]
    if not wanted:
        return []
    names = {campaign.id for _, _, campaign in wanted}
    standings = ledger.standings(names, asker.day, occasion.now_ms, asker.visitor)
    shelves = _shelves([row for _, row, _ in wanted], ad_rows, visible)
    return [
        Offer(
            place,
            row,
            shelf.product.id,
            campaign,
            reasons_against(campaign, standings[campaign.id], shelf, occasion),
        )
        for (place, row, campaign), shelf in zip(wanted, shelves, strict=True)
        if campaign.id in standings and shelf.product is not None
    ]


def _shelves(rows: Sequence[int], ad_rows: AdRows, visible: str) -> list[Shelf]:
    snapshot, array = ad_rows.snapshot, np.array(rows, np.int64)
    shown = snapshot.allowed(visible)[array].tolist()
    return [Shelf(*one) for one in zip(snapshot.products(array), shown, strict=True)]
