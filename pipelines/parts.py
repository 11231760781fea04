"""Opens what a verified release holds, and puts the stages together from it."""

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
from pipelines.config import Config
from pipelines.elsewhere import open_space
from pipelines.errors import ReleaseError
from ranking.catalogue_words import CatalogueWords
from ranking.features import Catalogue
from ranking.opening import How
from ranking.ranker import IN_TORCH, Ranker, UnknownRanker
from retrieval.behaviour import Behaviour, BehaviourSettings
from retrieval.channels.habit import (
    EaseChannel,
    KindChannel,
    NextChannel,
    RepeatChannel,
    SeasonChannel,
    TogetherChannel,
    TrendingChannel,
)
from retrieval.channels.image import ImageChannel
from retrieval.channels.lexical import LexicalChannel
from retrieval.channels.semantic import SemanticChannel
from retrieval.channels.towers import TowersChannel
from retrieval.cold_start import Content
from retrieval.ease import EaseSettings
from retrieval.promotions import open_promotions
from retrieval.retriever import Channel, Retriever
from retrieval.towers.model import Towers, UnknownTowers

SEARCHING = ("semantic", "lexical", "image", "towers")
RECOMMENDING = ("towers", "repeat", "ease", "together", "next", "season", "kind", "trending")
BEHAVIOUR = "behaviour"
CONTENT = "behaviour/content_{}.npy"
WEIGHTS = "behaviour/weights.json"
SCALES = "behaviour/scales.json"
KINDS = "catalogue/kinds.npy"
PROMOTIONS = "promotions"
WORDS = "words"
TOWERS = "towers"
COMPLETIONS = "completions"
WINDOWS = "windows.json"


SEARCH, RECOMMENDATION = "search", "recommendation"


class Trained(NamedTuple):
    """The towers of a release, with the vectors that they gave its products."""

    towers: Towers
    vectors: Float32[np.ndarray, "n d"]
    nearest: VectorIndex
    windows: tuple[str, ...]  # where they were measured to help: SEARCH, RECOMMENDATION


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
    trained: Trained | None  # None: no towers


class Album(NamedTuple):
    """The pictures of a release, equal ones kept once."""

    pictures: Columns
    picture_of: Int32[np.ndarray, "n"]  # row of each product's picture; -1 where it has none


def open_parts(folder: Path) -> Parts:
    """Map the files of one release folder; the caller has checked them."""
    joined = map_array(folder / "vectors/joined.npy")
    picture_file = folder / "vectors/picture.npy"
    picture = map_array(picture_file) if picture_file.exists() else None
    try:
        return Parts(
            products=Columns.open(folder / "products.arrow"),
            users=Columns.open(folder / "users.arrow"),
            joined_vectors=joined,
            joined_index=open_space(folder, "joined", joined),
            picture_vectors=picture,
            picture_index=None if picture is None else open_space(folder, "picture", picture),
            lexical=LexicalIndex.open(folder / "lexical"),
            completions=_completions(folder / COMPLETIONS),
            behaviour=Behaviour.open(folder / BEHAVIOUR),
            content=Content(*(map_array(folder / CONTENT.format(n)) for n in Content._fields)),
            weights=_numbers(folder / WEIGHTS),
            scales=_numbers(folder / SCALES),
            kinds=map_array(folder / KINDS) if (folder / KINDS).exists() else None,
            catalogue=Catalogue(
                map_array(folder / "catalogue/categories.npy"),
                map_array(folder / "catalogue/prices.npy"),
                open_promotions(folder / PROMOTIONS),
                CatalogueWords.open(folder / WORDS) if (folder / WORDS).exists() else None,
            ),
            trained=_trained(folder),
        )
    except (DamagedIndex, SynonymError, UnknownTowers) as e:
        raise ReleaseError(f"release {folder.name} cannot be opened: {e}") from None


def open_album(folder: Path) -> Album:
    """Map the pictures of one release folder."""
    return Album(
        Columns.open(folder / "pictures.arrow"), map_array(folder / "catalogue/picture_of.npy")
    )


def open_ranker(folder: Path, how: How = IN_TORCH) -> Ranker | None:
    """Open the ranker of a release folder, or return None where none was trained."""
    if not (folder / "ranker").is_dir():
        return None
    try:
        return Ranker.open(folder / "ranker", how)
    except UnknownRanker as e:
        raise ReleaseError(f"release {folder.name}: {e}") from None


