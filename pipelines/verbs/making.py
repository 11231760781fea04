"""Verbs that make something of a shop: import, train, build, tune."""

from pathlib import Path
from typing import Any

import click

from pipelines.verbs.options import SHOP, configured, releases_option, shop_option


@click.group("import")
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


@click.group()
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


@click.command()
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


@click.group(invoke_without_command=True)
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
