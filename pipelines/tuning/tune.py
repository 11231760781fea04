"""Tunes a configuration on a shop's own next baskets: the trials from first to last."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import msgspec
import numpy as np
from filelock import Timeout

from index import Columns, IndexFault
from pipelines.config.sections import Config, not_hidden
from pipelines.durable.locks import lock_file
from pipelines.engine.engine import Engine
from pipelines.errors import TuningError, UserError
from pipelines.evaluation.next_basket import hold_out
from pipelines.progress import Track
from pipelines.release.layout import PRODUCTS
from pipelines.shop.reader import Shop
from pipelines.tuning.objective import Measure, ShopperSplit, chunks, judge, split_shoppers
from pipelines.tuning.ranges import Range, changed, read_ranges, value_of
from pipelines.tuning.report import TuningReport, report, write_report
from pipelines.tuning.study import FinishedTrial, State, Study, Trial, TrialOutcome
from pipelines.tuning.trial_builds import RANKING, RETRIEVAL, TrialBuilder

JOURNAL = "journal.jsonl"
LOCK = ".lock"
WORK = "work"
EMBEDDINGS = "embeddings"
FAILURES = 5  # at the start, with nothing but failures: the others would fail too
REPEATS = 20  # trials in a row of settings that were tried before: the ranges hold nothing new

FIGURES = 1  # raised where the same settings would be measured otherwise

Say = Callable[[str], None]


class Budget(NamedTuple):
    """The budget of a run: a number of trials in all, or seconds after which no trial begins."""

    trials: int
    seconds: float | None = None


class TuningJob(NamedTuple):
    """What is tuned, on what, and where the study is written."""

    shop_folder: Path
    ranges_file: Path
    out: Path
    config: Config
    until: datetime  # the builds of the trials have seen nothing at or after it
    measure: Measure

    @property
    def tried_config(self) -> Config:
        """The configuration of the trials: a measure of retrieval alone needs no ranker."""
        ranks = self.measure.ranks
        return self.config if ranks else changed(self.config, {"ranking.train": False})


def tune(job: TuningJob, budget: Budget, *, track: Track, say: Say) -> TuningReport:
    """Try settings from the ranges, write down what they reach, and return it.

    A study that was stopped, by its budget or by a hand, goes on where it was.
    """
    end = monotonic() + budget.seconds if budget.seconds is not None else np.inf
    ranges = read_ranges(job.ranges_file, job.tried_config)
    with _alone(job.out):
        study = Study(job.out / JOURNAL, ranges, _made_from(job, ranges), job.config.seed)
        if len(study.tried) < budget.trials:
            with _trial_measurer(job, track) as measurer:
                _try_until(budget.trials, end, study, measurer, say)
        result = report(study, job.config, job.measure)
        write_report(result, ranges, job.out)
    return result


def _try_until(trials: int, end: float, study: Study, measurer: "_TrialMeasurer", say: Say) -> None:
    """Try until there are so many trials, the time is over, or more would bring nothing."""
    given = {key: value_of(measurer.config, key) for key in study.ranges}
    try:
        while len(study.tried) < trials and monotonic() < end and not _vain(study):
            tried = _try(study, measurer, study.next(given))
            say(_line(tried, study.best(), measurer.measure))
    except KeyboardInterrupt:  # what has ended is in the journal, and what has not is left out
        say("stopped; the same command goes on from here")


def _try(study: Study, measurer: "_TrialMeasurer", trial: Trial) -> FinishedTrial:
    """Build and measure until it is clear what these settings are worth."""
    start = monotonic()
    if same := study.same(trial):
        kept = msgspec.structs.replace(same.outcome, seconds=0.0, repeats=same.number)
        return study.end(trial, same.state, same.value, kept)
    value: float | None = None
    state: State = "complete"
    told: dict[str, Any] = {}
    try:
        for value in measurer.figures(changed(measurer.config, trial.settings)):
            if study.hopeless(trial, value):
                state = "pruned"
                break
        if state == "complete" and (trial.number == 0 or study.would_lead(value)):
            told["reported"] = measurer.reported()
    except (UserError, IndexFault) as e:
        value, state, told = None, "failed", {"reason": str(e)}
    seconds = round(monotonic() - start, 1)
    return study.end(
        trial, state, value, TrialOutcome(settings=trial.settings, seconds=seconds, **told)
    )


def _vain(study: Study) -> bool:
    """Tell whether further trials would bring nothing: all fail, or nothing is left to try."""
    all_failed = {t.state for t in study.tried} == {"failed"}
    again = [t for t in study.tried[-REPEATS:] if t.outcome.repeats is not None]
    return (all_failed and len(study.tried) >= FAILURES) or len(again) == REPEATS


def _line(tried: FinishedTrial, best: FinishedTrial | None, measure: Measure) -> str:
    """Return what became of a trial, beside the best so far."""
    value = "" if tried.value is None else f" {measure} {tried.value:.4f}"
    why = f": {tried.outcome.reason}" if tried.outcome.reason else ""
    again = "" if tried.outcome.repeats is None else f", as trial {tried.outcome.repeats}"
    lead = "" if best is None else f"; best {best.value:.4f} of trial {best.number}"
    took = f" in {tried.outcome.seconds:.0f} s"
    return f"trial {tried.number} {tried.state}{value}{again}{took}{why}{lead}"


def _made_from(job: TuningJob, ranges: Mapping[str, Range]) -> dict[str, Any]:
    """Return all that a study's figures depend on, as the journal keeps it."""
    made_from = {
        "figures": FIGURES,
        "shop": Shop(job.shop_folder, unset=job.tried_config.consent).fingerprint(),
        "until": job.until.isoformat(),
        "measure": str(job.measure),
        "ranges": ranges,
        "config": job.tried_config,
    }
    as_read: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(made_from))
    return as_read


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Make the folder and hold it against a second run; TuningError where it holds other things."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        others = {path.name for path in out.iterdir()} - {LOCK, WORK, EMBEDDINGS}
        if others and JOURNAL not in others:
            raise TuningError(
                f"{out} holds something that no tuning wrote (no {JOURNAL}); it is left as it is: "
                "choose another folder, or empty it"
            )
        lock = lock_file(out / LOCK).acquire(blocking=False)
    except Timeout:
        raise TuningError(f"{out}: another tuning is at work here; wait until it ends") from None
    except OSError as e:
        raise TuningError(f"{out}: no folder for a study: {e.strerror}") from None
    with lock:
        yield


