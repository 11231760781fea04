"""What a ranker's folder says of its network, read without torch."""

from pathlib import Path

import msgspec

from ranking.features.definitions import NAMES
from ranking.network.shape import RankerShape

ABOUT = "ranker.json"
TOKENS, TOKEN_WEIGHTS = "tokens.npy", "tokens.safetensors"  # and what makes them


class UnknownRanker(ValueError):
    """A ranker that was trained on other features than this version computes."""


class Architecture(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to build the network again before its weights are read."""

    shape: RankerShape
    features: tuple[str, ...]
    outcome: str  # that the candidates are ordered by
    windows: tuple[str, ...]  # where it was measured to be better than the order of retrieval
    facts: tuple[int, ...] | None = None  # codes of those that it learnt; None: of an older version


def read_architecture(folder: Path) -> Architecture:
    """Read what a folder says of its network; UnknownRanker where this version cannot run it."""
    try:
        about = msgspec.json.decode((folder / ABOUT).read_bytes(), type=Architecture)
    except msgspec.DecodeError as e:
        raise UnknownRanker(f"this version does not know such a ranker: {e}") from None
    if about.features != NAMES:
        other = sorted(set(about.features) ^ set(NAMES))
        raise UnknownRanker(
            f"the ranker was trained on {len(about.features)} features, this version computes "
            f"{len(NAMES)} (different: {', '.join(other) or 'their order'}); build again"
        )
    if about.facts is None:
        raise UnknownRanker("the ranker does not say which facts it learnt; build again")
    return about
