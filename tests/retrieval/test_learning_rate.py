import numpy as np
import pytest
import torch

from pipelines.training.schedule import SCHEDULE as TEXTS_AND_PICTURES
from ranking.network.training import SCHEDULE as RANKER
from retrieval.learning_rate import Schedule, set_learning_rate
from retrieval.towers.training import SCHEDULE as TOWERS


@pytest.mark.parametrize("schedule", [TEXTS_AND_PICTURES, RANKER, Schedule()])
def test_the_rate_rises_once_and_ends_at_zero(schedule: Schedule) -> None:
    rates = [schedule.at(progress) for progress in np.linspace(0, 1, 101)]

    top = int(np.argmax(rates))
    assert rates[top] == 1.0
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] == pytest.approx(0)


def test_each_training_keeps_its_curve() -> None:
    places = (0.0, 0.0005, 0.025, 0.05, 0.1, 0.55, 1.0)

    seen = {
        name: [round(schedule.at(place), 6) for place in places]
        for name, schedule in [("model", TEXTS_AND_PICTURES), ("rank", RANKER), ("tower", TOWERS)]
    }

    assert seen == {
        "model": [0.01, 0.01, 0.25, 0.5, 1.0, 0.5, 0.0],
        "rank": [0.04, 0.0448, 0.28, 0.52, 1.0, 0.5, 0.0],
        "tower": [0.0, 0.01, 0.5, 0.993906, 0.975773, 0.427565, 0.01],
    }


def test_a_training_past_its_end_learns_at_the_floor() -> None:
    assert TOWERS.at(1.2) == TOWERS.at(1.0) == pytest.approx(0.01)


def test_every_group_of_parameters_gets_the_rate() -> None:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(2)]
    optimizer = torch.optim.SGD(groups, lr=1.0)

    set_learning_rate(optimizer, 0.25)

    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]
