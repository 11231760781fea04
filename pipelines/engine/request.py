"""Derives from a request its kind, its scene, and the traits of its shopper."""

from typing import Any, Literal

import msgspec

from index import Columns
from ranking.answers import RequestKind
from retrieval import Placement, Query, Scene


def request_kind(query: Query) -> RequestKind:
    """Return which kind of request this is, to the ranker."""
    if query.image is not None:
        return "picture"
    return "search" if query.is_search else "recommendation"


def scene_of(query: Query) -> Scene:
    """Return the scene; a search that does not say where it was made was made in the search."""
    if query.is_search and query.scene.placement is Placement.HOME:
        return msgspec.structs.replace(query.scene, placement=Placement.SEARCH)
    return query.scene


def declared(users: Columns, user_id: str | None) -> dict[str, Any] | None:
    """Return what is declared of a shopper, consent and traits; None of everybody else."""
    rows = users.rows_of([] if user_id is None else [user_id]).rows
    return users.records(rows)[0] if len(rows) else None


def purpose_of(query: Query) -> Literal["search", "recommend"]:
    """Return the purpose for which an answer reads what is known of its shopper."""
    return "search" if query.is_search else "recommend"


def traits_of(users: Columns, user_id: str) -> dict[str, str]:
    """Return what is declared of a shopper; nothing of a stranger."""
    record = declared(users, user_id)
    return {} if record is None else dict(record["traits"])
