"""Turns the ranker's logits into probabilities for each kind of request, by the newest window."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from ranking.calibration.calibration import (
    KINDS,
    CalibrationChoice,
    Part,
    choose,
    fit,
    head_name,
)
from ranking.network.examples import Example, RankedProducts
from ranking.network.model import Model
from ranking.network.shape import OUTCOMES
from ranking.network.validation import scores


def calibrate(
    model: Model, validation: Sequence[Example], products: RankedProducts
) -> dict[str, CalibrationChoice]:
    """Return what turns logits into probabilities, by the `head_name` of kind and outcome.

    Made-up searches have fewer right answers than real ones, so they are left out: without a log of
    searches no probability of a search is known.
    """
    found = {}
    for kind in KINDS:
        real = [one for one in validation if not one.synthetic and one.kind == kind]
        for outcome, choice in _of_kind(model, real, products).items():
            found[head_name(kind, outcome)] = choice
    return found


def _of_kind(
    model: Model, requests: Sequence[Example], products: RankedProducts
) -> dict[str, CalibrationChoice]:
    """Return the calibration of each outcome that is known of requests of one kind.

    Fitted on the earlier half of the newest window and chosen on the later, then fitted on both.
    """
    in_order = sorted(requests, key=lambda one: one.at_seconds)
    halves = in_order[: len(in_order) // 2], in_order[len(in_order) // 2 :]
    found = {}
    for outcome in OUTCOMES:
        if all(_came_and_not(part, outcome) for part in halves):
            early, late = (logits_of(model, part, products, outcome) for part in halves)
            choice = choose(early, late)
            both = (np.concatenate(columns) for columns in zip(early, late, strict=True))
            found[outcome] = choice._replace(calibration=fit(choice.name, *both))
    return found


def _came_and_not(examples: Sequence[Example], outcome: str) -> bool:
    """Tell whether an outcome came of some candidates, and is known not to have come of others."""
    labels = _known_labels(examples, outcome)
    return 0 < int(labels.sum()) < len(labels)


def logits_of(
    model: Model, examples: Sequence[Example], products: RankedProducts, outcome: str
) -> Part:
    """Return the logits of all candidates of which the outcome is known, and what it was."""
    scored = zip(examples, scores(model, examples, products, outcome), strict=True)
    logits = [found[_is_known(one, outcome)] for one, found in scored]
    return Part(
        np.concatenate([np.empty(0, np.float32), *logits]), _known_labels(examples, outcome)
    )


def _known_labels(examples: Sequence[Example], outcome: str) -> Bool[np.ndarray, "m"]:
    """Return whether an outcome came of each candidate of which that is known."""
    labels = [one.wanted(outcome)[_is_known(one, outcome)] for one in examples]
    return np.concatenate([np.empty(0, bool), *labels])


def _is_known(example: Example, outcome: str) -> Bool[np.ndarray, "c"]:
    return np.asarray(~np.isnan(example.labels[:, OUTCOMES.index(outcome)]))
