"""Field types that several types share, with their limits, and the base of all types."""

from typing import Annotated

import msgspec
from msgspec import Meta

ProductId = Annotated[str, Meta(min_length=1, max_length=128)]
UserId = Annotated[str, Meta(min_length=1, max_length=128)]
Text = Annotated[str, Meta(max_length=2_000)]
Picture = Annotated[bytes, Meta(max_length=10_000_000, description="base64 in JSON")]
Word = Annotated[str, Meta(max_length=128)]
Share = Annotated[float, Meta(ge=0, le=1)]
Mark = Annotated[float, Meta(gt=0, le=1)]  # how much a product is liked or disliked
FieldName = Annotated[str, Meta(min_length=1, max_length=200)]
Interval = tuple[float | None, float | None]
Marks = Annotated[dict[ProductId, Mark], Meta(max_length=100)]
Price = Annotated[float, Meta(ge=0, le=1e9)]  # as the import takes it


class Noun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One record, the same in a file, on the wire and in memory."""
