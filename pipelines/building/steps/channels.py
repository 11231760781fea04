"""Writes the towers and the fusion weights, or applies those of the live release."""

from pipelines.building.context import BuildContext
from pipelines.building.index_measurements import with_choices
from pipelines.building.step_runner import EarlierStep
from pipelines.building.steps.fusion_weights import write_weights
from pipelines.building.steps.towers import apply_towers, write_towers
from pipelines.release.layout import REQUEST_KINDS, SCALES, TOWER_VECTORS, WEIGHTS, is_of_index
from pipelines.release.manifest import Measurements


def write_channels(context: BuildContext) -> Measurements:
    """Write towers, and the weight of each channel in the fusion."""
    return write_towers(context) | write_weights(context)


def reapply_channels(context: BuildContext, earlier: EarlierStep) -> Measurements | None:
    """Keep weights and towers, and give these products their vectors."""
    record = earlier.record
    if REQUEST_KINDS not in record.files:  # it has no towers
        return record.measured if earlier.take([WEIGHTS, SCALES]) else None
    measured = apply_towers(context, earlier)
    if measured is None:
        return None
    learnt = [file for file in record.files if file != TOWER_VECTORS and not is_of_index(file)]
    return record.measured | with_choices(record, measured) if earlier.take(learnt) else None
