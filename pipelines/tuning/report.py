"""The report of a study: a table, and the files of the study's folder."""

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from pipelines.config.sections import Config
from pipelines.errors import TuningError
from pipelines.metrics.intervals import Interval, mean_interval, randomisation_test
from pipelines.tables import table
from pipelines.tuning.objective import Measure
from pipelines.tuning.ranges import Range, changed, differing, name_of
from pipelines.tuning.study import FinishedTrial, Study

TRIALS, BEST, PLOT = "trials.csv", "best.yaml", "tuning.svg"
TOP = 10  # trials in the table


class TrialComparison(NamedTuple):
    """The metrics of two trials on the shoppers that did not choose the best."""

    shoppers: int
    default: Interval | None  # None where the configuration as given could not be built
    best: Interval
    difference: Interval | None  # of the best to the default, shopper by shopper
    p_value: float | None  # of no difference


class TuningReport(NamedTuple):
    """The figures of a study."""

    measure: Measure
    tried: tuple[FinishedTrial, ...]
    best: FinishedTrial
    config: Config  # of the best trial
    compared: TrialComparison
    importance: dict[str, float]

    def table(self) -> str:
        """Write the best trials, what each key matters, and the honest comparison."""
        complete = [t for t in self.tried if t.state == "complete" and t.outcome.repeats is None]
        top = sorted(complete, key=lambda t: (-_value(t), t.number))[:TOP]
        names = [f"({number})" for number in range(1, 1 + len(self.best.outcome.settings))]
        trials = table(("trial", str(self.measure), *names), map(_row, top))
        return "\n".join([trials, self._keys(names), self._states(), *self._verdict()])

    def _keys(self, names: list[str]) -> str:
        """Write what the columns of the trials are, and how much the value hangs on each."""
        given, best = self.tried[0].outcome.settings, self.best.outcome.settings
        shares = {key: f"{share:.0%}" for key, share in self.importance.items()}
        rows = [
            (name, key, _brief(given[key]), _brief(best[key]), shares.get(key, ""))
            for name, key in zip(names, best, strict=True)
        ]
        return table(("", "key", "as given", "best", "share in the differences"), rows)

    def _states(self) -> str:
        count = Counter(t.state for t in self.tried)
        return (
            f"{len(self.tried):,} trials: {count['complete']:,} complete, {count['pruned']:,} "
            f"given up early, {count['failed']:,} failed; trial 0 is the configuration as given"
        )

    def _verdict(self) -> list[str]:
        found = self.compared
        lines = [f"On the other {found.shoppers:,} shoppers, {self.measure} with 95 % intervals:"]
        if found.default is None:
            lines.append(f"  trial 0 failed: {self.tried[0].outcome.reason}")
        else:
            lines.append(f"  as given: {_shown(found.default)}")
        if self.best.number == 0:
            return [*lines, "  nothing that was tried is better"]
        lines.append(f"  trial {self.best.number}: {_shown(found.best)}")
        if found.difference is not None and found.p_value is not None:
            change = _shown(found.difference, sign="+")
            lines.append(f"  difference: {change}, p {found.p_value:.4f}")
        return lines


def report(study: Study, config: Config, measure: Measure) -> TuningReport:
    """Return what a study came to; TuningError where no trial was completed."""
    best = study.best()
    if best is None:
        raise TuningError(_nothing(study))
    return TuningReport(
        measure=measure,
        tried=tuple(study.tried),
        best=best,
        config=changed(config, best.outcome.settings),
        compared=_compared(study.tried[0], best),
        importance=study.importance(),
    )


def write_report(found: TuningReport, ranges: Mapping[str, Range], out: Path) -> None:
    """Write all trials as a table, what to put into a configuration, and the plot."""
    from pipelines.tuning.plot import draw

    write_trials(found.tried, ranges, out / TRIALS)
    (out / BEST).write_bytes(msgspec.yaml.encode(differing(found.config)))
    draw(found.tried, ranges, str(found.measure), out / PLOT)


def write_trials(tried: tuple[FinishedTrial, ...], ranges: Mapping[str, Range], path: Path) -> None:
    """Write one line a trial."""
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(("number", "state", "value", "seconds", *ranges, "reason"))
        for t in tried:
            settings = [_plain(t.outcome.settings[key]) for key in ranges]
            value = "" if t.value is None else repr(t.value)
            lines.writerow((t.number, t.state, value, t.outcome.seconds, *settings, _why(t)))


def _compared(first: FinishedTrial, best: FinishedTrial) -> TrialComparison:
    after = np.array(best.outcome.reported)[:, None]
    before = np.array(first.outcome.reported)[:, None]
    if not len(after) or (first.state == "complete" and len(before) != len(after)):
        raise TuningError(
            f"the journal holds figures of {len(before):,} shoppers for trial 0 and of "
            f"{len(after):,} for trial {best.number}; was it edited? Choose another folder"
        )
    [reached] = mean_interval(after)
    if first.state != "complete":
        return TrialComparison(len(after), None, reached, None, None)
    return TrialComparison(
        shoppers=len(after),
        default=mean_interval(before)[0],
        best=reached,
        difference=mean_interval(after - before)[0],
        p_value=float(randomisation_test(after - before)[0]),
    )


def _nothing(study: Study) -> str:
    failed = [t for t in study.tried if t.state == "failed"]
    if not failed:
        return "no trial was completed; give it more seconds, or trials"
    reasons = list(dict.fromkeys(t.outcome.reason for t in failed))
    more = f" (and {len(reasons) - 1} other reasons, in the journal)" if len(reasons) > 1 else ""
    return f"all {len(failed)} trials failed: {reasons[0]}{more}"


def _row(tried: FinishedTrial) -> tuple[str, ...]:
    shown = (_brief(value) for value in tried.outcome.settings.values())
    return (str(tried.number), f"{_value(tried):.4f}", *shown)


def _value(tried: FinishedTrial) -> float:
    return -1.0 if tried.value is None else tried.value


def _brief(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else _plain(value)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else name_of(value)


def _why(tried: FinishedTrial) -> str:
    if tried.outcome.repeats is not None:
        return f"as trial {tried.outcome.repeats}"
    return tried.outcome.reason


def _shown(interval: Interval, sign: str = "") -> str:
    mean, low, high = (f"{end:{sign}.4f}" for end in interval)
    return f"{mean} ({low} to {high})"
