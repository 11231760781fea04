"""Verbs that serve, and look at what would be served."""

from pathlib import Path

import click

from pipelines.cli.options import configured, releases_option

PORT = click.IntRange(0, 65_535)


@click.command()
@releases_option
@click.option("--host", default=None, help="Address to listen on [127.0.0.1].")
@click.option("--port", type=PORT, default=None, help="Port to listen on, 0: any free [8000].")
@click.option("--live", metavar="FOLDER", help="Take changes, and keep them in this folder.")
@configured
def serve(
    releases: Path,
    host: str | None,
    port: int | None,
    live: str | None,
    config: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Serve the current release over HTTP, with its page at /."""
    from pipelines.config.loading import load, refuse_all_but_served, with_live
    from pipelines.serving.server import serve

    refuse_all_but_served(overrides)
    serve(releases, with_live(load(config, overrides), live), host=host, port=port)


@click.command()
@configured
@click.option("--releases", type=click.Path(path_type=Path), help="Check the current one, too.")
def check(config: Path | None, overrides: tuple[str, ...], releases: Path | None) -> None:
    """Print the whole configuration and what this machine has."""
    from pipelines.cli.machine import machine_table
    from pipelines.config.loading import load, show

    click.echo(show(load(config, overrides)))
    click.echo(machine_table())
    if releases is not None:
        from pipelines.release.store import open_release

        click.echo(f"current release {open_release(releases).path.name}: every file is as built")


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), default=Path("artifacts/demo"))
@click.option("--host", default=None, help="Address to listen on [127.0.0.1].")
@click.option("--port", type=PORT, default=None, help="Port to listen on, 0: any free [8000].")
@click.option("--serve/--no-serve", "serves", default=True, help="Open the shop page at the end.")
def demo(folder: Path, host: str | None, port: int | None, serves: bool) -> None:  # noqa: FBT001
    """Import, train, build, measure and serve a real supermarket."""
    click.echo("load the libraries, which takes some seconds the first time")
    from pipelines.demo.plan import DemoFolder

    place = DemoFolder(folder)
    if serves:
        from pipelines.demo.window import open_window

        open_window(place, click.echo, host=host, port=port)
    else:
        from pipelines.demo.steps import run_steps
        from pipelines.progress import track

        run_steps(place, track, click.echo)
