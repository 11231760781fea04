"""Verbs that ask a release, and measure what it answers."""

from pathlib import Path
from typing import Any

import click

from pipelines.verbs.options import releases_option


def marked(verb: Any) -> Any:
    """Add --like and --dislike to a verb."""
    like = "A product that the answer should be like; may be repeated."
    dislike = "A product that it should be unlike; may be repeated."
    verb = click.option("disliked", "--dislike", multiple=True, metavar="ID", help=dislike)(verb)
    return click.option("liked", "--like", multiple=True, metavar="ID", help=like)(verb)


def listed(verb: Any) -> Any:
    """Add what counts, sorts, collapses and turns pages to a verb."""
    facet = "Count the values of a field among all that matches; may be repeated."
    sort = "Sort by a field, such as price or price:desc; may be repeated."
    collapse = "Show each value of a field once, such as item_group_id."
    verb = click.option("--cursor", default="", help="The next page; * begins a list.")(verb)
    verb = click.option("--collapse", metavar="FIELD", help=collapse)(verb)
    verb = click.option("sorts", "--sort", multiple=True, metavar="FIELD", help=sort)(verb)
    return click.option("facets", "--facet", multiple=True, metavar="FIELD", help=facet)(verb)


@click.command()
@click.argument("text", default="")
@releases_option
@marked
@listed
@click.option("--image", type=click.Path(path_type=Path), help="Search by a picture.")
@click.option("--user", help="A shopper that the release knows.")
@click.option("--at", metavar="TIME", help="The moment of the request, by default now.")
@click.option("--filter", "filter_", default="", help='Such as: brand: ANY("A") AND price < 5')
@click.option("-k", default=10, show_default=True, help="How many products.")
@click.option("--explain", is_flag=True, help="Tell channels and features.")
def search(text: str, releases: Path, image: Path | None, **asked: Any) -> None:
    """Search one release by words or a picture."""
    from pipelines.tables import answer_table

    if not text.strip() and image is None:
        raise click.UsageError("give words to search for, or --image")
    click.echo(answer_table(releases, text=text, image=image, **asked))


@click.command()
@releases_option
@marked
@listed
@click.option("--user", help="A shopper that the release knows.")
@click.option("--at", metavar="TIME", help="The moment of the request, by default now.")
@click.option("--filter", "filter_", default="", help='Such as: brand: ANY("A") AND price < 5')
@click.option("-k", default=10, show_default=True, help="How many products.")
@click.option("--explain", is_flag=True, help="Tell channels and features.")
def recommend(releases: Path, **asked: Any) -> None:
    """Recommend products to a shopper."""
    from pipelines.tables import answer_table

    click.echo(answer_table(releases, text="", image=None, **asked))


@click.command()
@click.argument("requests", type=click.Path(path_type=Path))
@releases_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="TREC run to write.")
@click.option(
    "--stage", type=click.Choice(["retrieval", "ranking"]), default="ranking", show_default=True
)
def run(requests: Path, releases: Path, out: Path, stage: str) -> None:
    """Answer a file of requests, one JSON a line, into a TREC run."""
    from pipelines.engine import Engine
    from pipelines.progress import track
    from pipelines.run import run
    from retrieval import Stage

    report = run(requests, Engine.open(releases), out, Stage(stage), track)
    for line, message in sorted([*report.failures, *report.notes]):
        click.echo(f"line {line}: {message}", err=True)
    stages = ", ".join(f"{count:,} by {name}" for name, count in report.stages.items())
    told = f" ({stages})" if stages else ""
    click.echo(f"{report.answered:,} answered{told}, {len(report.failures):,} not; wrote {out}")


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
def evaluate(run: Path, page: Path | None, data: Path | None, **sources: Any) -> None:
    """Measure a run against judgments, with 95 % intervals; --report writes a page with slices."""
    if page is None and data is None:
        _evaluate(run, **sources)
        return
    from pipelines.evidence import Sources
    from pipelines.report import evaluate_and_report

    written = evaluate_and_report(Sources(run, **sources), page, data)
    click.echo(written.evaluation.table())
    for file in written.files:
        click.echo(f"wrote {file}")


def _evaluate(
    run: Path, qrels: Path, against: Path | None, requests: Path | None, releases: Path | None
) -> None:
    from pipelines.evaluate import evaluate

    if requests is not None or releases is not None:
        raise click.UsageError("--requests and --releases are read for --report or --json")
    click.echo(evaluate(run, qrels, against).table())


@click.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@releases_option
@click.option(
    "page", "--report", type=click.Path(path_type=Path), help="Folder or .html file of a page."
)
@click.option("--k", type=click.IntRange(1, 1_000), default=20, show_default=True, help="Depth.")
def exposure(before: Path, after: Path, releases: Path, page: Path | None, k: int) -> None:
    """Compare which products two runs show: by brand, category, price band and age."""
    from pipelines.exposure import exposure

    click.echo(exposure(before, after, releases, k=k, page=page).table())
    if page is not None:
        from pipelines.report import page_file

        click.echo(f"wrote {page_file(page)}")


@click.command()
@click.argument("log", type=click.Path(path_type=Path))
@releases_option
@click.option("--release", "name", help="By default the current one.")
def replay(log: Path, releases: Path, name: str | None) -> None:
    """Rank logged requests again as training does, and compare; exit code 1 if they differ."""
    from pipelines.progress import track
    from pipelines.replay import replay

    found = replay(log, releases, name, track)
    click.echo(found.text())
    if not found.agrees:
        raise SystemExit(1)
