"""Reports on a run: evidence becomes findings, and findings become a page and data."""

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from pipelines.evaluate import Evaluation, EvaluationError, summary
from pipelines.evidence import Evidence, Sources, gather
from pipelines.explorer import explore, per_query
from pipelines.findings import Report, figures
from pipelines.slices import families

NAME = "report.html"
SUFFIXES = (".html", ".htm")


class Written(NamedTuple):
    """What was measured, and the files that say so."""

    evaluation: Evaluation
    files: tuple[Path, ...]


def evaluate_and_report(sources: Sources, page: Path | None, data: Path | None) -> Written:
    """Measure what the sources hold, and write a page, data, or both."""
    page = None if page is None else page_file(page)
    outs = [out for out in (page, data) if out is not None]
    refuse_to_overwrite(sources, outs)
    evidence = gather(sources)
    whole = measured(evidence)
    report = findings(evidence, whole)
    if page is not None:
        write_page(report, page)
    if data is not None:
        write(data, msgspec.json.format(msgspec.json.encode(report), indent=1))
    return Written(whole, tuple(outs))


def findings(evidence: Evidence, whole: Evaluation) -> Report:
    """Return everything that a page says about this evidence, of which the whole was measured."""
    runs, known = evidence.runs, evidence.known
    judged = evidence.gains.keys()
    return Report(
        runs=tuple(runs),
        release=None if known is None else known.release,
        cut=None if known is None else known.cut,
        num_queries=whole.num_queries,
        unanswered=tuple(len(judged - run.rankings.keys()) for run in runs.values()),
        unjudged=tuple(len(run.rankings.keys() - judged) for run in runs.values()),
        hopeless=whole.hopeless,
        figures=figures(whole.rows),
        families=families(evidence),
        per_query=per_query(evidence),
        explorer=explore(evidence),
        lacks=tuple(lacks(evidence)),
    )


def measured(evidence: Evidence) -> Evaluation:
    """Return what `vetrina evaluate` prints."""
    return summary(evidence.gains, *evidence.runs.values())


def lacks(evidence: Evidence) -> list[str]:
    """Tell what this page could have said with more to read."""
    said = []
    if evidence.asked is None:
        said.append(
            "The requests were not given (--requests), so queries are shown by their ids, and not "
            "by how many words they have."
        )
    if evidence.known is None:
        said.append(
            "No release was given (--releases), so products are shown by their ids, and not by "
            "how often they were bought."
        )
    return said


def page_file(out: Path) -> Path:
    """Return the file to write: the one named, or `report.html` in a folder."""
    return out if out.suffix.lower() in SUFFIXES and not out.is_dir() else out / NAME


def refuse_to_overwrite(sources: Collection[Path | None], outs: list[Path]) -> None:
    """Raise EvaluationError where an output would replace what it is made from."""
    for out in outs:
        for source in (path for path in sources if path is not None):
            if out.exists() and source.exists() and out.samefile(source):
                raise EvaluationError(f"{out} is what the report is made from; choose another name")


def write_page(report: Report, out: Path) -> None:
    """Write the page; matplotlib is loaded here and not before."""
    from pipelines.report_page import page

    write(out, page(report).encode())


def write(out: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    draft = out.with_name(f"{out.name}.{os.getpid()}.draft")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        draft.replace(out)
    except OSError as e:
        raise EvaluationError(f"{out}: {e.strerror}; no report was written there") from None
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
