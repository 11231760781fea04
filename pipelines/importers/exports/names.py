"""The names of the formats, known without reading them."""

from pathlib import Path

FOLDER = Path(__file__).parent
PRODUCTS = ("shops", "feeds", "logs", "orders")  # a log may name its products, too
LOGS = ("logs", "orders")


def names_of_formats(folders: tuple[str, ...] = PRODUCTS) -> list[str]:
    """Return the names by which formats are chosen."""
    return sorted(path.stem for folder in folders for path in (FOLDER / folder).glob("*.yaml"))
