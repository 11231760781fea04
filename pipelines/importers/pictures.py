"""Imports pictures and videos of products, from a folder of files or a Parquet file of bytes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from pipelines.errors import ShopError
from pipelines.importers.columns import PictureColumns
from pipelines.importers.mapping import check_columns, fields_of
from pipelines.importers.tables.opening import open_rows
from pipelines.shop.quality import Quality, shown
from pipelines.shop.schemas import PICTURE_SCHEMA
from pipelines.shop.writer import ShopWriter
from retrieval.encoders.pictures import MAX_BYTES, BrokenPicture, open_picture
from retrieval.encoders.video import MAX_BYTES as MAX_VIDEO_BYTES
from retrieval.encoders.video import BrokenVideo, frames_of

CHUNK_BYTES = 16_000_000
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif")
VIDEO_SUFFIXES = (".mp4", ".webm", ".mov", ".mkv")
MOST_PICTURES = 8  # of a product; MOST_VIDEOS likewise
MOST_VIDEOS = 2
MEDIA_TYPES = (
    (b"\xff\xd8", "image/jpeg"),
    (b"\x89PNG", "image/png"),
    (b"RIFF", "image/webp"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
)


class PictureTarget(NamedTuple):
    """A product that may have a picture: its id, its line, and the picture that its row names."""

    id: str
    line: int
    reference: str


class PictureIntake:
    """Validates pictures one by one and writes them in chunks."""

    def __init__(self, shop: ShopWriter, quality: Quality) -> None:
        self._shop = shop
        self._quality = quality
        self._waiting: list[dict[str, Any]] = []
        self._bytes = 0

    def take(self, source: str, wanted: PictureTarget, content: bytes) -> None:
        """Keep a picture that opens; count one that does not."""
        try:
            open_picture(content)
        except BrokenPicture as e:
            self.refuse(source, wanted, str(e))
            return
        media = next(media for magic, media in MEDIA_TYPES if content.startswith(magic))
        self._waiting.append({"id": wanted.id, "image": content, "media_type": media})
        self._bytes += len(content)
        self._quality.pictures += 1
        if self._bytes >= CHUNK_BYTES:
            self.flush()

    def refuse(self, source: str, wanted: PictureTarget, reason: str) -> None:
        """Count a picture that cannot be had; its product is kept."""
        self._quality.unreadable_images += 1
        self._quality.example(source, wanted.line, f"picture of {shown(wanted.id)}: {reason}")

    def take_video(self, source: str, wanted: PictureTarget, content: bytes) -> None:
        """Keep a video that opens; count one that does not."""
        try:
            frames_of(content, 1)
        except BrokenVideo as e:
            self.refuse_video(source, wanted, str(e))
            return
        self._shop.add_videos(pa.table({"id": [wanted.id], "video": pa.array([content])}))
        self._quality.videos += 1

    def refuse_video(self, source: str, wanted: PictureTarget, reason: str) -> None:
        """Count a video that cannot be had; its product is kept."""
        self._quality.unreadable_videos += 1
        self._quality.example(source, wanted.line, f"video of {shown(wanted.id)}: {reason}")

    def flush(self) -> None:
        """Write what is waiting."""
        if self._waiting:
            self._shop.add_pictures(pa.Table.from_pylist(self._waiting, PICTURE_SCHEMA))
        self._waiting, self._bytes = [], 0


def check_pictures(path: Path) -> None:
    """Refuse a place for pictures that is neither a folder nor a Parquet file."""
    if not path.exists():
        raise ShopError(f"{path}: there is no such folder or file of pictures")
    if not path.is_dir() and path.suffix.lower() != ".parquet":
        raise ShopError(f"{path} is neither a folder of pictures nor a Parquet file of them")


def take_files(
    intake: PictureIntake, source: str, folder: Path, product: dict[str, Any], line: int
) -> None:
    """Take a product's pictures and videos from a folder, at most MOST of each.

    The files are those that its `images` and `videos` name, in order. Without `images` they are
    named as the product's id: ID.jpg, then ID_1.jpg, ID_2.jpg and so on; without `videos`, ID.mp4.
    An address stands for the file of its last part, if the folder has it.
    """
    name = product["id"]
    named = [_as_file(folder, reference) for reference in product["images"][:MOST_PICTURES]]
    by_id = not any(map(_is_file_name, named)) and _named_as(folder, name, SUFFIXES)
    if by_id or not named:
        named = []
    for reference in named or [""]:
        take_file(intake, source, folder, PictureTarget(name, line, reference))
    for number in range(1, 1 if named else MOST_PICTURES):
        found = _named_as(folder, f"{name}_{number}", SUFFIXES)
        if not found:
            break
        take_file(intake, source, folder, PictureTarget(name, line, found))
    videos = list(product["videos"])[:MOST_VIDEOS]
    for reference in videos or filter(None, [_named_as(folder, name, VIDEO_SUFFIXES)]):
        take_video(intake, source, folder, PictureTarget(name, line, reference))


def take_video(intake: PictureIntake, source: str, folder: Path, wanted: PictureTarget) -> None:
    """Take the video that a row names; an address is text, and is never fetched."""
    if _is_address(wanted.reference):
        return
    try:
        with _inside(folder, wanted.reference).open("rb") as file:
            content = file.read(MAX_VIDEO_BYTES + 1)
    except (OSError, ValueError) as e:
        intake.refuse_video(source, wanted, str(e))
        return
    intake.take_video(source, wanted, content)


def take_file(intake: PictureIntake, source: str, folder: Path, wanted: PictureTarget) -> None:
    """Take a product's picture from a folder: the file its row names, or the one named as its id.

    Nothing outside the folder is opened, and no address is ever fetched.
    """
    if _is_address(wanted.reference):
        intake.refuse(source, wanted, f"{shown(wanted.reference)} is an address; none is fetched")
        return
    names = [wanted.reference] if wanted.reference else [wanted.id + end for end in SUFFIXES]
    try:
        paths = [_inside(folder, name) for name in names]
        found = next((path for path in paths if path.is_file()), None)
        if found is None:
            raise BrokenPicture(f"there is no file {shown(names[0])} in {folder}")
        with found.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as e:  # names too long or with NUL bytes are among them
        intake.refuse(source, wanted, str(e))
        return
    intake.take(source, wanted, content)


def take_parquet(
    intake: PictureIntake, path: Path, columns: PictureColumns, ids: set[str]
) -> Iterator[None]:
    """Take the first MOST_PICTURES of each of these products; yield once a row, for progress."""
    rows = open_rows(path)
    check_columns(path, rows, fields_of(columns), required=("id", "image"))
    left = dict.fromkeys(ids, MOST_PICTURES)
    for row in rows.rows:
        product_id = str(row.values[columns.id])
        content = row.values[columns.image]
        if left.get(product_id):
            left[product_id] -= 1
            wanted = PictureTarget(product_id, row.line, "")
            if isinstance(content, bytes):
                intake.take(str(path), wanted, content)
            else:
                intake.refuse(str(path), wanted, f"expected bytes, got {shown(content)}")
        yield None


def _is_address(reference: str) -> bool:
    return "://" in reference or reference.startswith("//")


def _is_file_name(reference: str) -> bool:
    return bool(reference) and not _is_address(reference)


def _as_file(folder: Path, reference: str) -> str:
    """Return the file that the folder has of an address; otherwise the reference as it is."""
    if not _is_address(reference):
        return reference
    try:
        last = unquote(urlsplit(reference).path).rpartition("/")[2]
        return last if last and _inside(folder, last).is_file() else reference
    except (OSError, ValueError):
        return reference


def _named_as(folder: Path, name: str, suffixes: tuple[str, ...]) -> str:
    """Return the file in the folder with this name and one of these endings, or ""."""
    try:
        found = (name + end for end in suffixes if _inside(folder, name + end).is_file())
        return next(found, "")
    except (OSError, ValueError):
        return ""


def _inside(folder: Path, name: str) -> Path:
    root = folder.resolve()
    path = (root / name).resolve()
    if Path(name).is_absolute() or not path.is_relative_to(root):
        raise BrokenPicture(f"{shown(name)} lies outside {folder}")
    return path
