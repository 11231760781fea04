"""Opens the parts of a verified release, memory-mapped."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from jaxtyping import Float32, Int32

from index import (
    Columns,
    Completions,
    DamagedIndex,
    LexicalIndex,
    SynonymError,
    VectorIndex,
    map_array,
)
from pipelines.errors import ReleaseError, opening
from pipelines.release.layout import (
    BEHAVIOUR,
    COMPLETIONS,
    JOINED,
    KINDS,
    LEXICAL,
    PICTURE,
    PICTURE_OF,
    PICTURES,
    PRICES,
    PRODUCT_CATEGORIES,
    PRODUCTS,
    PROMOTIONS,
    RANKER,
    REQUEST_KINDS,
    SCALES,
    TOWER_VECTORS,
    TOWERS,
    USERS,
    WEIGHTS,
    WORDS,
    content_of,
    vectors_of,
)
from pipelines.release.vector_indexes import open_space
from ranking.features.catalogue_words import CatalogueWords
from ranking.features.definitions import Catalogue
from ranking.ranker import Ranker, UnknownRanker
from ranking.runtimes.types import IN_TORCH, RuntimeSettings
from retrieval.behaviour.cold_start import Content
from retrieval.behaviour.promotions import open_promotions
from retrieval.behaviour.tables import Behaviour
from retrieval.towers.query_network import QueryNetwork
from retrieval.towers.shape import UnknownTowers


@dataclass(frozen=True)
class ReleaseTowers:
    """The towers of a release, with the vectors that they gave its products."""

    folder: Path
    vectors: Float32[np.ndarray, "n d"]
    nearest: VectorIndex
    request_kinds: tuple[str, ...]  # where they were measured to help: SEARCH, RECOMMENDATION

    @cached_property
    def query(self) -> QueryNetwork:
        """The query tower, opened for the first request that it reads."""
        try:
            return QueryNetwork.open(self.folder)
        except UnknownTowers as e:
            raise ReleaseError(f"{self.folder} cannot be opened: {e}") from None


class Parts(NamedTuple):
    """The memory-mapped columns and indexes of one release."""

    products: Columns
    users: Columns
    joined_vectors: Float32[np.ndarray, "n d"]
    joined_index: VectorIndex
    picture_vectors: Float32[np.ndarray, "n p"] | None
    picture_index: VectorIndex | None
    lexical: LexicalIndex
    completions: Completions | None  # None: of an older build, or not written yet
    behaviour: Behaviour
    content: Content  # what products look like that were new in the windows
    weights: dict[str, float] | None  # None: not written yet
    scales: dict[str, float] | None  # of channels that are fused by score; None: not written yet
    kinds: Int32[np.ndarray, "n"] | None  # a number a kind of product; None: of an older build
    catalogue: Catalogue
    trained: ReleaseTowers | None  # None: no towers


class Album(NamedTuple):
    """The pictures of a release, equal ones kept once."""

    pictures: Columns
    picture_of: Int32[np.ndarray, "n"]  # row of each product's picture; -1 where it has none


def open_parts(folder: Path) -> Parts:
    """Map the files of one release folder; the caller has checked them."""
    joined = map_array(folder / vectors_of(JOINED))
    picture_file = folder / vectors_of(PICTURE)
    picture = map_array(picture_file) if picture_file.exists() else None
    try:
        return Parts(
            products=Columns.open(folder / PRODUCTS),
            users=Columns.open(folder / USERS),
            joined_vectors=joined,
            joined_index=open_space(folder, JOINED, joined),
            picture_vectors=picture,
            picture_index=None if picture is None else open_space(folder, PICTURE, picture),
            lexical=LexicalIndex.open(folder / LEXICAL),
            completions=_completions(folder / COMPLETIONS),
            behaviour=Behaviour.open(folder / BEHAVIOUR),
            content=Content(*(map_array(folder / content_of(n)) for n in Content._fields)),
            weights=_numbers(folder / WEIGHTS),
            scales=_numbers(folder / SCALES),
            kinds=map_array(folder / KINDS) if (folder / KINDS).exists() else None,
            catalogue=Catalogue(
                map_array(folder / PRODUCT_CATEGORIES),
                map_array(folder / PRICES),
                open_promotions(folder / PROMOTIONS),
                CatalogueWords.open(folder / WORDS) if (folder / WORDS).exists() else None,
            ),
            trained=_trained(folder),
        )
    except (DamagedIndex, SynonymError) as e:
        raise ReleaseError(f"release {folder.name} cannot be opened: {e}") from None


def open_album(folder: Path) -> Album:
    """Map the pictures of one release folder."""
    return Album(Columns.open(folder / PICTURES), map_array(folder / PICTURE_OF))


def open_ranker(folder: Path, how: RuntimeSettings = IN_TORCH) -> Ranker | None:
    """Open the ranker of a release folder, or return None where none was trained."""
    if not (folder / RANKER).is_dir():
        return None
    try:
        with opening(f"release {folder.name}: its ranker"):
            return Ranker.open(folder / RANKER, how)
    except UnknownRanker as e:
        raise ReleaseError(f"release {folder.name}: {e}") from None


def save_request_kinds(folder: Path, request_kinds: tuple[str, ...]) -> None:
    """Write where the towers of a release folder are asked, in place of what it said before."""
    path = folder / REQUEST_KINDS
    path.unlink(missing_ok=True)  # a study shares its files between folders
    path.write_bytes(msgspec.json.encode(request_kinds))


def _trained(folder: Path) -> ReleaseTowers | None:
    if not (folder / REQUEST_KINDS).exists():
        return None
    vectors = map_array(folder / TOWER_VECTORS)
    return ReleaseTowers(
        folder / TOWERS,
        vectors,
        open_space(folder, TOWERS, vectors),
        msgspec.json.decode((folder / REQUEST_KINDS).read_bytes(), type=tuple[str, ...]),
    )


def _completions(folder: Path) -> Completions | None:
    return Completions.open(folder) if folder.is_dir() else None


def _numbers(path: Path) -> dict[str, float] | None:
    if not path.exists():
        return None
    numbers: dict[str, float] = msgspec.json.decode(path.read_bytes())
    return numbers
