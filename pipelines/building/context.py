"""What the steps of one build share."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from pipelines.config import Config
from pipelines.encoding.encoders import Encoders
from pipelines.progress import Track
from pipelines.shop.purchases import Log
from pipelines.shop.reader import Shop
from retrieval.encoders.query import QueryEncoder
from retrieval.types import local_seconds


class BuildContext(NamedTuple):
    """Everything that the steps of one build share."""

    shop: Shop
    folder: Path
    embeddings: Path
    encoders: Encoders
    config: Config
    until: datetime | None
    track: Track


def end_of(job: BuildContext, log: Log) -> int:
    """Return the second that nothing in the release has seen: `until`, or just after the log."""
    if job.until is not None:
        return local_seconds(job.until)
    return int(log.purchases.seconds.max(initial=0)) + 1


def query_encoder(job: BuildContext) -> QueryEncoder:
    """Return what brings texts into the spaces of this build."""
    return QueryEncoder(job.encoders.text, job.encoders.image, job.config.encoders.image_weight)


def _batches(job: BuildContext) -> Iterator[pa.RecordBatch]:
    return job.shop.product_batches()
