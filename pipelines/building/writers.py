"""What writes each step of the plan; apart from the plan, which is read without torch."""

from collections.abc import Callable
from typing import NamedTuple

from pipelines.building.context import BuildContext
from pipelines.building.step_runner import EarlierStep
from pipelines.building.steps.behaviour import write_content, write_tables
from pipelines.building.steps.channels import reapply_channels, write_channels
from pipelines.building.steps.completions import write_completions
from pipelines.building.steps.encoders import write_encoders
from pipelines.building.steps.indexes import reapply_indexes, write_indexes
from pipelines.building.steps.products import (
    write_album,
    write_catalogue,
    write_products,
    write_promotions,
)
from pipelines.building.steps.ranker import reapply_ranker, write_ranker
from pipelines.building.steps.vectors import write_vectors
from pipelines.building.steps.words import write_lexical, write_words
from pipelines.release.manifest import Measurements


class StepWriter(NamedTuple):
    """What writes the files of a step; `reapply` returns None where it cannot."""

    write: Callable[[BuildContext], Measurements | None]
    reapply: Callable[[BuildContext, EarlierStep], Measurements | None] | None = None


WRITERS = {
    "products": StepWriter(write_products),
    "album": StepWriter(write_album),
    "catalogue": StepWriter(write_catalogue),
    "promotions": StepWriter(write_promotions),
    "words": StepWriter(write_lexical),
    "numbered words": StepWriter(write_words),
    "vectors": StepWriter(write_vectors),
    "indexes": StepWriter(write_indexes, reapply_indexes),
    "behaviour": StepWriter(write_tables),
    "content": StepWriter(write_content),
    "completions": StepWriter(write_completions),
    "channels": StepWriter(write_channels, reapply_channels),
    "ranker": StepWriter(write_ranker, reapply_ranker),
    "encoders": StepWriter(write_encoders),
}
