"""What the HTTP server needs of an engine."""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from pipelines.ads.campaigns.eligibility import Shelf
from pipelines.config.place import ShopPlace
from pipelines.engine.answering import Answering
from pipelines.live.change_log import Outcome
from pipelines.live.changes import Change


class ServedEngine(Answering, Protocol):
    """What the HTTP server needs of an engine. Its methods are called from several threads."""

    @property
    def place(self) -> ShopPlace:
        """Where the shop is, which says what a time without an offset means."""
        ...

    @property
    def newest_change(self) -> int:
        """The number of the newest change that answers show; 0 without a log."""
        ...

    def change(self, changes: Sequence[Change]) -> "Future[list[Outcome]]":
        """Submit changes; the future has the number of each, or why it was rejected."""
        ...

    def shelves(self, names: Sequence[str]) -> dict[str, Shelf]:
        """Return the products of these ids as they are now, and whether pages show them."""
        ...

    def picture(self, product_id: str) -> tuple[bytes, str] | None:
        """Return a product's picture and its media type, if there is one."""
        ...

    def shoppers(self, limit: int) -> list[str]:
        """Return some known shoppers."""
        ...

    def complete(self, text: str, k: int) -> list[str]:
        """Return searches that begin as this one does, the likeliest first."""
        ...

    def about(self) -> dict[str, Any]:
        """Return what the page says about the release."""
        ...
