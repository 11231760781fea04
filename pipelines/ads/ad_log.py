"""The durable log of ads: what is stored of a campaign, an auction and an act."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from pipelines.ads.records import READER, AdEntry, AdItem, AdRecord, UnwrittenAd
from pipelines.durable import journal_file
from pipelines.durable.journal import Journal
from pipelines.durable.journal_file import Row
from pipelines.live.change_log import LiveError

LARGEST_ITEM = 1 << 20  # bytes of its JSON
FIRST = 1 << 50  # no event has a number as high, so `after` says which log
FOLDER = "ads"  # inside the folder of --live

AdLog = Journal[AdItem, AdRecord, AdEntry, UnwrittenAd]


class AdFormat:
    """The format of a journal of ads."""

    file = "ads.sqlite"
    table = "ads"
    columns = "body BLOB NOT NULL"
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
        """Return the record as JSON."""
        return (msgspec.json.encode(record),)

    def number(self, sequence: int, record: AdRecord) -> AdEntry:
        """Return a record with its number."""
        return AdEntry(sequence, record)

    def read(self, sequence: int, row: Row) -> AdEntry:
        """Return the record of a row; ValueError with the reason where it is none."""
        match row:
            case (bytes(body),):
                return AdEntry(sequence, READER.decode(body))
            case _:
                raise ValueError("has columns of other types")


ADS = AdFormat()


def replay(folder: Path, after: int = 0, upto: int | None = None) -> Iterator[AdEntry]:
    """Yield the records above `after` and at most `upto`, in order, while others may write."""
    return journal_file.replay(folder, ADS, after, upto)


def identity(folder: Path) -> tuple[str, int]:
    """Return the id of a log and the number of its newest record; LiveError where there is none."""
    return journal_file.identity(folder, ADS)
