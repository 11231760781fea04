"""The ledger as a file, so that a server does not read the whole journal of ads when it starts.

It is made from the journal alone: one that is missing, damaged, of another journal or ahead of it
is passed over, and the journal is read from its beginning.
"""

import logging
from pathlib import Path

import msgspec

from pipelines.ads.campaigns.campaign import AdCampaign
from pipelines.ads.ledger.account import Account
from pipelines.ads.ledger.records import AdAct
from pipelines.durable.files import replaced_file

FILE = "ledger.json"
FORMAT = 1

log = logging.getLogger(__name__)


class CountedKey(msgspec.Struct, frozen=True, array_like=True):
    """An act that counted, of a showing that has not ended; `ends` is its minute."""

    auction: str
    position: int
    act: AdAct
    ends: int


class Rate(msgspec.Struct, frozen=True, array_like=True):
    """What is counted for one placement, or for a campaign there."""

    kind: str
    placement: str
    campaign: str
    exposure_ppm: int
    acts: int


class Visit(msgspec.Struct, frozen=True, array_like=True):
    """How often a visitor was shown a campaign on the day of the checkpoint."""

    visitor: str
    campaign: str
    times: int


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ledger after the record `upto` of a journal, with the acts that may not count again."""

    format: int = FORMAT
    log: str
    upto: int
    newest_ms: int
    campaigns: tuple[AdCampaign, ...]
    accounts: dict[str, Account]
    rates: tuple[Rate, ...]
    day: str
    visits: tuple[Visit, ...]
    counted: tuple[CountedKey, ...] = ()
    refused_ms: int = 0  # what was shown before does not count


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Put a checkpoint in the place of the one before."""
    with replaced_file(folder / FILE) as draft:
        draft.write_bytes(msgspec.json.encode(checkpoint))


def read_checkpoint(folder: Path, log_id: str, last: int) -> Checkpoint | None:
    """Return the checkpoint of a journal that ends at `last`; None where there is none of use."""
    path = folder / FILE
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Checkpoint)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as e:
        log.error("%s is passed over, and the journal is read instead: %s", path, e)
        return None
    fits = (found.format, found.log) == (FORMAT, log_id) and found.upto <= last
    return found if fits else None
