"""Turns the ranker's logits into probabilities for each kind of request, by the newest window."""

from collections.abc import Sequence

import numpy as np

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
    half = len(in_order) // 2
    found = {}
    for outcome in OUTCOMES:
        early, late = (
            logits_of(model, part, products, outcome) for part in (in_order[:half], in_order[half:])
        )
        if all(0 < part.labels.sum() < len(part.labels) for part in (early, late)):
            choice = choose(early, late)
            both = (np.concatenate(columns) for columns in zip(early, late, strict=True))
            found[outcome] = choice._replace(calibration=fit(choice.name, *both))
    return found


def logits_of(
    model: Model, examples: Sequence[Example], products: RankedProducts, outcome: str
) -> Part:
    """Return the logits of all candidates of which the outcome is known, and what it was."""
    column = OUTCOMES.index(outcome)
    found = list(zip(examples, scores(model, examples, products, outcome), strict=True))
    known = [~np.isnan(one.labels[:, column]) for one, _ in found]
    logits = [by[kept] for (_, by), kept in zip(found, known, strict=True)]
    labels = [one.wanted(outcome)[kept] for (one, _), kept in zip(found, known, strict=True)]
    return Part(
        np.concatenate([np.empty(0, np.float32), *logits]),
        np.concatenate([np.empty(0, bool), *labels]),
    )
