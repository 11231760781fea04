"""The types of the shop: what a file, the wire and memory all hold."""

from retrieval.types.act import Act, ActLine, ConsentState, StatedConsent
from retrieval.types.candidates import Candidates, Searched
from retrieval.types.event import Event, EventType
from retrieval.types.fields import (
    FieldName,
    Interval,
    Mark,
    Marks,
    Noun,
    Picture,
    Price,
    ProductId,
    Share,
    Text,
    UserId,
    Word,
)
from retrieval.types.product import Availability, Product
from retrieval.types.promotion import Promotion, PromotionKind
from retrieval.types.query import Collapse, Direction, Facet, Query, Sort
from retrieval.types.scene import Placement, Scene, local_seconds
from retrieval.types.slate import (
    Ad,
    Because,
    FacetCounts,
    FacetValue,
    Filtered,
    Matched,
    Placed,
    Reading,
    Skipped,
    Slate,
    Stage,
)
from retrieval.types.user import Consent, UserProfile

__all__ = [
    "Act",
    "ActLine",
    "Ad",
    "Availability",
    "Because",
    "Candidates",
    "Collapse",
    "Consent",
    "ConsentState",
    "Direction",
    "Event",
    "EventType",
    "Facet",
    "FacetCounts",
    "FacetValue",
    "FieldName",
    "Filtered",
    "Interval",
    "Mark",
    "Marks",
    "Matched",
    "Noun",
    "Picture",
    "Placed",
    "Placement",
    "Price",
    "Product",
    "ProductId",
    "Promotion",
    "PromotionKind",
    "Query",
    "Reading",
    "Scene",
    "Searched",
    "Share",
    "Skipped",
    "Slate",
    "Sort",
    "Stage",
    "StatedConsent",
    "Text",
    "UserId",
    "UserProfile",
    "Word",
    "local_seconds",
]
