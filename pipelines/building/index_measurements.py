"""Names the measurements of vector indexes in the record of a step, and reads them again."""

import msgspec

from index import PlannedIndex
from pipelines.release.layout import SPACES
from pipelines.release.manifest import Measurements, StepRecord

CHOICES, LEARNT_CELLS = "_choices", "_learnt_cells"  # behind the name of a space
CELLS = "cells"  # the kind of index that sorts vectors into learnt cells


def described(planned: PlannedIndex, space: str, k: int) -> Measurements:
    """Return what a manifest says of the index of one space."""
    return {
        f"{space}_recall_at_{k}": round(planned.recall, 4),
        f"{space}_kind": planned.kind,
        f"{space}_index": f"{planned.factory}, effort {planned.effort}",
        f"{space}_curve": msgspec.to_builtins(planned.curve),
        f"{space}{LEARNT_CELLS}": planned.built.shape.kind == CELLS,
        f"{space}{CHOICES}": msgspec.to_builtins(planned.choices),
    }


def something_learnt(record: StepRecord) -> bool:
    """Tell whether a design was chosen by trial for some space, or learnt cells for vectors."""
    names = (f"{space}{name}" for space in SPACES for name in (CHOICES, LEARNT_CELLS))
    return any(record.measured.get(name) for name in names)


def with_choices(record: StepRecord, measured: Measurements) -> Measurements:
    """Add the trials that a design was chosen by to the measurements of a build that kept it."""
    trials = {name: value for name, value in record.measured.items() if name.endswith(CHOICES)}
    return measured | {name: value for name, value in trials.items() if not measured.get(name)}
