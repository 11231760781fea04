"""Writes what a release needs to encode queries."""

from pipelines.building.context import BuildContext
from pipelines.encoding.release_encoders import save_encoders


def write_encoders(context: BuildContext) -> None:
    """Write the encoders, but for the text model itself."""
    save_encoders(context.encoders, context.folder)
