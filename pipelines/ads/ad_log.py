"""The durable log of ads: what is stored of a campaign, an auction and an act."""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from itertools import takewhile
from pathlib import Path

import msgspec

from pipelines.ads.ledger.records import (
    READER,
    AdEntry,
    AdItem,
    AdRecord,
    HeldAuction,
    UnwrittenAd,
)
from pipelines.durable import journal_file
from pipelines.durable.journal import Journal
from pipelines.durable.journal_file import Row
from pipelines.live.change_log import LiveError

LARGEST_ITEM = 1 << 20  # bytes of its JSON
FIRST = 1 << 50  # no event has a number as high, so `after` says which log
FORGOTTEN_AT_ONCE = 500  # the writer waits meanwhile
MOST_AUCTIONS = 1_000_000  # records that are kept, some 2 GB
FOLDER = "ads"  # inside the folder of --live

AdLog = Journal[AdItem, AdRecord, AdEntry, UnwrittenAd]


class AdFormat:
    """The format of a journal of ads."""

    file = "ads.sqlite"
    table = "ads"
    columns = "kind TEXT NOT NULL, body BLOB NOT NULL"
    application_id = 0x56_41_44_53  # "VADS"
    version = 1
    first = FIRST
    title = "log of ads"
    entry = "ad record"
    begin = "`vetrina serve --live` begins one"
    full = "stop the server and give the folder more room"
    error: type[Exception] = LiveError
    refusal = UnwrittenAd

    def check(self, item: AdItem) -> UnwrittenAd | None:
        """Refuse what is too large."""
        size = len(msgspec.json.encode(item))
        if size <= LARGEST_ITEM:
            return None
        return UnwrittenAd(
            413, "body", f"has {size:,} bytes as it is kept; at most {LARGEST_ITEM:,}"
        )

    def row(self, record: AdRecord) -> Row:
        """Return the kind of the record, and the record as JSON."""
        return str(type(record).__struct_config__.tag), msgspec.json.encode(record)

    def number(self, sequence: int, record: AdRecord) -> AdEntry:
        """Return a record with its number."""
        return AdEntry(sequence, record)

    def read(self, sequence: int, row: Row) -> AdEntry:
        """Return the record of a row; ValueError with the reason where it is none."""
        match row:
            case (str(), bytes(body)):
                return AdEntry(sequence, READER.decode(body))
            case _:
                raise ValueError("has columns of other types")


ADS = AdFormat()


def replay(folder: Path, after: int = 0, upto: int | None = None) -> Iterator[AdEntry]:
    """Yield the records above `after` and at most `upto`, in order, while others may write."""
    return journal_file.replay(folder, ADS, after, upto)


def forget(folder: Path, upto: int, before_ms: int, most: int = MOST_AUCTIONS) -> int:
    """Remove auctions up to a number that were held before a moment; return how many.

    Of the newest `most` records of any kind none is too many; the auctions before them go, too.
    Campaigns and acts with their charges stay for ever.
    """
    removed = 0
    with closing(sqlite3.connect(folder / ADS.file, timeout=30, isolation_level=None)) as log:
        while old := _oldest(log, upto, before_ms, most):
            log.execute(
                "DELETE FROM ads WHERE kind = 'auction' AND sequence BETWEEN ? AND ?",
                (old[0], old[-1]),
            )
            removed += len(old)
    return removed


def unname(folder: Path, digests: Collection[str]) -> int:
    """Remove visitors from the records of auctions; return of how many.

    What is overwritten is left in no page of the file; `leave_nothing` empties the write-ahead log.
    """
    changed = 0
    with closing(sqlite3.connect(folder / ADS.file, timeout=30, isolation_level=None)) as log:
        log.execute("PRAGMA secure_delete = ON")
        log.execute("BEGIN IMMEDIATE")
        for sequence, auction in _auctions_of(log, digests):
            body = msgspec.json.encode(msgspec.structs.replace(auction, visitor=""))
            log.execute("UPDATE ads SET body = ? WHERE sequence = ?", (body, sequence))
            changed += 1
        log.execute("COMMIT")
    return changed


def _auctions_of(
    log: sqlite3.Connection, digests: Collection[str]
) -> list[tuple[int, HeldAuction]]:
    found = []
    for digest in digests:
        rows = log.execute(
            "SELECT sequence, body FROM ads WHERE kind = 'auction' "
            "AND instr(body, CAST(? AS BLOB)) > 0",
            (f'"visitor":"{digest}"',),
        )
        for sequence, body in rows:
            auction = READER.decode(body)
            if isinstance(auction, HeldAuction) and auction.visitor == digest:
                found.append((sequence, auction))
    return found


def _oldest(log: sqlite3.Connection, upto: int, before_ms: int, most: int) -> list[int]:
    """Return the numbers of the oldest auctions that may go, a few at once."""
    rows = log.execute(
        "SELECT sequence, json_extract(body, '$.at_ms') FROM ads "
        "WHERE kind = 'auction' AND sequence <= ? ORDER BY sequence LIMIT ?",
        (upto, FORGOTTEN_AT_ONCE),
    )
    return [
        number for number, _ in takewhile(lambda r: r[1] < before_ms or r[0] <= upto - most, rows)
    ]


def identity(folder: Path) -> tuple[str, int]:
    """Return the id of a log and the number of its newest record; LiveError where there is none."""
    return journal_file.identity(folder, ADS)
