"""Verbs that measure what a release answers."""

import sys
from pathlib import Path
from typing import Any

import click

from pipelines.cli.options import releases_option, with_heartbeat


@click.command()
@click.argument("requests", type=click.Path(path_type=Path))
@releases_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="TREC run to write.")
@click.option(
    "--stage", type=click.Choice(["retrieval", "ranking"]), default="ranking", show_default=True
)
@with_heartbeat("run")
def run(requests: Path, releases: Path, out: Path, stage: str) -> None:
    """Answer a file of requests, one JSON a line, into a TREC run.

    Exit code 1 where not one of them could be answered.
    """
    from pipelines.cli.answers import open_engine
    from pipelines.evaluation.run import run
    from pipelines.progress import track
    from retrieval import Stage

    report = run(requests, open_engine(releases), out, Stage(stage), track)
    for line, message in sorted([*report.failures, *report.notes]):
        click.echo(f"line {line}: {message}", err=True)
    stages = ", ".join(f"{count:,} by {name}" for name, count in report.stages.items())
    by_stage = f" ({stages})" if stages else ""
    click.echo(f"{report.answered:,} answered{by_stage}, {len(report.failures):,} not; wrote {out}")
    if not report.answered:
        sys.exit(1)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--qrels", type=click.Path(path_type=Path), required=True, help="TREC judgments.")
@click.option("--against", type=click.Path(path_type=Path), help="Another run, to compare with.")
@click.option(
    "page", "--report", type=click.Path(path_type=Path), help="Folder or .html file of a page."
)
@click.option("data", "--json", type=click.Path(path_type=Path), help="File of the same as data.")
@click.option("--requests", type=click.Path(path_type=Path), help="The requests of the run.")
@click.option("--releases", type=click.Path(path_type=Path), help="Folder of releases.")
@with_heartbeat("evaluate")
def evaluate(run: Path, page: Path | None, data: Path | None, **sources: Any) -> None:
    """Measure a run against judgments, with 95 % intervals; --report writes a page with slices."""
    if page is None and data is None:
        _evaluate(run, **sources)
        return
    from pipelines.reports.evidence import ReportSources
    from pipelines.reports.report import evaluate_and_report

    written = evaluate_and_report(ReportSources(run, **sources), page, data)
    click.echo(written.evaluation.table())
    for file in written.files:
        click.echo(f"wrote {file}")


def _evaluate(
    run: Path, qrels: Path, against: Path | None, requests: Path | None, releases: Path | None
) -> None:
    from pipelines.evaluation.evaluate import evaluate

    if requests is not None or releases is not None:
        raise click.UsageError("--requests and --releases are read for --report or --json")
    click.echo(evaluate(run, qrels, against).table())


@click.command()
@click.argument("searches", type=click.Path(path_type=Path))
@releases_option
@click.option("-k", type=click.IntRange(1, 100), default=5, show_default=True, help="Depth.")
@click.option(
    "--stage", type=click.Choice(["retrieval", "ranking"]), default="ranking", show_default=True
)
@click.option("--least", type=click.FloatRange(0, 1), help="Exit code 1 where fewer first fit.")
@with_heartbeat("judge")
def judge(searches: Path, releases: Path, k: int, stage: str, least: float | None) -> None:
    """Ask a list of searches, and tell which answers fit by title or category."""
    from pipelines.engine.engine import Engine
    from pipelines.evaluation.judged_searches import judge_searches, read_searches
    from pipelines.progress import track
    from retrieval import Stage

    judged = read_searches(searches)
    report = judge_searches(Engine.open(releases), judged, k, track, Stage(stage))
    click.echo(report.table())
    if least is not None and report.first < least:
        raise SystemExit(1)


@click.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@releases_option
@click.option(
    "page", "--report", type=click.Path(path_type=Path), help="Folder or .html file of a page."
)
@click.option("--k", type=click.IntRange(1, 1_000), default=20, show_default=True, help="Depth.")
@with_heartbeat("exposure")
def exposure(before: Path, after: Path, releases: Path, page: Path | None, k: int) -> None:
    """Compare which products two runs show: by brand, category, price band and age."""
    from pipelines.reports.exposure import exposure

    click.echo(exposure(before, after, releases, k=k, page=page).table())
    if page is not None:
        from pipelines.reports.output import page_file

        click.echo(f"wrote {page_file(page)}")


@click.command()
@click.argument("log", type=click.Path(path_type=Path))
@releases_option
@click.option("--release", "name", help="By default the current one.")
@with_heartbeat("replay")
def replay(log: Path, releases: Path, name: str | None) -> None:
    """Rank logged requests again as training does, and compare; exit code 1 if they differ."""
    from pipelines.evaluation.replay import replay
    from pipelines.progress import track

    comparison = replay(log, releases, name, track)
    click.echo(comparison.text())
    if not comparison.agrees:
        raise SystemExit(1)
