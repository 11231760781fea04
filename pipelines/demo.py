"""The demo from nothing to a shop that answers: each step is left out where it was done before."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from pipelines.building.build import build, describe
from pipelines.config.loading import load, moment
from pipelines.config.sections import Config, not_hidden
from pipelines.engine.engine import Engine
from pipelines.errors import ReleaseError
from pipelines.evaluation.baseline_table import holdout_table, measure
from pipelines.evaluation.baselines import BASELINES, rank_by_baselines
from pipelines.evaluation.evaluate import MeasuredRun
from pipelines.evaluation.next_basket import Holdout, hold_out, judged, rank_by_release
from pipelines.importers.journey.importer import import_journey
from pipelines.metrics import ranked_lists
from pipelines.progress import Track
from pipelines.release.manifest import config_of, read_manifest
from pipelines.release.parts import open_parts
from pipelines.release.store import current as current_name
from pipelines.release.tables import quality_table
from pipelines.reports.evidence import Evidence, ReleaseHistory, ReportedRequest, release_history
from pipelines.reports.output import NAME as REPORT
from pipelines.reports.report import findings, measured, write_page
from pipelines.shop.reader import Shop
from pipelines.training.clip.train import already_trained, train_clip

UNTIL = "2017-11-15"
CONFIGS = (
    Path(__file__).parent / "_configs/journey.yaml",  # in a wheel
    Path(__file__).parent.parent / "configs/journey.yaml",  # in a checkout
)

Say = Callable[[str], None]


def prepare(folder: Path, track: Track, say: Say) -> tuple[Config, Path]:
    """Import, train, build and measure, as far as it was not done; return what to serve."""
    config = load_journey(folder)
    shop, releases = folder / "shop", folder / "releases"
    import_shop(shop, track, say)
    train_pictures(shop, folder / "clip", config, track, say)
    build_release(shop, releases, config, track, say)
    say(measurement(shop, releases, folder / "measured.json", track))
    say(f"slices and the worst queries: {folder / REPORT}")
    return config, releases


def load_journey(folder: Path) -> Config:
    """Return the configuration of the demo, with the picture model that it trains."""
    return load(
        next(path for path in CONFIGS if path.exists()),
        [f"encoders.image.model={folder.absolute() / 'clip'}"],
    )


def import_shop(shop: Path, track: Track, say: Say) -> None:
    """Import The Complete Journey, unless it is there."""
    if (shop / "shop.json").is_file():
        say(f"{shop}: imported before")
        return
    say(import_journey(shop, track).table())


def train_pictures(shop: Path, out: Path, config: Config, track: Track, say: Say) -> None:
    """Train the small open_clip model on the drawn pack shots, unless it was."""
    if already_trained(shop, out, config.clip, seed=config.seed):
        say(f"{out}: trained before")
        return
    say(train_clip(shop, out, config.clip, track, seed=config.seed, threads=config.threads).line())


def build_release(shop: Path, releases: Path, config: Config, track: Track, say: Say) -> None:
    """Build a release as of UNTIL, unless the current one is of this shop and configuration."""
    if is_current(shop, releases, config):
        say(f"{releases}: built before")
        return
    name = build(shop, releases, config, moment(UNTIL), track)
    say(quality_table(read_manifest(releases / name)))


def is_current(shop: Path, releases: Path, config: Config) -> bool:
    """Tell whether the current release is what a build would make."""
    try:
        manifest = read_manifest(releases / current_name(releases))
        built_with = config_of(manifest)
    except ReleaseError:
        return False
    return (
        built_with == config
        and manifest.shop == describe(Shop(shop))
        and manifest.until == moment(UNTIL).isoformat()
    )


class MeasuredTable(msgspec.Struct, frozen=True):
    """The table of a measurement, and the release that it is of."""

    release: str
    table: str


def evidence(
    rankings: dict[str, dict[str, list[str]]], held: Holdout, seen: ReleaseHistory
) -> Evidence:
    """Return what a report on the release beside plain personal frequency is made of."""
    gains = dict(sorted(judged(held).items()))
    return Evidence(
        gains=gains,
        runs={
            name: MeasuredRun(rankings[name], ranked_lists.measure(rankings[name], gains))
            for name in ("vetrina", BASELINES[-1])
        },
        asked={
            test.user_id: ReportedRequest(
                user=test.user_id,
                at=test.at.isoformat(),
                num_candidates=len(held.product_ids),
            )
            for test in held.tests
        },
        history=seen,
    )


def measurement(shop: Path, releases: Path, file: Path, track: Track) -> str:
    """Return the table of the release against simple baselines; measured once a release.

    Beside it lies a page that sets the release against the strongest of them, in slices.
    """
    name, page = current_name(releases), file.with_name(REPORT)
    try:
        remembered = msgspec.json.decode(file.read_bytes(), type=MeasuredTable)
        if remembered.release == name and page.is_file():
            return remembered.table
    except (OSError, msgspec.DecodeError):
        pass  # not measured yet
    engine = Engine.open(releases, name)
    release = open_parts(releases / name)
    shown = release.products.allowed(not_hidden(load_journey(file.parent)))
    held = hold_out(Shop(shop), release.products, shown, moment(UNTIL))
    rankings = rank_by_baselines(held, release.behaviour, release.products)
    rankings["vetrina"] = rank_by_release(held, engine, track)
    seen = release_history(name, release.products, release.behaviour)
    told = evidence(rankings, held, seen)
    write_page(findings(told, measured(told)), page)
    found = holdout_table(measure(rankings, held), held)
    file.write_bytes(msgspec.json.encode(MeasuredTable(name, found)))
    return found
