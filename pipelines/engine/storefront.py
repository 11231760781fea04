"""What the shop's page shows beside answers: pictures, shoppers, and facts about the release."""

from datetime import UTC, datetime
from typing import Any

import numpy as np

from pipelines.live.snapshot import CatalogueSnapshot
from pipelines.release.manifest import Manifest
from pipelines.release.parts import Album, Parts


class Storefront:
    """Reads what a page shows from the parts of a release."""

    def __init__(self, parts: Parts, album: Album, manifest: Manifest) -> None:
        self._parts = parts
        self._album = album
        self._manifest = manifest

    def picture(self, product_id: str, snapshot: CatalogueSnapshot) -> tuple[bytes, str] | None:
        """Return a product's picture and its media type, or None where there is none."""
        for row in snapshot.rows_of([product_id]).rows:
            place = self._album.picture_of[row] if row < self._parts.products.size else -1
            if place >= 0:
                [record] = self._album.pictures.records(np.array([place], np.int64))
                return record["image"], record["media_type"]
        return None

    def shoppers(self, limit: int) -> list[str]:
        """Return some shoppers with a past, those with declared traits first."""
        declared = self._parts.users.ids[:limit]
        active = self._parts.behaviour.user_ids[: 2 * limit].tolist()
        return list(dict.fromkeys([*declared, *active]))[:limit]

    def about(self, snapshot: CatalogueSnapshot) -> dict[str, Any]:
        """Return what the page says about the release."""
        manifest = self._manifest
        return {
            "name": manifest.shop["name"],
            "release": manifest.name,
            "products": snapshot.num_products,
            "pictures": manifest.shop["pictures"],
            "until": manifest.until,
            "days": self.days(),
            "quality": manifest.quality,
        }

    def days(self) -> tuple[str, str]:
        """Return the first and last day of the behaviour that the release has seen."""
        seconds = self._parts.behaviour.log.seconds
        ends = (seconds.min(), seconds.max()) if len(seconds) else (0, 0)
        first, last = (f"{datetime.fromtimestamp(int(s), UTC):%Y-%m-%d}" for s in ends)
        return first, last
