"""The command line: one short verb a job; what a verb needs is imported when it runs."""

import sys
from pathlib import Path
from typing import Any

import click

from pipelines.errors import UnfitDraft, UserError

UNFIT = 3  # exit code of a build that the gate kept dark
SHOP = click.Path(path_type=Path)


def main() -> None:
    """Run a verb; a user's mistake is one line and exit code 2, never a traceback.

    A draft that the gate keeps dark is its table and exit code 3.
    """
    try:
        vetrina.main(standalone_mode=False)
    except click.ClickException as e:
        e.show()
        sys.exit(e.exit_code)
    except click.Abort:
        sys.exit("stopped")
    except UnfitDraft as e:
        from pipelines.tables import verdict_table

        click.echo(verdict_table(e.verdict))
        _fail(str(e), UNFIT)
    except UserError as e:
        _fail(str(e))
    except ValueError as e:
        from index import IndexFault

        if not isinstance(e, IndexFault):
            raise
        _fail(str(e))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vetrina")
def vetrina() -> None:
    """Fill every window of a shop: search, recommendation and ads, from one engine."""


def _fail(message: str, code: int = 2) -> None:
    click.echo(f"vetrina: {message}", err=True)
    sys.exit(code)


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


@vetrina.group("import")
def import_() -> None:
    """Read products and events from a source into a shop folder."""


@import_.command("journey")
@shop_option
@click.option("--pictures/--no-pictures", default=True, help="Draw a pack shot a product.")
def import_journey(shop: Path, pictures: bool) -> None:  # noqa: FBT001
    """Import The Complete Journey, a real supermarket of 2017."""
    from pipelines.importers.journey import import_journey
    from pipelines.progress import track

    click.echo(import_journey(shop, track, pictures=pictures).table())


@import_.command("table")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--mapping", type=click.Path(path_type=Path), required=True, help="YAML of columns.")
@click.option("--pictures", type=click.Path(path_type=Path), help="Folder of files, or a Parquet.")
@click.option("--events", type=click.Path(path_type=Path), help="A second table: what users did.")
@click.option(
    "--promotions",
    type=click.Path(path_type=Path),
    help="A third table: product, kind (offer or display), start, end and share of the places.",
)
@shop_option
def import_table(source: Path, mapping: Path, shop: Path, **further: Path | None) -> None:
    """Import a CSV, TSV, JSONL or Parquet table."""
    from pipelines.importers.mapping import load_mapping
    from pipelines.importers.table import import_table
    from pipelines.progress import track

    report = import_table(source, shop, load_mapping(mapping), track, **further)
    click.echo(report.table())


@import_.command("merchant")
@click.argument("source", type=click.Path(path_type=Path))
@shop_option
def import_merchant(source: Path, shop: Path) -> None:
    """Import a Google Merchant feed, TSV or XML."""
    from pipelines.importers.merchant import import_merchant
    from pipelines.progress import track

    click.echo(import_merchant(source, shop, track).table())


@vetrina.group()
def train() -> None:
    """Train an encoder on a shop's own data."""


@train.command("clip")
@shop_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the model.")
@configured
def train_clip(shop: Path, out: Path, config: Path | None, overrides: tuple[str, ...]) -> None:
    """Train an open_clip model on a shop's pictures and titles."""
    from pipelines.config import load
    from pipelines.progress import track
    from pipelines.train_clip import train_clip

    settings = load(config, overrides)
    report = train_clip(
        shop, out, settings.clip, track, seed=settings.seed, threads=settings.threads
    )
    click.echo(report.line())


@train.command("text")
@click.option(
    "--judgments",
    type=click.Path(path_type=Path),
    required=True,
    multiple=True,
    help="Parquet or CSV of query, title and relevance; several are allowed.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the model.")
@configured
def train_text(
    judgments: tuple[Path, ...], out: Path, config: Path | None, overrides: tuple[str, ...]
) -> None:
    """Fine-tune a sentence encoder on judged pairs of a query and a title."""
    from pipelines.config import load
    from pipelines.progress import track
    from pipelines.train_text import train_text

    settings = load(config, overrides)
    report = train_text(
        judgments, out, settings.text_training, track, seed=settings.seed, threads=settings.threads
    )
    click.echo(report.line())


