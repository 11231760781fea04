"""What several verbs are told."""

from pathlib import Path
from typing import Any

import click

SHOP = click.Path(path_type=Path)


def configured(verb: Any) -> Any:
    """Add --config and --set to a verb."""
    verb = click.option(
        "overrides", "--set", multiple=True, metavar="KEY=VALUE", help="Override one key."
    )(verb)
    return click.option(
        "--config", type=click.Path(path_type=Path), help="YAML that says what differs."
    )(verb)


releases_option = click.option(
    "--releases", type=click.Path(path_type=Path), required=True, help="Folder of releases."
)
shop_option = click.option("--shop", type=SHOP, required=True, help="Folder of a shop.")
