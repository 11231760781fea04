"""Verbs that import a shop."""

from pathlib import Path

import click

from pipelines.cli.options import shop_option, with_heartbeat


@click.group("import")
def import_() -> None:
    """Read products and events from a source into a shop folder."""


@import_.command("journey")
@shop_option
@click.option("--pictures/--no-pictures", default=True, help="Draw a pack shot a product.")
@with_heartbeat("import")
def import_journey(shop: Path, pictures: bool) -> None:  # noqa: FBT001
    """Import The Complete Journey, a real supermarket of 2017."""
    from pipelines.importers.journey.importer import import_journey
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
@with_heartbeat("import")
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
@with_heartbeat("import")
def import_merchant(source: Path, shop: Path) -> None:
    """Import a Google Merchant feed, TSV or XML."""
    from pipelines.importers.merchant import import_merchant
    from pipelines.progress import track

    click.echo(import_merchant(source, shop, track).table())
