"""The rows of sponsored products in a catalogue, found among candidates without looking at ids."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from pipelines.ads.campaigns.campaign import AdCampaign
from pipelines.live.snapshot import CatalogueSnapshot


class AdRows(NamedTuple):
    """The rows of sponsored products in one catalogue, and the campaigns of each."""

    snapshot: CatalogueSnapshot
    version: int  # of the campaigns
    rows: Int64[np.ndarray, "a"]  # ascending
    campaigns: dict[int, tuple[str, ...]]  # ids, by row

    @classmethod
    def of(
        cls, snapshot: CatalogueSnapshot, version: int, campaigns: Iterable[AdCampaign]
    ) -> "AdRows":
        """Look the products of all campaigns up; those that the catalogue lacks are left out."""
        by_product: dict[str, list[str]] = {}
        for campaign in campaigns:
            for product in campaign.products:
                by_product.setdefault(product, []).append(campaign.id)
        lookup = snapshot.rows_of(list(by_product))
        missing = set(lookup.missing)
        found = (name for name in by_product if name not in missing)
        by_row = {
            row: tuple(by_product[name])
            for row, name in zip(lookup.rows.tolist(), found, strict=True)
        }
        return cls(snapshot, version, np.array(sorted(by_row), np.int64), by_row)

    def places(self, rows: Int64[np.ndarray, "c"]) -> Int64[np.ndarray, "p"]:
        """Return the places of those candidates that some campaign sponsors."""
        if not len(self.rows):
            return np.empty(0, np.int64)
        at = np.searchsorted(self.rows, rows).clip(max=len(self.rows) - 1)
        return np.flatnonzero(self.rows[at] == rows)
