"""Writes a report on a run: from evidence to findings, and from findings to a page and data."""

from pathlib import Path
from typing import NamedTuple

import msgspec

from pipelines.evaluation.evaluate import Evaluation, summary
from pipelines.reports.evidence import Evidence, ReportSources, gather
from pipelines.reports.findings import Report, figures
from pipelines.reports.output import page_file, refuse_to_overwrite, write
from pipelines.reports.slices import families
from pipelines.reports.worst_queries import explore, per_query


class WrittenReport(NamedTuple):
    """The evaluation of a run, and the files of its report."""

    evaluation: Evaluation
    files: tuple[Path, ...]


def evaluate_and_report(
    sources: ReportSources, page: Path | None, data: Path | None
) -> WrittenReport:
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
    return WrittenReport(whole, tuple(outs))


def findings(evidence: Evidence, whole: Evaluation) -> Report:
    """Return everything that a page says about this evidence, of which the whole was measured."""
    runs, known = evidence.runs, evidence.history
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
    if evidence.history is None:
        said.append(
            "No release was given (--releases), so products are shown by their ids, and not by "
            "how often they were bought."
        )
    return said


def write_page(report: Report, out: Path) -> None:
    """Write the page; matplotlib is loaded here and not before."""
    from pipelines.reports.pages.report import page

    write(out, page(report).encode())
