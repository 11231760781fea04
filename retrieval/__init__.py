"""The nouns of the shop, and nothing that costs time to import."""

from retrieval.types import (
    Act,
    Availability,
    Candidates,
    Consent,
    Event,
    EventType,
    Placed,
    Placement,
    Product,
    Query,
    Scene,
    Slate,
    Stage,
    UserProfile,
)

__all__ = [
    "Act",
    "Availability",
    "Candidates",
    "Consent",
    "Event",
    "EventType",
    "Placed",
    "Placement",
    "Product",
    "Query",
    "Scene",
    "Slate",
    "Stage",
    "UserProfile",
]
