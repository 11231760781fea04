"""What silence about consent means for an answer: release and server may both deny."""

from datetime import datetime
from pathlib import Path

import pytest

from pipelines.config.sections import GRANTED, ConsentConfig
from pipelines.engine.engine import Engine
from retrieval import Query
from retrieval.types import local_seconds

DENIED = ConsentConfig(recommend="denied")


@pytest.mark.parametrize(
    ("one", "other", "recommend"),
    [
        (GRANTED, GRANTED, "granted"),
        (DENIED, GRANTED, "denied"),
        (GRANTED, DENIED, "denied"),
        (DENIED, DENIED, "denied"),
    ],
)
def test_what_one_of_two_configurations_denies_is_denied(
    one: ConsentConfig, other: ConsentConfig, recommend: str
) -> None:
    both = one.beside(other)

    assert (both.recommend, both.search) == (recommend, "granted")


def test_a_server_may_deny_what_the_release_grants(releases: Path) -> None:
    def bought(consent: ConsentConfig) -> int:
        history = Engine.open(releases, consent=consent)._stages.encoder._history
        history._declared = lambda _: None  # nobody is declared, so all are silent
        return len(history.of(Query(user="u3"), local_seconds(datetime(2024, 3, 1)))[0].rows)

    assert bought(GRANTED) > 0
    assert bought(DENIED) == 0
