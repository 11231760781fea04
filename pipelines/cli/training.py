"""Verbs that train an encoder."""

from pathlib import Path

import click

from pipelines.cli.options import configured, shop_option, with_heartbeat


@click.group()
def train() -> None:
    """Train an encoder on a shop's own data."""


@train.command("clip")
@shop_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the model.")
@configured
@with_heartbeat("train clip")
def train_clip(shop: Path, out: Path, config: Path | None, overrides: tuple[str, ...]) -> None:
    """Train an open_clip model on a shop's pictures and titles."""
    from pipelines.config.loading import load
    from pipelines.progress import track
    from pipelines.training.clip.train import train_clip

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
@with_heartbeat("train text")
def train_text(
    judgments: tuple[Path, ...], out: Path, config: Path | None, overrides: tuple[str, ...]
) -> None:
    """Fine-tune a sentence encoder on judged pairs of a query and a title."""
    from pipelines.config.loading import load
    from pipelines.progress import track
    from pipelines.training.text.train import train_text

    settings = load(config, overrides)
    report = train_text(
        judgments, out, settings.text_training, track, seed=settings.seed, threads=settings.threads
    )
    click.echo(report.line())