class _TrialMeasurer:
    """Builds and measures trials."""

    def __init__(
        self, builder: TrialBuilder, shoppers: ShopperSplit, config: Config, measure: Measure
    ) -> None:
        self._builder = builder
        self._shoppers = shoppers
        self.config = config
        self.measure = measure
        self._engine: Engine | None = None

    def figures(self, config: Config) -> Iterator[float]:
        """Yield what is known of a configuration's worth, better and better; the last one counts.

        Where a ranker is to be trained, retrieval's figure comes first, before that work.
        """
        steps = RANKING if config.ranking.train else RETRIEVAL
        choosing = self._shoppers.choosing
        if config.ranking.train:
            first = Engine(self._builder.release(config, RETRIEVAL), config)
            yield float(judge(choosing, first, self.measure).mean())
        self._engine = Engine(self._builder.release(config, steps), config)
        values: list[np.ndarray] = []
        for part in chunks(choosing):
            values.append(judge(part, self._engine, self.measure))
            yield float(np.concatenate(values).mean())

    def reported(self) -> list[float]:
        """Return the figures of the other half, by the configuration measured last."""
        assert self._engine is not None
        values = judge(self._shoppers.reporting, self._engine, self.measure)
        return [float(value) for value in values]


@contextmanager
def _trial_measurer(job: TuningJob, track: Track) -> Iterator[_TrialMeasurer]:
    config, out = job.tried_config, job.out
    shop = Shop(job.shop_folder, unset=config.consent)
    builder = TrialBuilder(shop, out / WORK, out / EMBEDDINGS, job.until, track)
    try:
        release = builder.release(config, RETRIEVAL[:1])
        products = Columns.open(release.path / PRODUCTS)
        held_out = hold_out(shop, products, products.allowed(not_hidden(config)), job.until)
        yield _TrialMeasurer(builder, split_shoppers(held_out), config, job.measure)
    finally:
        builder.close()