def retriever(parts: Parts, behaviour: Behaviour, config: Config) -> Retriever:
    """Return the first stage over these parts, with habits as of `behaviour`."""
    channels: dict[str, Channel] = {
        "semantic": SemanticChannel(parts.joined_index, parts.joined_vectors),
        "lexical": LexicalChannel(parts.lexical),
        "repeat": RepeatChannel(behaviour, config.retrieval.half_life_days),
        "ease": EaseChannel(behaviour),
        "together": TogetherChannel(behaviour),
        "next": NextChannel(behaviour),
        "season": SeasonChannel(behaviour),
        "trending": TrendingChannel(behaviour),
    }
    if parts.kinds is not None:
        channels["kind"] = KindChannel(behaviour, parts.kinds)
    if parts.picture_index is not None and parts.picture_vectors is not None:
        channels["image"] = ImageChannel(parts.picture_index, parts.picture_vectors)
    windows: tuple[str, ...] = ()
    if parts.trained is not None:
        channels["towers"] = TowersChannel(
            parts.trained.nearest, parts.trained.vectors, parts.trained.towers.shape.temperature
        )
        windows = parts.trained.windows
    on = [name for name in config.retrieval.channels if name in channels]
    searching = [name for name in on if name in SEARCHING]
    recommending = [name for name in on if name in RECOMMENDING]
    return Retriever(
        [channels[n] for n in searching if n != "towers" or SEARCH in windows],
        [channels[n] for n in recommending if n != "towers" or RECOMMENDATION in windows],
        per_channel=config.retrieval.per_channel,
        rrf_k=config.retrieval.rrf_k,
        weights=parts.weights or msgspec.to_builtins(config.retrieval.weights),
        scales=parts.scales,
        fusion=config.retrieval.fusion,
    )


def behaviour_settings(config: Config) -> BehaviourSettings:
    """Return what is learned from purchases: the tables of the channels that are on."""
    settings = config.behaviour
    return BehaviourSettings(
        neighbours=settings.neighbours,
        ease=EaseSettings(
            regularisation=settings.ease_lambda,
            neighbours=settings.ease_neighbours,
            products=settings.ease_products,
            half_life_days=settings.ease_half_life_days,
            max_memory_mb=settings.max_memory_mb,
        ),
        max_memory_mb=settings.max_memory_mb,
        tables=config.retrieval.channels,
    )


def save_windows(folder: Path, windows: tuple[str, ...]) -> None:
    """Write where the towers of a release folder are asked, in place of what it said before."""
    path = folder / TOWERS / WINDOWS
    path.unlink(missing_ok=True)  # a study shares its files between folders
    path.write_bytes(msgspec.json.encode(windows))


def _trained(folder: Path) -> Trained | None:
    if not (folder / TOWERS / WINDOWS).exists():
        return None
    vectors = map_array(folder / TOWERS / "vectors.npy")
    return Trained(
        Towers.open(folder / TOWERS),
        vectors,
        open_space(folder, "towers", vectors),
        msgspec.json.decode((folder / TOWERS / WINDOWS).read_bytes(), type=tuple[str, ...]),
    )


def _completions(folder: Path) -> Completions | None:
    return Completions.open(folder) if folder.is_dir() else None


def _numbers(path: Path) -> dict[str, float] | None:
    if not path.exists():
        return None
    numbers: dict[str, float] = msgspec.json.decode(path.read_bytes())
    return numbers


def kinds_of(products: Columns) -> Int32[np.ndarray, "n"]:
    """Number the kinds of products: the whole first category path, and the brand."""
    paths, brands = products.column("categories"), products.column("brand")
    names = [
        f"{path[0] if path else ''}\0{brand or ''}"
        for path, brand in zip(paths, brands, strict=True)
    ]
    codes = np.unique(np.asarray(names, dtype=str), return_inverse=True)[1]
    return codes.astype(np.int32)


def category_names(products: Columns) -> list[str]:
    """Return the category of each product, two levels deep; "" where it has none."""
    paths = products.column("categories")
    return [" > ".join(path[0].split(" > ")[:2]) if path else "" for path in paths]


def categories_and_prices(products: Columns) -> Catalogue:
    """Number the categories in the order of their names, and read the prices; 0: there is none."""
    codes = np.unique(np.asarray(category_names(products), dtype=str), return_inverse=True)[1]
    prices = np.nan_to_num(np.asarray(products.column("price"), np.float32))
    return Catalogue(codes.astype(np.int32), prices)
