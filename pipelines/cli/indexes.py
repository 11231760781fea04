"""Verbs that choose how vectors are indexed."""

from pathlib import Path

import click

from pipelines.cli.options import configured, releases_option, with_heartbeat


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
@with_heartbeat("index plan")
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
    from pipelines.config.loading import load
    from pipelines.tuning.index_designs import plan_indexes, write_choice

    given = {"memory": memory, "recall_target": recall, "recall_k": k}
    more = [f"index.{key}={value}" for key, value in given.items() if value is not None]
    settings = load(config, [*overrides, *more]).index
    plan = plan_indexes(releases, settings, name=name, sample=sample)
    click.echo(plan.table())
    if write is not None:
        write_choice(plan, write)
        click.echo(f"wrote {write}")
