"""Measures the served release beside simple baselines, on shoppers drawn by a seed."""

from time import monotonic

import msgspec
import numpy as np

from pipelines.config.loading import moment
from pipelines.config.sections import not_hidden
from pipelines.demo.plan import UNTIL, DemoFolder, load_journey
from pipelines.engine.engine import Engine
from pipelines.evaluation.baseline_table import holdout_table
from pipelines.evaluation.baseline_table import measure as measure_rankings
from pipelines.evaluation.baselines import BASELINES, rank_by_baselines
from pipelines.evaluation.evaluate import MeasuredRun
from pipelines.evaluation.next_basket import Holdout, hold_out, judged, rank_by_release
from pipelines.metrics import ranked_lists
from pipelines.progress import Track
from pipelines.release.parts import open_parts
from pipelines.release.store import current
from pipelines.reports.evidence import Evidence, ReleaseHistory, ReportedRequest, release_history
from pipelines.reports.output import NAME as REPORT
from pipelines.reports.report import findings, measured, write_page
from pipelines.shop.reader import Shop

MOST_SECONDS = 25.0  # of ranking for shoppers, of a minute in all; a sample where all take longer
LEAST_SHOPPERS = 200  # however long they take
PROBED = 50  # shoppers, on whom it is seen how long one takes


class MeasuredTable(msgspec.Struct, frozen=True):
    """The table of a measurement, and the release that it is of."""

    release: str
    table: str


def is_measured(folder: DemoFolder) -> bool:
    """Tell whether the served release was measured, and its report is there."""
    return measured_table(folder) is not None


def measured_table(folder: DemoFolder) -> str | None:
    """Return the table of the served release; None where it was not measured."""
    try:
        stored = msgspec.json.decode(folder.measured.read_bytes(), type=MeasuredTable)
    except (OSError, msgspec.DecodeError):
        return None
    reported = folder.measured.with_name(REPORT).is_file()
    same = stored.release == current(folder.releases)
    return stored.table if same and reported else None


def measure_served(folder: DemoFolder, track: Track) -> str:
    """Return the table of the served release against simple baselines.

    Beside it lies a page that sets the release against the strongest of them, in slices.
    """
    name = current(folder.releases)
    engine, parts = Engine.open(folder.releases, name), open_parts(folder.releases / name)
    config = load_journey(folder)
    shown = parts.products.allowed(not_hidden(config))
    whole = hold_out(Shop(folder.shop), parts.products, shown, moment(UNTIL))
    ranked, sample = rank_in_time(whole, engine, track, config.seed)
    rankings = rank_by_baselines(sample, parts.behaviour, parts.products)
    rankings["vetrina"] = ranked
    history = release_history(name, parts.products, parts.behaviour)
    found = evidence(rankings, sample, history)
    write_page(findings(found, measured(found)), folder.measured.with_name(REPORT))
    table = holdout_table(measure_rankings(rankings, sample), sample)
    table += sample_note(sample, whole, config.seed)
    folder.measured.write_bytes(msgspec.json.encode(MeasuredTable(name, table)))
    return table


def rank_in_time(
    whole: Holdout, engine: Engine, track: Track, seed: int
) -> tuple[dict[str, list[str]], Holdout]:
    """Return the release's rankings, and the holdout of the shoppers who were asked for.

    These are all of them, or as many as MOST_SECONDS are enough for, drawn by the seed; how long
    one takes is seen on the first PROBED.
    """
    order = np.random.default_rng(seed).permutation(len(whole.tests)).tolist()
    drawn = whole._replace(tests=tuple(whole.tests[place] for place in order))
    start = monotonic()
    rankings = rank_by_release(_first(drawn, PROBED), engine, track)
    affordable = round(PROBED * MOST_SECONDS / max(monotonic() - start, 1e-9))
    sample = _first(drawn, max(affordable, LEAST_SHOPPERS))
    rest = sample._replace(tests=sample.tests[PROBED:])
    if rest.tests:
        rankings |= rank_by_release(rest, engine, track)
    return rankings, sample


def sample_note(sample: Holdout, whole: Holdout, seed: int) -> str:
    """Say that a table is of a sample; "" where it is of all shoppers."""
    if len(sample.tests) == len(whole.tests):
        return ""
    return (
        f"; a sample of {len(whole.tests):,} shoppers, drawn with the seed {seed}, because all "
        f"would take longer than {MOST_SECONDS:.0f} s here"
    )


def evidence(
    rankings: dict[str, dict[str, list[str]]], sample: Holdout, seen: ReleaseHistory
) -> Evidence:
    """Return what a report on the release beside plain personal frequency is made of."""
    gains = dict(sorted(judged(sample).items()))
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
                num_candidates=len(sample.product_ids),
            )
            for test in sample.tests
        },
        history=seen,
    )


def _first(sample: Holdout, count: int) -> Holdout:
    return sample._replace(tests=sample.tests[:count])
