"""Reads a shop as it is after the changes of a log, without writing to either."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from index.columns.table import values_by_key
from pipelines.config.sections import GRANTED, Config, ConsentConfig
from pipelines.live.catch_up import FOLDED
from pipelines.live.change_log import identity, replay
from pipelines.live.changes import Change, Delete, Upsert
from pipelines.live.records import Record, batch_of, edits_of, record_of
from pipelines.people.people import People, people_of
from pipelines.shop.reader import BATCH_ROWS, Shop

DEFAULTS = Config()


class LoggedChanges:
    """What becomes of each product that changes; of the others nothing is known."""

    def __init__(self, changes: Iterable[Change]) -> None:
        self.whole: dict[str, Record] = {}  # put, in the order in which they first were
        self.edits: dict[str, Record] = {}  # fields of products that the shop may have
        self.gone: set[str] = set()
        for change in changes:
            self._take(change)

    def _take(self, change: Change) -> None:
        name = change.id
        if isinstance(change, Upsert):
            self.whole[name] = record_of(change)
            self.edits.pop(name, None)
            self.gone.discard(name)
        elif isinstance(change, Delete):
            self.gone.add(name)
            self.edits.pop(name, None)
            self.whole.pop(name, None)
        elif name in self.whole:
            self.whole[name] = self.whole[name] | edits_of(change)
        elif name not in self.gone:
            self.edits[name] = self.edits.get(name, {}) | edits_of(change)

    def touches(self, name: str) -> bool:
        """Tell whether a product of the shop is another now."""
        return name in self.whole or name in self.edits or name in self.gone

    def of(self, record: Record) -> Record | None:
        """Return a product of the shop as it is now; None where it is gone."""
        name = record["id"]
        if name in self.gone:
            return None
        return self.whole.get(name) or record | self.edits.get(name, {})


class FoldedShop(Shop):
    """A shop with the changes of a log up to the newest when it was opened."""

    def __init__(
        self,
        folder: Path,
        live: Path,
        archive: Path | None = None,
        people: People | None = None,
        unset: ConsentConfig = GRANTED,
    ) -> None:
        super().__init__(folder, archive, people, unset)
        self._log, self._sequence = identity(live)
        changes = (logged.change for logged in replay(live, upto=self._sequence))
        self._outlook = LoggedChanges(changes)

    @cached_property
    def num_products(self) -> int:
        """Return how many products the shop has now."""
        return sum(batch.num_rows for batch in self.product_batches())

    @property
    def deleted(self) -> frozenset[str]:
        """Return the ids of products that a change took out."""
        return frozenset(self._outlook.gone)

    def fingerprint(self, *parts: str) -> str:
        """Return a hash over the shop's files, or some, and over the changes if they touch them."""
        files = super().fingerprint(*parts)
        if parts and "products" not in parts:
            return files
        return f"{files}+{self._log}:{self._sequence}"

    def folded(self) -> dict[str, Any]:
        """Return what a manifest says about the changes."""
        return {FOLDED: {"log": self._log, "sequence": self._sequence}}

    def product_batches(self) -> Iterator[pa.RecordBatch]:
        """Yield all products, changed ones at their old places and new ones behind them."""
        new = dict(self._outlook.whole)
        for batch in super().product_batches():
            names = batch["id"].to_pylist()
            for name in names:
                new.pop(name, None)
            yield self._changed(batch) if any(map(self._outlook.touches, names)) else batch
        records = list(new.values())
        for start in range(0, len(records), BATCH_ROWS):
            yield batch_of(records[start : start + BATCH_ROWS])

    def _changed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        records = [
            {**one, "attributes": values_by_key(one["attributes"])} for one in batch.to_pylist()
        ]
        return batch_of([now for one in records if (now := self._outlook.of(one)) is not None])


def open_shop(
    folder: Path,
    live: Path | None,
    archive: Path | None = None,
    config: Config = DEFAULTS,
) -> Shop:
    """Open a shop folder, with the changes of a log and the acts of an archive where named.

    The configuration says where the key and the ledger of people are, and what silence means.
    """
    people = people_of(archive, live, config)
    if live is None:
        return Shop(folder, archive, people, config.consent)
    return FoldedShop(folder, live, archive, people, config.consent)
