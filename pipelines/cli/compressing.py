"""Verbs that make a ranker smaller, and take it elsewhere."""

from pathlib import Path
from typing import Any

import click

from pipelines.cli.options import releases_option, shop_option, with_heartbeat


@click.command("export")
@releases_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
@click.option("--ranker", type=click.Path(path_type=Path), help="A smaller one of `compress`.")
@with_heartbeat("export")
def export(releases: Path, out: Path, ranker: Path | None) -> None:
    """Write the ranker as ONNX, to rank in a process without torch."""
    from pipelines.training.ranker.compression import export_release

    click.echo(f"wrote {export_release(releases, out, ranker)}")


def compressing(verb: Any) -> Any:
    """Add what every way to make a ranker smaller is told."""
    verb = click.option(
        "--out", type=click.Path(path_type=Path), required=True, help="A new folder."
    )(verb)
    return releases_option(shop_option(verb))


@click.group()
def compress() -> None:
    """Make the ranker of a release smaller, and measure what that costs and saves."""


@compress.command("int8")
@compressing
@with_heartbeat("compress int8")
def compress_int8(releases: Path, shop: Path, out: Path) -> None:
    """Export it in 8 bits."""
    from pipelines.progress import track
    from pipelines.training.ranker.compression import compress_int8

    click.echo(compress_int8(releases, shop, out, track).table())


@compress.command("prune")
@compressing
@click.option("--heads", type=click.IntRange(1), default=2, show_default=True, help="That stay.")
@click.option("--hidden", type=click.IntRange(1), default=64, show_default=True, help="Units.")
@with_heartbeat("compress prune")
def compress_prune(releases: Path, shop: Path, out: Path, heads: int, hidden: int) -> None:
    """Keep the heads and the hidden units of each layer that matter most."""
    from pipelines.progress import track
    from pipelines.training.ranker.compression import compress_prune

    report = compress_prune(releases, shop, out, track, heads=heads, hidden=hidden)
    click.echo(report.table())


@compress.command("distil")
@compressing
@click.option("--dim", type=click.IntRange(1), default=32, show_default=True, help="Of a token.")
@click.option("--heads", type=click.IntRange(1), default=2, show_default=True)
@click.option("--layers", type=click.IntRange(1), default=1, show_default=True)
@with_heartbeat("compress distil")
def compress_distil(releases: Path, shop: Path, out: Path, **shape: int) -> None:
    """Train a smaller one on what it says."""
    from pipelines.progress import track
    from pipelines.training.ranker.compression import compress_distil

    click.echo(compress_distil(releases, shop, out, track, **shape).table())
