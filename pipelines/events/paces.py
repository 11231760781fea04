"""Marks the acts of those who act faster than people."""

from collections.abc import Sequence

import msgspec

from pipelines.acts.robots import Paces
from pipelines.events.kept_act import KeptAct


def marked(acts: Sequence[KeptAct], paces: Paces) -> list[KeptAct]:
    """Return the acts in their order, those of robots marked; called by the thread that writes."""
    return [
        msgspec.structs.replace(act, robot=True) if _is_too_fast(act, paces) else act
        for act in acts
    ]


def _is_too_fast(kept: KeptAct, paces: Paces) -> bool:
    act = kept.act
    seconds = int(act.at.timestamp()) if act.at is not None else 0
    return paces.is_too_fast(kept.person, seconds, act.type, [one.product for one in act.lines])
