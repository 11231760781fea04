"""What every ranker answers with, whatever runs its network; nothing here loads a model."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from ranking.calibration.calibration import Calibration, head_name

RequestKind = Literal["search", "picture", "recommendation"]
MAX_CANDIDATES = 1_000  # more are left in their fused order behind these


class UnfitLogits(ArithmeticError):
    """A model that answers with something that is not a number."""


class RankerAnswer(NamedTuple):
    """One logit a candidate, in the order of the candidates, and what it says of each outcome."""

    logits: Float32[np.ndarray, "c"]
    probabilities: dict[
        str, Float64[np.ndarray, "c"]
    ]  # of the outcomes that are calibrated for such requests


class Explanation(NamedTuple):
    """Why candidates stand where they stand: one row a placed candidate."""

    attended: Float32[np.ndarray, "k t"]  # shares of the context tokens; each row sums to 1
    moved: Float32[np.ndarray, "k f"]  # what each feature adds to the logit, or takes from it


def ranked(
    logits: Float32[np.ndarray, "c o"],
    outcomes: Sequence[str],
    outcome: str,
    calibrations: Mapping[str, Calibration],
    *,
    is_search: bool,
) -> RankerAnswer:
    """Return the column that orders, with probabilities; UnfitLogits when one is not a number.

    Of a search only what was calibrated on searches is a probability, of a recommendation only what
    was calibrated on recommendations: how often they are answered by a purchase differs.
    """
    unfit = ~np.isfinite(logits).all(axis=1)
    if unfit.any():
        raise UnfitLogits(f"{int(unfit.sum())} of {len(logits)} logits")
    heads = {
        name: head_name("search" if is_search else "recommendation", name) for name in outcomes
    }
    probabilities = {
        name: calibrations[head].probabilities(logits[:, outcomes.index(name)])
        for name, head in heads.items()
        if head in calibrations
    }
    return RankerAnswer(logits[:, outcomes.index(outcome)], probabilities)
