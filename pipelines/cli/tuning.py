"""Verbs that tune a configuration."""

from pathlib import Path
from typing import Any

import click

from pipelines.cli.options import SHOP, configured, releases_option, with_heartbeat


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


@with_heartbeat("tune")
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
    from pipelines.config.loading import load, moment
    from pipelines.config.place import ShopPlace
    from pipelines.progress import track
    from pipelines.shop.place import with_place
    from pipelines.shop.reader import Shop
    from pipelines.tuning.objective import read_measure
    from pipelines.tuning.tune import Budget, TuningJob, tune

    tried = load(config, overrides)
    place = ShopPlace.of(with_place(tried, Shop(shop).meta).shop)
    begin = place.local(moment(until))
    job = TuningJob(shop, ranges, out, tried, begin, read_measure(measure))
    click.echo(tune(job, Budget(trials, seconds), track=track, say=click.echo).table())


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
@with_heartbeat("tune fusion")
def tune_fusion(
    releases: Path, requests: Path, judgements: Path, out: Path | None, seed: int
) -> None:
    """Weigh the channels of searches by judged queries, measured on others."""
    from pipelines.engine.engine import Engine
    from pipelines.progress import track
    from pipelines.tuning.fusion import tune_fusion, write_lines

    found = tune_fusion(Engine.open(releases).probe, requests, judgements, seed=seed, track=track)
    click.echo(found.table())
    click.echo(f"\n{found.config_lines()}", nl=False)
    if out is not None:
        write_lines(found, out)
        click.echo(f"wrote {out}")
