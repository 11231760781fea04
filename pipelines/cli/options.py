"""Options that several verbs share, and the query that they describe."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from retrieval import Query
    from retrieval.types import Sort

SHOP = click.Path(path_type=Path)


def configured(verb: Any) -> Any:
    """Add --config and --set to a verb."""
    verb = click.option(
        "overrides", "--set", multiple=True, metavar="KEY=VALUE", help="Override one key."
    )(verb)
    return click.option(
        "--config", type=click.Path(path_type=Path), help="YAML that says what differs."
    )(verb)


releases_option = click.option(
    "--releases", type=click.Path(path_type=Path), required=True, help="Folder of releases."
)
shop_option = click.option("--shop", type=SHOP, required=True, help="Folder of a shop.")


def query_of(text: str, image: Path | None, k: int, **options: Any) -> "Query":
    """Return the query that the options of a verb describe; RequestError for a wrong one."""
    from pipelines.config.loading import moment
    from pipelines.config.sections import OFFLINE_DEADLINE_MS
    from pipelines.errors import RequestError
    from pipelines.evaluation.requests import read_picture
    from retrieval import Query, Scene
    from retrieval.types import Collapse, Facet

    if not 1 <= k <= 1_000:
        raise RequestError("k", f"{k} products were asked for; ask for 1 to 1,000")
    at, collapse = options["at"], options["collapse"]
    return Query(
        text=text,
        image=None if image is None else read_picture(image),
        liked=dict.fromkeys(options["liked"], 1.0),
        disliked=dict.fromkeys(options["disliked"], 1.0),
        user=options["user"],
        scene=Scene(at=moment(at) if at else None),
        filter=options["filter_"],
        facets=tuple(Facet(field=field) for field in options["facets"]),
        sort=tuple(map(read_sort, options["sorts"])),
        collapse=None if collapse is None else Collapse(field=collapse),
        cursor=options["cursor"],
        k=k,
        explain=options["explain"],
        deadline_ms=OFFLINE_DEADLINE_MS,
    )


def read_sort(text: str) -> "Sort":
    """Return the column of `price`, `price:asc` or `price:desc`."""
    from retrieval.types import Direction, Sort

    field, _, order = text.rpartition(":") if text.endswith((":asc", ":desc")) else (text, "", "")
    return Sort(field=field, order=Direction(order or "asc"))


def with_heartbeat(label: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a verb that may take minutes say every few seconds that it is at work."""

    def decorated(verb: Callable[..., None]) -> Callable[..., None]:
        @wraps(verb)
        def spoken(*given: Any, **named: Any) -> None:
            from pipelines.progress import working

            with working(label):
                verb(*given, **named)

        return spoken

    return decorated
