"""How often a showing at the first position is clicked or viewed: counts pooled by placement.

The model is one of positions: an act happens with the exposure of the position times the rate at
the first, so counts are of acts and of summed exposure. A rate is the posterior mean under a prior:
of a placement under `PRIORS`, of a campaign under the rate of its placement, each with the weight
of `PRIOR_EXPOSURE` showings at the first position.
"""

from collections import Counter
from collections.abc import Iterable

from pipelines.ads.ledger.checkpoint import Rate
from pipelines.ads.ledger.records import CountedAct, Showing
from ranking.auction.values import FULL_EXPOSURE, Pricing

PRIORS = {Pricing.CPC: 0.01, Pricing.CPM: 0.5}  # of what is charged for, where nothing is known
PRIOR_EXPOSURE = 200.0
Key = tuple[Pricing, str, str]  # the kind, the placement, and the campaign or ""


class ActRates:
    """Charged acts a showing, pooled. Called under the lock of its ledger."""

    def __init__(self) -> None:
        self._exposure: Counter[Key] = Counter()  # in millionths
        self._acts: Counter[Key] = Counter()

    def serve(self, showing: Showing) -> None:
        """Count a showing in an answer."""
        for key in _keys(showing.kind, showing.placement, showing.campaign):
            self._exposure[key] += showing.exposure_ppm

    def count(self, counted: CountedAct) -> None:
        """Count an act, if it is the one that the showing is charged for."""
        showing = counted.showing
        if counted.act is showing.charged_for:
            self._acts.update(_keys(showing.kind, showing.placement, showing.campaign))

    def counts(self) -> tuple[Rate, ...]:
        """Return all counts, to be kept."""
        keys = sorted({*self._exposure, *self._acts})
        return tuple(Rate(*key, self._exposure[key], self._acts[key]) for key in keys)

    def restore(self, counts: Iterable[Rate]) -> None:
        """Begin with counts that were kept."""
        for one in counts:
            key = (Pricing(one.kind), one.placement, one.campaign)
            self._exposure[key], self._acts[key] = one.exposure_ppm, one.acts

    def of(self, kind: Pricing, placement: str, campaign: str = "") -> float:
        """Return the chance of the charged act at the first position, above 0 and at most 1.

        Without a campaign, that of the placement.
        """
        rate = PRIORS[kind]
        keys = _keys(kind, placement, campaign)
        for key in keys if campaign else keys[:1]:
            acts = self._acts[key]
            shown = self._exposure[key] / FULL_EXPOSURE
            exposure = max(shown, acts)  # records of auctions may be lost
            rate = (acts + PRIOR_EXPOSURE * rate) / (exposure + PRIOR_EXPOSURE)
        return rate


def _keys(kind: Pricing, placement: str, campaign: str) -> tuple[Key, Key]:
    return (kind, placement, ""), (kind, placement, campaign)
