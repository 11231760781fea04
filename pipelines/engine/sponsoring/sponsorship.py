"""Sponsors products of a page: finds offers, runs the auction, and says what each showing is."""

import secrets
from collections.abc import Iterable, Sequence
from functools import partial
from math import ceil
from typing import NamedTuple

import msgspec
import numpy as np

from pipelines.ads.ad_serving import AdServing, AuctionToRecord
from pipelines.ads.campaigns.eligibility import Occasion
from pipelines.ads.campaigns.wording import why_shown
from pipelines.ads.ledger.accounting import day_of
from pipelines.ads.ledger.records import Showing
from pipelines.config.place import ShopPlace
from pipelines.engine.sponsoring.ad_rows import AdRows
from pipelines.engine.sponsoring.occasions import occasion_of
from pipelines.engine.sponsoring.offers import Asker, Offer, offers_of
from pipelines.engine.sponsoring.page_auction import OrganicPage, page_auction, relevance_of
from pipelines.engine.stages.ranked_candidates import RankedCandidates
from pipelines.live.snapshot import CatalogueSnapshot
from ranking.auction.auction import run
from ranking.auction.record import record
from ranking.auction.values import FULL_EXPOSURE, MOST_POSITIONS, Auction, Outcome, Pricing
from ranking.slate.compose import Page
from retrieval import Query, Slate
from retrieval.types import Ad

MINUTE_MS = 60_000
VIEWS = 1_000  # that a price of CPM is for

Detail = tuple[str, dict[str, tuple[str, ...]]]  # a record as JSON, and reasons lost by campaign


class SponsoredPage(NamedTuple):
    """A page with its sponsored products, and what is told of each, by position."""

    page: Page
    ads: dict[int, Ad]


class Sponsorship:
    """Sponsors products in the answers of one release."""

    def __init__(self, serving: AdServing, place: ShopPlace, visible: str) -> None:
        """Take campaigns from `serving`; what does not pass `visible` is never sponsored."""
        self.serving = serving
        self._place = place
        self._visible = visible
        self._rows: AdRows | None = None

    def sponsor(
        self, query: Query, snapshot: CatalogueSnapshot, ranked: RankedCandidates, organic: Slate
    ) -> SponsoredPage | None:
        """Return the page with what is sponsored on it; None: it stays as it is.

        A search that no product has a word of, or that is by a picture, carries no ads.
        """
        relevance = relevance_of(ranked)
        if relevance is None or organic.guessed or not organic.products:
            return None
        categories = organic.products[0].product.categories
        occasion = occasion_of(query, categories, self.serving, self._place)
        visitor = self.serving.visitor(query, consents=occasion.consents)
        asker = Asker(visitor, day_of(occasion.now_ms, self._place.zone))
        rows, ledger = ranked.ordered.candidates.rows, self.serving.ledger
        offers = offers_of(rows, self._ad_rows(snapshot), ledger, occasion, asker, self._visible)
        if not offers:
            return None
        name = secrets.token_hex(16)
        if all(offer.against for offer in offers):
            detail = partial(_no_auction, offers)
            self.serving.hold(
                AuctionToRecord(name, occasion.now_ms, asker.visitor, (), detail), asker.day
            )
            return None
        length = min(query.k, MOST_POSITIONS)
        names = [placed.product.id for placed in organic.products[:length]]
        page = OrganicPage(str(occasion.placement), names, relevance, length)
        auction = page_auction(page, offers, ledger.rates, self.serving.config)
        outcome = run(auction)
        showings = self._showings(name, outcome, auction, occasion.now_ms)
        sponsored = SponsoredPage(
            _page(outcome, offers, ranked, query.k), self._ads(showings, offers, occasion)
        )
        detail = partial(_detail, auction, outcome, offers)
        held = AuctionToRecord(name, occasion.now_ms, asker.visitor, showings, detail)
        self.serving.hold(held, asker.day)  # last: what fails before has shown nothing
        return sponsored if showings else None

    def _ad_rows(self, snapshot: CatalogueSnapshot) -> AdRows:
        books, found = self.serving.ledger.books, self._rows
        if found is None or found.snapshot is not snapshot or found.version != books.version:
            found = self._rows = AdRows.of(snapshot, books.version, books.campaigns.values())
        return found

    def _showings(
        self, name: str, outcome: Outcome, auction: Auction, now_ms: int
    ) -> tuple[Showing, ...]:
        bids = {(one.campaign, one.product): one for one in auction.sponsored}
        expires_ms = now_ms + self.serving.config.token_minutes * MINUTE_MS
        showings = []
        for one in outcome.page:
            if one.campaign is None or one.price_micros is None:
                continue
            bid, exposure = bids[one.campaign, one.product], auction.exposure_ppm[one.position - 1]
            kind = bid.pricing
            each = one.price_micros / (VIEWS if kind is Pricing.CPM else 1)
            showings.append(
                Showing(
                    auction=name,
                    position=one.position,
                    campaign=one.campaign,
                    product=one.product,
                    placement=auction.placement,
                    exposure_ppm=exposure,
                    kind=kind,
                    price_micros=one.price_micros,
                    hold_micros=ceil(each * bid.probability * exposure / FULL_EXPOSURE),
                    at_ms=now_ms,
                    expires_ms=expires_ms,
                )
            )
        return tuple(showings)

    def _ads(
        self, showings: Iterable[Showing], offers: Iterable[Offer], occasion: Occasion
    ) -> dict[int, Ad]:
        campaigns = {offer.campaign.id: offer.campaign for offer in offers}
        ads = {}
        for one in showings:
            campaign = campaigns[one.campaign]
            first = campaign.creatives[0] if campaign.creatives else None
            ads[one.position] = Ad(
                campaign=campaign.id,
                advertiser=campaign.advertiser,
                why=why_shown(campaign, occasion),
                token=self.serving.intake.tokens.token(one),
                text="" if first is None else first.text,
                image="" if first is None else first.image,
            )
        return ads


