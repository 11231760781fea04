"""The releases of the demo, one better than the other, and where its files lie."""

from pathlib import Path
from typing import NamedTuple

from pipelines.building.build import describe
from pipelines.config.loading import load, moment
from pipelines.config.sections import Config
from pipelines.errors import ReleaseError
from pipelines.release.manifest import Manifest, config_of, read_manifest
from pipelines.release.store import current, names
from pipelines.shop.place import with_place
from pipelines.shop.reader import Shop

UNTIL = "2017-11-15"
CONFIGS = (
    Path(__file__).parents[1] / "_configs/journey.yaml",  # in a wheel
    Path(__file__).parents[2] / "configs/journey.yaml",  # in a checkout
)
SYNONYMS = "synonyms/groceries.txt"  # beside the configuration


class DemoFolder(NamedTuple):
    """The folder of the demo, and the places in it."""

    path: Path

    @property
    def shop(self) -> Path:
        """Return the shop folder."""
        return self.path / "shop"

    @property
    def releases(self) -> Path:
        """Return the folder of releases."""
        return self.path / "releases"

    @property
    def clip(self) -> Path:
        """Return the picture model that the demo trains."""
        return self.path / "clip"

    @property
    def measured(self) -> Path:
        """Return the file of the table of the last measurement."""
        return self.path / "measured.json"


class DemoRelease(NamedTuple):
    """What a release adds to the one before it, and the settings that leave out the rest."""

    adds: tuple[str, ...]
    overrides: tuple[str, ...]
    with_pictures: bool = True


RELEASES = (
    DemoRelease(
        ("words", "meaning", "habits"),
        (
            "towers.train=false",
            "ranking.train=false",
            "index.kind=flat",
            "retrieval.fit_weights=false",
        ),
        with_pictures=False,
    ),
    DemoRelease(
        ("pictures",),
        ("towers.train=false", "ranking.train=false", "retrieval.fit_weights=false"),
    ),
    DemoRelease(("towers", "ranker"), ("gate.most_latency=20",)),  # those before it rank nothing
)


def load_journey(folder: DemoFolder, release: DemoRelease = RELEASES[-1]) -> Config:
    """Return the configuration of one release of the demo, by default of the last."""
    image = [f"encoders.image.model={folder.clip.absolute()}"] if release.with_pictures else []
    path = next(path for path in CONFIGS if path.exists())
    synonyms = path.parent / SYNONYMS
    words = [f"retrieval.synonyms={synonyms.absolute()}"] if synonyms.is_file() else []
    return load(path, [*words, *image, *release.overrides])


def built_releases(folder: DemoFolder) -> list[Manifest | None]:
    """Return the newest build of each release of this shop and configuration, dark or not."""
    if not (folder.shop / "shop.json").is_file():
        return [None] * len(RELEASES)
    opened = Shop(folder.shop)
    shop = describe(opened)
    manifests = [
        manifest
        for name in names(folder.releases)
        if (manifest := _read(folder.releases / name)) is not None
        and manifest.shop == shop
        and manifest.until == moment(UNTIL).isoformat()
    ]
    configs = [with_place(load_journey(folder, one), opened.meta) for one in RELEASES]
    return [
        next((one for one in manifests if _built_with(one) == config), None) for config in configs
    ]


def served_release(folder: DemoFolder) -> str:
    """Return the name of the release that can be served now; "" where there is none."""
    try:
        return read_manifest(folder.releases / current(folder.releases)).name
    except ReleaseError:
        return ""


def next_release(folder: DemoFolder, built: list[Manifest | None]) -> int:
    """Return the place of the first release that is still to be built.

    Where a release of another plan is served, the last one is built at once: what adds less than
    the served release would not pass the gate.
    """
    done = [place for place, manifest in enumerate(built) if manifest is not None]
    if done:
        return done[-1] + 1
    return len(RELEASES) - 1 if served_release(folder) else 0


def _read(path: Path) -> Manifest | None:
    try:
        return read_manifest(path)
    except ReleaseError:
        return None


def _built_with(manifest: Manifest) -> Config | None:
    try:
        return config_of(manifest)
    except ReleaseError:
        return None
