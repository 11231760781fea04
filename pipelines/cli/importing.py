"""Verbs that import a shop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pipelines.cli.options import SHOP, shop_option, with_heartbeat
from pipelines.importers.exports.names import names_of_formats

PATH = click.Path(path_type=Path)


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


at_option = click.option("--at", help="The moment whose sale prices count; now by default.")


def place_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the place of a shop."""
    verb = click.option("--country", default="", help="Of the shop, by ISO 3166, such as DE.")(verb)
    words = "Of the shop, such as Europe/Rome: times that name a zone become its local time."
    return click.option("--timezone", default="", metavar="ZONE", help=words)(verb)


def match_option(verb: Callable[..., None]) -> Callable[..., None]:
    """Add the option that says what the products of a log are named by."""
    return click.option(
        "--match",
        type=click.Choice(["auto", "id", "sku", "gtin", "mpn", "group"]),
        default=None,
        help="What the log names products by; auto takes what finds them one to one.",
    )(verb)


def further_files(verb: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the files beside that of products."""
    verb = click.option(
        "--promotions",
        type=PATH,
        help="A third table: product, kind (offer or display), start, end and share of the places.",
    )(verb)
    verb = match_option(verb)
    verb = click.option("--events", type=PATH, help="A second table: what users did.")(verb)
    verb = click.option("--pictures", type=PATH, help="Folder of files, or a Parquet.")(verb)
    return place_options(at_option(verb))


@import_.command("table")
@click.argument("source", type=PATH)
@click.option("--mapping", type=PATH, required=True, help="YAML of columns.")
@further_files
@shop_option
@with_heartbeat("import")
def import_table(
    source: Path,
    mapping: Path,
    shop: Path,
    at: str | None,
    **further: Any,
) -> None:
    """Import a table (CSV, TSV, JSON, Parquet) or a feed with a mapping of its columns."""
    from pipelines.config.loading import moment
    from pipelines.importers.mapping import load_mapping, matched, placed
    from pipelines.importers.table import import_table
    from pipelines.progress import track

    when = moment(at) if at else None
    timezone, country, match = (further.pop(name) for name in ("timezone", "country", "match"))
    columns = matched(placed(load_mapping(mapping), timezone, country), match or "")
    report = import_table(source, shop, columns, track, at=when, **further)
    click.echo(report.table())


def exported(verb: Callable[..., None]) -> Callable[..., None]:
    """Add the arguments of a verb that knows the columns of its file."""
    for decorate in (
        with_heartbeat("import"),
        click.option("--print-mapping", is_flag=True, help="Print the mapping; import nothing."),
        click.option("--currency", default="", help="Of prices that name none, such as EUR."),
        click.option("--shop", type=SHOP, help="Folder of a shop."),
        further_files,
        click.argument("source", type=PATH),
    ):
        verb = decorate(verb)
    return verb


@import_.command("auto")
@exported
def import_auto(source: Path, **options: Any) -> None:
    """Import the export of a shop, a feed or a log, recognised by its columns.

    The name of a format in the place of `auto` takes the file for one: docs/reference/exports.md.
    """
    _import_export("", source, **options)


def _verb_of(name: str) -> click.Command:
    """Return the verb that imports one format."""

    def verb(source: Path, **options: Any) -> None:
        _import_export(name, source, **options)

    words = f"Import a file of the format {name}."
    return click.command(name, help=words, hidden=True)(exported(verb))


def _import_export(name: str, source: Path, **options: Any) -> None:
    from pipelines.config.loading import moment
    from pipelines.importers.exports.auto import import_planned, plan
    from pipelines.progress import track

    at, shop = options.pop("at"), options.pop("shop")
    said = {key: options.pop(key) for key in ("currency", "timezone", "country")}
    match = options.pop("match") or ""
    planned = plan(source, options.pop("events"), name, match=match, **said)
    if options.pop("print_mapping"):
        click.echo(planned.yaml(), nl=False)
        return
    if shop is None:
        raise click.UsageError("Missing option '--shop'.")
    for sentence in planned.sentences:
        click.echo(sentence)
    when = moment(at) if at else None
    click.echo(import_planned(planned, source, shop, track, at=when, **options).table())


for one in names_of_formats():
    import_.add_command(_verb_of(one))


@import_.command("campaigns")
@click.argument("source", type=PATH)
@click.option("--mapping", type=PATH, help="YAML of columns, where they are not named as ours.")
@click.option("--live", type=PATH, required=True, help="Folder of a server's changes and ads.")
@shop_option
def import_campaigns(source: Path, mapping: Path | None, live: Path, shop: Path) -> None:
    """Import a table of ad campaigns into the log of a server that does not run."""
    from pipelines.ads.campaign_table import import_campaigns

    click.echo(f"campaigns that are taken: {import_campaigns(source, mapping, shop, live):,}")


@import_.command("merchant")
@click.argument("source", type=PATH)
@at_option
@place_options
@shop_option
@with_heartbeat("import")
def import_merchant(source: Path, shop: Path, at: str | None, timezone: str, country: str) -> None:
    """Import a feed for Google Merchant or Meta: TSV, CSV or XML."""
    from pipelines.config.loading import moment
    from pipelines.config.place import read_place
    from pipelines.importers.merchant import import_merchant
    from pipelines.progress import track

    place = read_place(timezone, country)
    when = moment(at) if at else None
    click.echo(import_merchant(source, shop, track, when, place).table())