def _page(outcome: Outcome, offers: Iterable[Offer], ranked: RankedCandidates, k: int) -> Page:
    """Return the rows and places of a page; what is behind the auction's positions is organic."""
    rows = ranked.ordered.candidates.rows
    organic = iter(range(len(rows)))
    sponsored = {(offer.campaign.id, offer.product): offer.place for offer in offers}
    taken = {
        sponsored[one.campaign, one.product] for one in outcome.page if one.campaign is not None
    }
    left = (place for place in organic if place not in taken)
    places = [
        next(left) if one.campaign is None else sponsored[one.campaign, one.product]
        for one in outcome.page
    ]
    places += [place for place, _ in zip(left, range(k - len(places)), strict=False)]
    order = np.array(places, np.int64)
    return Page(rows[order], order)


def _detail(auction: Auction, outcome: Outcome, offers: Sequence[Offer]) -> Detail:
    """Return the record of an auction, and by campaign why it is not on the page."""
    whole = record(auction, outcome)
    lost = _against(offers)
    for loss in whole.losses:
        if loss.campaign is not None:
            lost.setdefault(loss.campaign, set()).update(loss.reasons)
    for one in outcome.page:
        lost.pop(one.campaign or "", None)
    return msgspec.json.encode(whole).decode(), _sorted(lost)


def _no_auction(offers: Sequence[Offer]) -> Detail:
    """Return why each campaign takes no part, where none does: there is no auction to record."""
    return "", _sorted(_against(offers))


def _against(offers: Sequence[Offer]) -> dict[str, set[str]]:
    lost: dict[str, set[str]] = {}
    for offer in offers:
        if offer.against:
            lost.setdefault(offer.campaign.id, set()).update(offer.against)
    return lost


def _sorted(lost: dict[str, set[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(sorted(map(str, reasons))) for name, reasons in lost.items()}
