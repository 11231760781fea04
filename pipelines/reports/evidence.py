"""Reads the input of a report: evaluated runs, judgments, requests, and a release's purchases."""

from collections.abc import Container
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from index import Columns
from pipelines.config.place import ShopPlace
from pipelines.config.sections import ShopConfig
from pipelines.errors import RequestError
from pipelines.evaluation.evaluate import MeasuredRun, read_measured
from pipelines.evaluation.requests import Request, read_request, request_lines
from pipelines.evaluation.trec_files import EvaluationError, read_judgments
from pipelines.metrics.ranked_lists import Gains
from pipelines.release.layout import BEHAVIOUR, PRODUCTS
from pipelines.release.manifest import config_of
from pipelines.release.store import open_release
from retrieval.behaviour.tables import Behaviour

UNKNOWN_PLACE = ShopPlace.of(ShopConfig())
LONGEST_NAME = 40  # characters of a file's name that stand for a run


class ReportedRequest(NamedTuple):
    """The part of one request that a report shows."""

    text: str = ""
    user: str = ""
    at: str = ""
    filter: str = ""
    picture: bool = False
    num_candidates: int | None = None


class ReleaseHistory(NamedTuple):
    """A release's products, and their purchases before its cut."""

    release: str
    cut: str  # the first moment that it has not seen
    products: Columns
    baskets: Float32[np.ndarray, "n"]  # that held each product before the cut
    behaviour: Behaviour
    place: ShopPlace = UNKNOWN_PLACE


class Evidence(NamedTuple):
    """The whole input of a report; the queries are those of `gains`, in the order of their ids."""

    gains: Gains
    runs: dict[str, MeasuredRun]  # one or two, by name
    asked: dict[str, ReportedRequest] | None = None
    history: ReleaseHistory | None = None


class ReportSources(NamedTuple):
    """The source files of a report."""

    run: Path
    qrels: Path
    against: Path | None = None
    requests: Path | None = None
    releases: Path | None = None


def gather(sources: ReportSources) -> Evidence:
    """Read all that was given, and measure the runs."""
    gains = read_judgments(sources.qrels)
    paths = [path for path in (sources.run, sources.against) if path is not None]
    runs = [read_measured(path, sources.qrels, gains) for path in paths]
    asked, releases = sources.requests, sources.releases
    return Evidence(
        gains=gains,
        runs=dict(zip(names(paths), runs, strict=True)),
        asked=None if asked is None else read_reported(asked, gains),
        history=None if releases is None else open_history(releases),
    )


def names(paths: list[Path]) -> list[str]:
    """Return a short name a run: its file's, or where they would be the same, a numbered one."""
    for found in ([path.stem for path in paths], [path.name for path in paths]):
        short = [name[:LONGEST_NAME] for name in found]
        if len(set(short)) == len(paths):
            return short
    return [f"{name} ({number})" for number, name in enumerate(short, start=1)]


def read_reported(path: Path, judged: Container[str]) -> dict[str, ReportedRequest]:
    """Return the requests that are judged, or EvaluationError that names the line."""
    line_of: dict[str, int] = {}
    asked = {}
    for number, line in request_lines(path):
        try:
            request = read_request(line)
        except RequestError as e:
            raise EvaluationError(f"{path}, line {number}: {e}") from None
        name = str(request.id)
        if name in line_of:
            raise EvaluationError(
                f"{path}, line {number}: the id {name!r} stands on line {line_of[name]} already; "
                "ids are unique"
            )
        line_of[name] = number
        if name in judged:
            asked[name] = _reported(request)
    if not asked:
        first = next(iter(line_of), None)
        raise EvaluationError(
            f"{path} holds no request that is judged (its first id is {first!r}); "
            "give the requests that the run answers"
        )
    return asked


def open_history(releases: Path) -> ReleaseHistory:
    """Open the current release, every byte compared with its manifest."""
    release = open_release(releases)
    return release_history(
        release.path.name,
        Columns.open(release.path / PRODUCTS),
        Behaviour.open(release.path / BEHAVIOUR),
        ShopPlace.of(config_of(release.manifest).shop),
    )


def release_history(
    release: str, products: Columns, behaviour: Behaviour, place: ShopPlace = UNKNOWN_PLACE
) -> ReleaseHistory:
    """Return what an open release knows."""
    cut = datetime.fromtimestamp(behaviour.until_seconds, UTC).replace(tzinfo=None)
    told = cut.isoformat(sep=" ").removesuffix(" 00:00:00")
    baskets = behaviour.statistics.baskets
    return ReleaseHistory(release, told, products, baskets, behaviour, place)


def _reported(request: Request) -> ReportedRequest:
    return ReportedRequest(
        text=request.text or "",
        user=request.user or "",
        at=request.at or "",
        filter=request.filter or "",
        picture=request.image is not None,
        num_candidates=None if request.candidates is None else len(request.candidates),
    )
