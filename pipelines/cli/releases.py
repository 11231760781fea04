"""Verbs that look after releases."""

from pathlib import Path

import click

from pipelines.cli.options import releases_option, with_heartbeat


@click.group()
def releases() -> None:
    """List, check, compare, publish, roll back and remove releases."""


@releases.command("list")
@releases_option
def list_releases(releases: Path) -> None:
    """List the releases of a folder, newest first."""
    from pipelines.release.tables import releases_table

    click.echo(releases_table(releases))


@releases.command("check")
@releases_option
@click.argument("name", required=False)
@with_heartbeat("check")
def check_release(releases: Path, name: str | None) -> None:
    """Compare every byte of a release, by default the current one, with its manifest."""
    from pipelines.release.store import open_release
    from pipelines.release.tables import quality_table, verdict_table

    release = open_release(releases, name)
    click.echo(quality_table(release.manifest))
    if release.manifest.gate is not None:
        click.echo(verdict_table(release.manifest.gate))
    click.echo(f"{release.path.name}: all {len(release.manifest.files)} files are as built")


@releases.command("rollback")
@releases_option
@click.argument("name", required=False)
@with_heartbeat("roll back")
def rollback(releases: Path, name: str | None) -> None:
    """Serve an older release again: the one named, or the one before the current."""
    from pipelines.release.store import rollback

    _serve(releases, rollback(releases, name))


@releases.command("publish")
@releases_option
@click.argument("name")
@click.option("--force", is_flag=True, help="Even if the gate said no; the manifest records it.")
@with_heartbeat("publish")
def publish(releases: Path, name: str, force: bool) -> None:  # noqa: FBT001
    """Serve a release, such as one that the gate kept dark: by force."""
    from pipelines.release.store import publish

    _serve(releases, publish(releases, name, force=force))


def _serve(releases: Path, name: str) -> None:
    """Say what CURRENT names by now, also to whoever searches its vectors on another machine."""
    from pipelines.release.milvus import point

    point(releases / name)
    click.echo(f"current is now {name}")


@releases.command("prune")
@releases_option
@click.option("--keep", type=click.IntRange(1), default=7, show_default=True, help="The newest.")
@click.option("--dark", type=click.IntRange(0), default=0, show_default=True, help="Of dark ones.")
def prune(releases: Path, keep: int, dark: int) -> None:
    """Remove old releases; the current one and the one before it always stay."""
    from pipelines.release.store import locked, prune

    with locked(releases):
        gone = prune(releases, keep=keep, keep_dark=dark)
    click.echo("\n".join([*(f"removed {name}" for name in gone), f"{len(gone):,} removed"]))


@releases.command("diff")
@releases_option
@click.argument("before")
@click.argument("now")
@click.option("as_json", "--json", is_flag=True, help="Write it as JSON.")
@with_heartbeat("diff")
def diff(releases: Path, before: str, now: str, as_json: bool) -> None:  # noqa: FBT001
    """Tell what differs between two releases: products, answers, settings."""
    from pipelines.evaluation.release_diff import diff
    from pipelines.progress import track

    difference = diff(releases, before, now, track)
    click.echo(difference.json().decode() if as_json else difference.text())
