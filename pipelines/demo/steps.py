"""The steps of the demo, in order: import, then each release and what it needs, then measure."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from pipelines.building.build import build
from pipelines.config.loading import moment
from pipelines.demo.measurement import is_measured, measure_served, measured_table
from pipelines.demo.plan import (
    RELEASES,
    UNTIL,
    DemoFolder,
    built_releases,
    load_journey,
    next_release,
    served_release,
)
from pipelines.demo.status import StatusWriter
from pipelines.importers.journey.importer import import_journey
from pipelines.progress import Track, working
from pipelines.release.manifest import read_manifest
from pipelines.release.tables import quality_table, verdict_table
from pipelines.release.verdict import UnfitDraft
from pipelines.reports.output import NAME as REPORT
from pipelines.training.clip.train import already_trained, train_clip

Say = Callable[[str], None]

# About how long each step takes alone on two cores with AVX2, for the time that is left.
IMPORT_SECONDS = 35.0
TRAIN_SECONDS = 60.0
BUILD_SECONDS = (75.0, 60.0, 240.0)  # of each release
MEASURE_SECONDS = 70.0


class DemoStep(NamedTuple):
    """Something to do, and about how long it takes; `run` returns what to say about it."""

    label: str
    seconds: float
    run: Callable[[Track, StatusWriter], str]


def run_steps(
    folder: DemoFolder, track: Track, say: Say, when_served: Callable[[], None] = lambda: None
) -> None:
    """Do what is left of the demo, and call `when_served` after a first release is served.

    A release that the gate keeps dark is told of, and the next one is built; the first one that
    is kept dark, with nothing else to serve, is an UnfitDraft.
    """
    steps = steps_left(folder)
    if not steps:
        say(closing_words(folder))
        return
    status = StatusWriter(folder.releases, built_releases(folder))
    waiting = True
    with status.beating():
        for place, step in enumerate(steps):
            if waiting and served_release(folder):
                waiting = False
                when_served()
            say(f"step {place + 1} of {len(steps)}: {step.label}")
            ahead = sum(one.seconds for one in steps[place + 1 :])
            with status.during(step.label, step.seconds, ahead), working(step.label, track):
                say(step.run(track, status))


def steps_left(folder: DemoFolder) -> list[DemoStep]:
    """Return the steps that were not done before; none where everything is there."""
    steps = []
    if not (folder.shop / "shop.json").is_file():
        steps.append(DemoStep("import the shop", IMPORT_SECONDS, partial(import_shop, folder)))
    todo = range(next_release(folder, built_releases(folder)), len(RELEASES))
    untrained = not has_picture_model(folder)
    for place in todo:
        if RELEASES[place].with_pictures and untrained:
            untrained = False
            train = partial(train_pictures, folder)
            steps.append(DemoStep("train the picture model", TRAIN_SECONDS, train))
        label = f"build release {place + 1} of {len(RELEASES)}: {', '.join(RELEASES[place].adds)}"
        steps.append(DemoStep(label, BUILD_SECONDS[place], partial(build_release, folder, place)))
    if steps or not is_measured(folder):
        steps.append(DemoStep("measure", MEASURE_SECONDS, partial(measure, folder)))
    return steps


def import_shop(folder: DemoFolder, track: Track, _: StatusWriter) -> str:
    """Import The Complete Journey."""
    return import_journey(folder.shop, track).table()


def has_picture_model(folder: DemoFolder) -> bool:
    """Tell whether the picture model was trained on this shop with these settings."""
    config = load_journey(folder)
    if not (folder.shop / "shop.json").is_file():
        return False
    return already_trained(folder.shop, folder.clip, config.clip, seed=config.seed)


def train_pictures(folder: DemoFolder, track: Track, _: StatusWriter) -> str:
    """Train the small open_clip model on the drawn pack shots."""
    config = load_journey(folder)
    report = train_clip(
        folder.shop,
        folder.clip,
        config.clip,
        track,
        seed=config.seed,
        threads=config.threads,
    )
    return report.line()


def build_release(folder: DemoFolder, place: int, track: Track, status: StatusWriter) -> str:
    """Build one release of the plan as of UNTIL; return its figures, or why it stays dark."""
    config = load_journey(folder, RELEASES[place])
    try:
        name = build(folder.shop, folder.releases, config, moment(UNTIL), track)
    except UnfitDraft as e:
        if not served_release(folder):
            raise
        status.add_release(place, e.name, dark=True)
        return f"{verdict_table(e.verdict)}\n{e}"
    status.add_release(place, name, dark=False)
    return quality_table(read_manifest(folder.releases / name))


def measure(folder: DemoFolder, track: Track, _: StatusWriter) -> str:
    """Measure the served release beside simple baselines."""
    measure_served(folder, track)
    return closing_words(folder)


def closing_words(folder: DemoFolder) -> str:
    """Return the table of the served release, and where the rest is told."""
    report = folder.measured.with_name(REPORT)
    return f"{measured_table(folder)}\nslices and the worst queries: {report}"
