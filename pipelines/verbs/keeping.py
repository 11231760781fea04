"""Verbs that look after releases and their indexes."""

from pathlib import Path

import click

from pipelines.verbs.options import configured, releases_option


@click.group("index")
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


@click.group()
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
    from pipelines.release import rollback

    _serve(releases, rollback(releases, name))


@releases.command("publish")
@releases_option
@click.argument("name")
@click.option("--force", is_flag=True, help="Even if the gate said no; the manifest records it.")
def publish(releases: Path, name: str, force: bool) -> None:  # noqa: FBT001
    """Serve a release, such as one that the gate kept dark: by force."""
    from pipelines.release import publish

    _serve(releases, publish(releases, name, force=force))


def _serve(releases: Path, name: str) -> None:
    """Say what CURRENT names by now, also to whoever searches its vectors on another machine."""
    from pipelines.elsewhere import point

    point(releases / name)
    click.echo(f"current is now {name}")


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
