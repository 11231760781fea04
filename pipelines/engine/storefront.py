"""Facts for the shop page: pictures, known shoppers, and what a release holds."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np

from pipelines.events.profiles.profiles import Profiles
from pipelines.lazy import Lazy
from pipelines.live.snapshot import CatalogueSnapshot
from pipelines.people.people import names_of_stored
from pipelines.release.build_status import describe_progress
from pipelines.release.parts import Parts, open_album
from pipelines.release.store import Release


class Storefront:
    """Reads what a page shows from the parts of a release."""

    def __init__(self, parts: Parts, release: Release, profiles: Profiles | None = None) -> None:
        """Open the album of the release when a picture is first asked for."""
        self._profiles = profiles
        self._parts = parts
        self._manifest = release.manifest
        self._releases = release.path.parent
        self._album = Lazy(partial(open_album, release.path))

    def warm_up(self) -> None:
        """Open what is opened lazily."""
        self._album.get()

    def picture(self, product_id: str, snapshot: CatalogueSnapshot) -> tuple[bytes, str] | None:
        """Return a product's picture and its media type, or None where there is none."""
        album = self._album.get()
        for row in snapshot.rows_of([product_id]).rows:
            place = album.picture_of[row] if row < self._parts.products.size else -1
            if place >= 0:
                [record] = album.pictures.records(np.array([place], np.int64))
                return record["image"], record["media_type"]
        return None

    def shoppers(self, limit: int) -> list[str]:
        """Return some shoppers with a past who are not erased, those with declared traits first."""
        declared = self._parts.users.ids[:limit]
        active = self._parts.behaviour.purchases.user_ids[: 2 * limit].tolist()
        return [one for one in dict.fromkeys([*declared, *active]) if not self._erased(one)][:limit]

    def _erased(self, user: str) -> bool:
        if self._profiles is None:
            return False
        names, ledger = self._profiles.people
        return ledger.erased_at((user, *names_of_stored(names, user))) is not None

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
            "building": describe_progress(self._releases, manifest.name),
        }

    def days(self) -> tuple[str, str]:
        """Return the first and last day of the behaviour that the release has seen."""
        seconds = self._parts.behaviour.purchases.entries.seconds
        ends = (seconds.min(), seconds.max()) if len(seconds) else (0, 0)
        first, last = (f"{datetime.fromtimestamp(int(s), UTC):%Y-%m-%d}" for s in ends)
        return first, last
