"""The verbs about people: what is kept of somebody, its end, and whether a receipt is genuine."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.cli.options import configured

if TYPE_CHECKING:
    from pipelines.events.people import Person

live_option = click.option(
    "--live", required=True, type=click.Path(path_type=Path), help="Folder of the log of events."
)
user_option = click.option("--user", help="Id of somebody who logged in.")
visitor_option = click.option("--visitor", help="Id of a browser or device.")


@click.group()
def people() -> None:
    """Export or erase a person, while no server writes the log."""


@people.command()
@live_option
@user_option
@visitor_option
@configured
def export(
    live: Path,
    user: str | None,
    visitor: str | None,
    config: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Print everything that the log and the archive have of a person, as JSON."""
    import msgspec

    from pipelines.config.loading import load
    from pipelines.events.archive_writer import ARCHIVE
    from pipelines.events.event_log import FOLDER
    from pipelines.events.people import export_of
    from pipelines.people.people import open_people

    folder, settings = live / FOLDER, load(config, overrides)
    known = open_people(live, settings.people)
    content = export_of(_person(user, visitor), folder, folder / ARCHIVE, known)
    click.echo(msgspec.json.format(msgspec.json.encode(content)))


@people.command()
@live_option
@user_option
@visitor_option
@click.option("--releases", type=click.Path(path_type=Path), help="Name those with the person.")
@configured
def erase(
    live: Path,
    user: str | None,
    visitor: str | None,
    releases: Path | None,
    config: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Erase a person from the log, the profiles, the archive and the ads; print the receipt."""
    from contextlib import closing
    from datetime import UTC

    import msgspec

    from pipelines.ads.intake import AdWriter
    from pipelines.config.loading import load
    from pipelines.events.intake import event_writer

    settings, person = load(config, overrides), _person(user, visitor)
    with (
        closing(AdWriter(live, UTC)) as ads,
        closing(event_writer(live, settings, releases, ads.erase)) as events,
    ):
        [receipt] = events.erase([person]).result()
    click.echo(msgspec.json.format(msgspec.json.encode(receipt)))


@people.command()
@live_option
@click.argument("receipt", type=click.Path(path_type=Path))
@configured
def check(
    live: Path,
    receipt: Path,
    config: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Tell whether a receipt was signed with the key of this shop; exit code 1 where not."""
    import msgspec

    from pipelines.config.loading import load
    from pipelines.errors import UserError
    from pipelines.events.people import Receipt, is_genuine
    from pipelines.people.people import open_people

    try:
        read = msgspec.json.decode(receipt.read_bytes(), type=Receipt)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as e:
        raise UserError(f"{receipt} is no receipt: {e}") from None
    if not is_genuine(read, open_people(live, load(config, overrides).people)):
        raise UserError(f"{receipt} was changed, or signed with another key")
    click.echo("genuine")


def _person(user: str | None, visitor: str | None) -> "Person":
    from pipelines.errors import UserError
    from pipelines.events.people import Person

    if not user and not visitor:
        raise UserError("name a person with --user, --visitor or both")
    return Person(user=user or None, visitor=visitor or None)
