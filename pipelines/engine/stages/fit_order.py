"""What comes before any preference: in a search what fits better, and what can be bought."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64

from pipelines.config.sections import RetrievalConfig
from pipelines.live.snapshot import CatalogueSnapshot
from retrieval import Availability, Candidates
from retrieval.fusion.relevance import NARROW, bands, order_within_bands

SOLD_OUT = f'availability: ANY("{Availability.OUT_OF_STOCK.value}")'


class FitOrder(NamedTuple):
    """The rules that the ranker may not break: it orders within a band of relevance only."""

    band: float  # width of a band of relevance
    sold_out_behind: bool

    @classmethod
    def of(cls, settings: RetrievalConfig) -> "FitOrder":
        """Return the rules of a configuration."""
        return cls(settings.band, settings.sold_out == "behind")

    def ranked(
        self,
        candidates: Candidates,
        snapshot: CatalogueSnapshot,
        preference: Float32[np.ndarray, "c"],
    ) -> Int64[np.ndarray, "c"]:
        """Return the order of candidates that a ranker prefers so; higher is better."""
        return self._order(candidates, snapshot, preference, candidates.relevance, self.band)

    def retrieved(
        self,
        candidates: Candidates,
        snapshot: CatalogueSnapshot,
        popularity: Float32[np.ndarray, "c"],
        *,
        asked: bool,
    ) -> Int64[np.ndarray, "c"]:
        """Return the order of candidates that no ranker ordered.

        Those of a search that fit about equally well stand by popularity, others as they are. Of a
        search, `asked` in words or by a picture, that was fused otherwise than by relevance, the
        fused score tells what fits as well as what is sold out.
        """
        fit = candidates.relevance
        if fit is None:
            fit, popularity = candidates.fused if asked else None, np.zeros_like(popularity)
        return self._order(candidates, snapshot, popularity, fit, self.band * NARROW)

    def _order(
        self,
        candidates: Candidates,
        snapshot: CatalogueSnapshot,
        preference: Float32[np.ndarray, "c"],
        fit: Float32[np.ndarray, "c"] | None,
        width: float,
    ) -> Int64[np.ndarray, "c"]:
        band = np.zeros(len(preference), np.int64) if fit is None else bands(fit, width)
        return order_within_bands(band, self.in_stock(candidates.rows, snapshot), preference)

    def in_stock(
        self, rows: Int64[np.ndarray, "c"], snapshot: CatalogueSnapshot
    ) -> Bool[np.ndarray, "c"]:
        """Return which products do not stand behind the others for being sold out."""
        if not self.sold_out_behind:
            return np.ones(len(rows), bool)
        return np.asarray(~snapshot.allowed(SOLD_OUT)[rows])
