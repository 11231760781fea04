"""The verb that builds a release."""

from pathlib import Path

import click

from pipelines.cli.options import configured, releases_option, shop_option


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
    from pipelines.building.build import build
    from pipelines.config import load, moment
    from pipelines.progress import track
    from pipelines.release.manifest import read_manifest
    from pipelines.release.tables import quality_table, verdict_table

    at = moment(until) if until else None
    name = build(shop, releases, load(config, overrides), at, track, live, force=force)
    manifest = read_manifest(releases / name)
    click.echo(quality_table(manifest))
    if manifest.gate is not None:
        click.echo(verdict_table(manifest.gate))
