"""Turns the ranker's logits into probabilities, by the newest window."""

from collections.abc import Sequence

import numpy as np

from ranking.calibration.calibration import CalibrationChoice, Part, choose, fit
from ranking.network.cross_attention import OUTCOMES
from ranking.network.examples import Example, RankedProducts
from ranking.network.model import Model
from ranking.network.validation import scores


def calibrate(
    model: Model, validation: Sequence[Example], products: RankedProducts
) -> dict[str, CalibrationChoice]:
    """Return what turns the logits of each outcome into probabilities.

    Fitted on the earlier half of the newest window and chosen on the later, then fitted on both.
    Made-up searches have fewer right answers than real requests, so they are left out.
    """
    real = [one for one in validation if one.context.query is None]
    in_order = sorted(real, key=lambda one: one.at_seconds)
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