@vetrina.command()
@shop_option
@releases_option
@click.option("--until", metavar="TIME", help="Nothing at or after it is seen: 2017-11-15.")
@click.option("--live", type=click.Path(path_type=Path), help="Fold in this log of changes.")
@click.option("--force", is_flag=True, help="Publish it even if the gate says no.")
@configured
def build(  # noqa: PLR0913 - the options of a verb
    shop: Path,
    releases: Path,
    until: str | None,
    live: Path | None,
    force: bool,  # noqa: FBT001
    config: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Encode, index, train and publish a release of a shop.

    A draft that the gate does not let pass stays dark: exit code 3.
    """
    from pipelines.build import build
    from pipelines.config import load, moment
    from pipelines.progress import track
    from pipelines.release import read_manifest
    from pipelines.tables import quality_table, verdict_table

    at = moment(until) if until else None
    name = build(shop, releases, load(config, overrides), at, track, live, force=force)
    manifest = read_manifest(releases / name)
    click.echo(quality_table(manifest))
    if manifest.gate is not None:
        click.echo(verdict_table(manifest.gate))


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


@vetrina.group(invoke_without_command=True)
@click.option("--shop", type=SHOP, help="Folder of a shop.")
@click.option("--ranges", type=click.Path(path_type=Path), help="YAML of ranges.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the study.")
@click.option("--until", metavar="TIME", help="What is asked for begins here.")
@click.option("--trials", type=click.IntRange(1, 10_000), default=30, show_default=True)
@click.option("--seconds", type=click.FloatRange(0), help="No new trial after so many.")
@click.option("--measure", default="ndcg@20", show_default=True, help="Or recall@500.")
@configured
@click.pass_context
def tune(context: click.Context, /, **asked: Any) -> None:
    """Try settings from declared ranges, and say which serve the shoppers best.

    Without a verb after it, --shop, --ranges, --out and --until are required.
    """
    if context.invoked_subcommand is None:
        for option in context.command.params:
            if option.name in ("shop", "ranges", "out", "until") and asked[option.name] is None:
                raise click.MissingParameter(ctx=context, param=option)
        _tune(**asked)


def _tune(  # noqa: PLR0913
    shop: Path,
    ranges: Path,
    out: Path,
    until: str,
    trials: int,
    seconds: float | None,
    measure: str,
    config: Path | None,
    overrides: tuple[str, ...],
) -> None:
    from pipelines.config import load, moment
    from pipelines.progress import track
    from pipelines.tune import Budget, tune
    from pipelines.tuning_measure import read_measure

    found = tune(
        shop,
        ranges,
        out,
        load(config, overrides),
        moment(until),
        budget=Budget(trials, seconds),
        measure=read_measure(measure),
        track=track,
        say=click.echo,
    )
    click.echo(found.table())


@tune.command("fusion")
@releases_option
@click.option(
    "--requests", type=click.Path(path_type=Path), required=True, help="Searches, one JSON a line."
)
@click.option(
    "--judgements", type=click.Path(path_type=Path), required=True, help="TREC judgments of them."
)
@click.option("--out", type=click.Path(path_type=Path), help="File for the configuration found.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the parts.")
def tune_fusion(
    releases: Path, requests: Path, judgements: Path, out: Path | None, seed: int
) -> None:
    """Weigh the channels of searches by judged queries, measured on others."""
    from pipelines.engine import Engine
    from pipelines.progress import track
    from pipelines.tuning_fusion import tune_fusion, write_lines

    found = tune_fusion(Engine.open(releases), requests, judgements, seed=seed, track=track)
    click.echo(found.table())
    click.echo(f"\n{found.config_lines()}", nl=False)
    if out is not None:
        write_lines(found, out)
        click.echo(f"wrote {out}")


@vetrina.command()
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


@vetrina.command()
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


@vetrina.command()
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


@vetrina.command()
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


@vetrina.command()
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


@vetrina.command("export")
@releases_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
@click.option("--ranker", type=click.Path(path_type=Path), help="A smaller one of `compress`.")
def export(releases: Path, out: Path, ranker: Path | None) -> None:
    """Write the ranker as ONNX, to rank in a process without torch."""
    from pipelines.compress import export_release

    click.echo(f"wrote {export_release(releases, out, ranker)}")


def compressing(verb: Any) -> Any:
    """Add what every way to make a ranker smaller is told."""
    verb = click.option(
        "--out", type=click.Path(path_type=Path), required=True, help="A new folder."
    )(verb)
    return releases_option(shop_option(verb))


@vetrina.group()
def compress() -> None:
    """Make the ranker of a release smaller, and measure what that costs and saves."""


@compress.command("int8")
@compressing
def compress_int8(releases: Path, shop: Path, out: Path) -> None:
    """Export it in 8 bits."""
    from pipelines.compress import compress_int8
    from pipelines.progress import track

    click.echo(compress_int8(releases, shop, out, track).table())


@compress.command("prune")
@compressing
@click.option("--heads", type=click.IntRange(1), default=2, show_default=True, help="That stay.")
@click.option("--hidden", type=click.IntRange(1), default=64, show_default=True, help="Units.")
def compress_prune(releases: Path, shop: Path, out: Path, heads: int, hidden: int) -> None:
    """Keep the heads and the hidden units of each layer that matter most."""
    from pipelines.compress import compress_prune
    from pipelines.progress import track

    report = compress_prune(releases, shop, out, track, heads=heads, hidden=hidden)
    click.echo(report.table())


@compress.command("distil")
@compressing
@click.option("--dim", type=click.IntRange(1), default=32, show_default=True, help="Of a token.")
@click.option("--heads", type=click.IntRange(1), default=2, show_default=True)
@click.option("--layers", type=click.IntRange(1), default=1, show_default=True)
def compress_distil(releases: Path, shop: Path, out: Path, **shape: int) -> None:
    """Train a smaller one on what it says."""
    from pipelines.compress import compress_distil
    from pipelines.progress import track

    click.echo(compress_distil(releases, shop, out, track, **shape).table())


@vetrina.group("index")
def index_() -> None:
    """Choose how vectors are indexed."""


@index_.command("plan")
@releases_option
@click.option("--release", "name", help="By default the current one.")
@click.option("--memory", help="An index may take so much: 500MB, 2GB.")
@click.option("--recall", type=click.FloatRange(0, 1), help="That is wanted [0.95].")
@click.option("--k", type=click.IntRange(1, 10_000), help="Answers that recall is of [100].")
@click.option("--sample", type=click.IntRange(100), default=10_000, show_default=True)
@click.option("--write", type=click.Path(path_type=Path), help="YAML to write the choice into.")
@configured
def plan_index(  # noqa: PLR0913 - the options of a verb
    releases: Path,
    name: str | None,
    memory: str | None,
    recall: float | None,
    k: int | None,
    sample: int,
    write: Path | None,
    config: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Try every design on the vectors of a release: memory, build time, recall and latency."""
    from pipelines.config import load
    from pipelines.index_plan import plan_indexes, write_choice

    given = {"memory": memory, "recall_target": recall, "recall_k": k}
    more = [f"index.{key}={value}" for key, value in given.items() if value is not None]
    settings = load(config, [*overrides, *more]).index
    plan = plan_indexes(releases, settings, name=name, sample=sample)
    click.echo(plan.table())
    if write is not None:
        write_choice(plan, write)
        click.echo(f"wrote {write}")


@vetrina.group()
def releases() -> None:
    """List, check, compare, publish, roll back and remove releases."""


@releases.command("list")
@releases_option
def list_releases(releases: Path) -> None:
    """List the releases of a folder, newest first."""
    from pipelines.tables import releases_table

    click.echo(releases_table(releases))


@releases.command("check")
@releases_option
@click.argument("name", required=False)
def check_release(releases: Path, name: str | None) -> None:
    """Compare every byte of a release, by default the current one, with its manifest."""
    from pipelines.release import open_release
    from pipelines.tables import quality_table, verdict_table

    release = open_release(releases, name)
    click.echo(quality_table(release.manifest))
    if release.manifest.gate is not None:
        click.echo(verdict_table(release.manifest.gate))
    click.echo(f"{release.path.name}: all {len(release.manifest.files)} files are as built")


@releases.command("rollback")
@releases_option
@click.argument("name", required=False)
def rollback(releases: Path, name: str | None) -> None:
    """Serve an older release again: the one named, or the one before the current."""
    from pipelines.elsewhere import point
    from pipelines.release import rollback

    name = rollback(releases, name)
    point(releases / name)
    click.echo(f"current is now {name}")


@releases.command("publish")
@releases_option
@click.argument("name")
@click.option("--force", is_flag=True, help="Even if the gate said no; the manifest records it.")
def publish(releases: Path, name: str, force: bool) -> None:  # noqa: FBT001
    """Serve a release, such as one that the gate kept dark: by force."""
    from pipelines.release import publish

    click.echo(f"current is now {publish(releases, name, force=force)}")


@releases.command("prune")
@releases_option
@click.option("--keep", type=click.IntRange(1), default=7, show_default=True, help="The newest.")
@click.option("--dark", type=click.IntRange(0), default=0, show_default=True, help="Of dark ones.")
def prune(releases: Path, keep: int, dark: int) -> None:
    """Remove old releases; the current one and the one before it always stay."""
    from pipelines.release import locked, prune

    with locked(releases):
        gone = prune(releases, keep=keep, keep_dark=dark)
    click.echo("\n".join([*(f"removed {name}" for name in gone), f"{len(gone):,} removed"]))


@releases.command("diff")
@releases_option
@click.argument("before")
@click.argument("now")
@click.option("as_json", "--json", is_flag=True, help="Write it as JSON.")
def diff(releases: Path, before: str, now: str, as_json: bool) -> None:  # noqa: FBT001
    """Tell what differs between two releases: products, answers, settings."""
    from pipelines.progress import track
    from pipelines.release_diff import diff

    found = diff(releases, before, now, track)
    click.echo(found.json().decode() if as_json else found.text())


@vetrina.command()
@releases_option
@click.option("--host", default=None, help="Address to listen on [127.0.0.1].")
@click.option("--port", type=int, default=None, help="Port to listen on, 0: any free [8000].")
@click.option("--live", metavar="FOLDER", help="Take changes, and keep them in this folder.")
@configured
def serve(
    releases: Path,
    host: str | None,
    port: int | None,
    live: str | None,
    config: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Serve the current release over HTTP, with its page at /."""
    from pipelines.config import load, with_live
    from pipelines.server import serve

    serve(releases, with_live(load(config, overrides), live), host=host, port=port)


@vetrina.command()
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


@vetrina.command()
@configured
@click.option("--releases", type=click.Path(path_type=Path), help="Check the current one, too.")
def check(config: Path | None, overrides: tuple[str, ...], releases: Path | None) -> None:
    """Print the whole configuration and what this machine has."""
    from pipelines.config import load, show
    from pipelines.tables import machine_table

    click.echo(show(load(config, overrides)))
    click.echo(machine_table())
    if releases is not None:
        from pipelines.release import open_release

        click.echo(f"current release {open_release(releases).path.name}: every file is as built")


@vetrina.command()
@click.option("--folder", type=click.Path(path_type=Path), default=Path("artifacts/demo"))
@click.option("--host", default=None, help="Address to listen on [127.0.0.1].")
@click.option("--port", type=int, default=None, help="Port to listen on, 0: any free [8000].")
@click.option("--serve/--no-serve", "serves", default=True, help="Open the shop page at the end.")
def demo(folder: Path, host: str | None, port: int | None, serves: bool) -> None:  # noqa: FBT001
    """Import, train, build, measure and serve a real supermarket."""
    from pipelines.demo import prepare
    from pipelines.progress import track

    config, releases = prepare(folder, track, click.echo)
    if serves:
        from pipelines.server import serve

        serve(releases, config, host=host, port=port)
