"""The verb that builds a release."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.cli.options import configured, releases_option, shop_option, with_heartbeat

if TYPE_CHECKING:
    from pipelines.config.sections import Config


@click.command()
@shop_option
@releases_option
@click.option("--until", metavar="TIME", help="Nothing at or after it is seen: 2017-11-15.")
@click.option("--live", type=click.Path(path_type=Path), help="Fold in this log of changes.")
@click.option(
    "--events",
    "archive",
    type=click.Path(path_type=Path),
    help="Learn from this archive of events, too.",
)
@click.option("--force", is_flag=True, help="Publish it even if the gate says no.")
@click.option("--plan", is_flag=True, help="Tell what each step would do and why; build nothing.")
@configured
@with_heartbeat("build")
def build(  # noqa: PLR0913 - the options of a verb
    shop: Path,
    releases: Path,
    until: str | None,
    live: Path | None,
    archive: Path | None,
    force: bool,  # noqa: FBT001
    plan: bool,  # noqa: FBT001
    config: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Encode, index, train and publish a release of a shop.

    A draft that the gate does not let pass stays dark: exit code 3.
    """
    from pipelines.config.loading import load, moment

    settings, at = load(config, overrides), moment(until) if until else None
    if plan:
        click.echo(_plan(shop, releases, settings, at, live, archive))
        return
    from pipelines.building.build import build
    from pipelines.progress import track
    from pipelines.release.manifest import read_manifest
    from pipelines.release.tables import quality_table, verdict_table

    name = build(shop, releases, settings, at, track, live, archive, force=force)
    manifest = read_manifest(releases / name)
    click.echo(quality_table(manifest))
    if manifest.gate is not None:
        click.echo(verdict_table(manifest.gate))


def _plan(
    shop: Path,
    releases: Path,
    settings: "Config",
    until: datetime | None,
    live: Path | None,
    archive: Path | None,
) -> str:
    """Return the table of what a build would do, without loading what a build runs on."""
    from pipelines.building.preview import preview
    from pipelines.people.people import people_of
    from pipelines.shop.reader import Shop

    if live is None:
        people = people_of(archive, live, settings)
        opened = Shop(shop, archive, people, settings.consent)
        return preview(opened, releases, settings, until).table()
    from pipelines.live.folded_shop import open_shop

    return preview(open_shop(shop, live, archive, settings), releases, settings, until).table()
