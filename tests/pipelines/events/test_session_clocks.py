"""Acts of one session keep their order, whatever their sender's clock and their way."""

import random
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from pipelines.config.sections import ConsentConfig
from pipelines.events.kept_act import KeptAct, kept_act
from pipelines.events.session_clocks import SessionClocks
from retrieval.types import Act

START = datetime(2024, 3, 2, 12, 0, 0, 500_000, tzinfo=UTC)
SILENCE = ConsentConfig()


def received(at: float, skew: float, way: float, session: str = "s") -> KeptAct:
    """Return an act that is sent as it happens, by a clock that is ahead by `skew` seconds."""
    told = (START + timedelta(seconds=at + skew)).isoformat()
    body = {
        "type": "view", "visitor": "v", "session": session, "at": told, "sent_at": told,
        "lines": [{"product": "p1"}],
    }  # fmt: skip
    arrived = START + timedelta(seconds=at + way)
    return kept_act(msgspec.convert(body, Act), arrived, UTC, SILENCE)


@pytest.mark.parametrize("skew", [-86_400, -90, -60.2, -30, 0, 59.9, 60.3, 100, 86_400])
def test_no_act_of_a_session_overtakes_another(skew: float) -> None:
    chance = random.Random(skew)
    acts = [received(i * 0.7, skew, chance.uniform(0, 59)) for i in range(2_000)]

    corrected = SessionClocks().corrected(acts)

    instants = [act.act.at for act in corrected]
    assert instants == sorted(instants)  # type: ignore[type-var]
    seconds = [act.act.at.replace(tzinfo=None, microsecond=0) for act in corrected if act.act.at]
    assert seconds == [act.local_at for act in corrected]


def test_a_clock_that_is_set_counts_from_there_on() -> None:
    clocks = SessionClocks()

    before, after = clocks.corrected([received(0, -7_200, 1), received(10, 0, 1)])

    assert before.act.at == START + timedelta(seconds=1)
    assert after.act.at == START + timedelta(seconds=10)


def test_sessions_have_corrections_of_their_own() -> None:
    first, second = SessionClocks().corrected([received(0, -90, 40, "a"), received(0, -90, 1, "b")])

    assert first.act.at == START + timedelta(seconds=40)
    assert second.act.at == START + timedelta(seconds=1)
