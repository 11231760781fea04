"""The one module that imports optuna: the next settings to try, early stopping, the journal."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import FrozenTrial, TrialState

from pipelines.errors import TuningError, first_line
from pipelines.tuning.ranges import Choices, Range, name_of

NAME = "vetrina"
RANDOM_TRIALS = 8  # before the sampler has seen enough to choose
UNPRUNED_TRIALS = 4  # complete ones, before any other may be given up
LEAST_FOR_IMPORTANCE = 10  # complete trials
LARGEST_JOURNAL = 100_000_000  # bytes
MADE_FROM = "made_from"

# Of the operations that optuna's journal knows, those that a study of ours is written with.
FIRST_RECORDS, TRIAL_RECORD = (
    {1: 0, 2: 2},
    4,
)  # by line: the study, what it is made from; its trials

State = Literal["complete", "pruned", "failed"]
STATES: dict[State, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


class TrialOutcome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The outcome of a trial, apart from its state and value."""

    settings: dict[str, Any]  # what was tried, in the order of the ranges
    seconds: float
    reason: str = ""  # why it failed
    repeats: int | None = None  # the trial that had the same settings, whose figures these are
    reported: list[float] = []  # of the shoppers that nothing is chosen by; of the best ones only


class FinishedTrial(NamedTuple):
    """A trial that has ended."""

    number: int
    state: State
    value: float | None  # a pruned one's is the last that was seen
    outcome: TrialOutcome


class Trial(NamedTuple):
    """A running trial."""

    number: int
    settings: dict[str, Any]
    of: optuna.Trial


class _Record(msgspec.Struct):
    op_code: int


class Study:
    """Trials over ranges. Those that ended are in the journal, one line of JSON each.

    The draws of a trial depend on the seed, its number and the trials before it, so a study that
    was stopped goes on as if it had not been.
    """

    def __init__(
        self, journal: Path, ranges: Mapping[str, Range], made_from: dict[str, Any], seed: int
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.ranges = ranges
        self._seed = seed
        self._stored = _open(journal, made_from)
        self._study = optuna.create_study(
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED_TRIALS),
        )
        self.tried: list[FinishedTrial] = []
        try:
            for trial in self._stored.get_trials():
                tried = _tried(trial)
                if list(tried.outcome.settings) != list(ranges):
                    raise ValueError(f"trial {tried.number} has other settings than the ranges")
                self.tried.append(tried)
                self._study.add_trial(trial)
        except (ValueError, KeyError, TypeError) as e:
            raise _damaged(journal, e) from None

    def next(self, given: Mapping[str, Any]) -> Trial:
        """Begin a trial: the first one is of what is given, the others are chosen."""
        number = len(self.tried)
        self._study.sampler = _sampler(self._seed, number)
        drawn = self.ranges
        if number == 0:
            drawn = {key: r for key, r in self.ranges.items() if r.holds(given[key])}
            self._study.enqueue_trial({key: _named(r, given[key]) for key, r in drawn.items()})
        trial = self._study.ask({key: _distribution(r) for key, r in drawn.items()})
        found = {key: _meant(r, trial.params[key]) for key, r in drawn.items()}
        return Trial(number, {key: found.get(key, given[key]) for key in self.ranges}, trial)

    def hopeless(self, trial: Trial, value: float) -> bool:
        """Take the next figure of a trial; tell whether the median of the others was better."""
        trial.of.report(value, len(self._study.trials[trial.number].intermediate_values))
        return trial.of.should_prune()

    def end(
        self, trial: Trial, state: State, value: float | None, outcome: TrialOutcome
    ) -> FinishedTrial:
        """End a trial and write it down."""
        for name, part in msgspec.to_builtins(outcome).items():
            trial.of.set_user_attr(name, part)
        given = value if state == "complete" else None
        self._study.tell(trial.of, given, state=STATES[state])
        frozen = self._study.trials[trial.number]
        self._stored.add_trial(frozen)
        self.tried.append(_tried(frozen))
        return self.tried[-1]

    def best(self) -> FinishedTrial | None:
        """Return the complete trial of the highest value, the first of equal ones."""
        complete = [t for t in self.tried if t.state == "complete" and t.value is not None]
        return max(complete, key=lambda t: (t.value, -t.number), default=None)

    def would_lead(self, value: float | None) -> bool:
        """Tell whether a complete trial of this value would be the best."""
        best = self.best()
        return value is not None and (best is None or best.value is None or value > best.value)

    def same(self, trial: Trial) -> FinishedTrial | None:
        """Return an earlier trial of the same settings."""
        settings = name_of(trial.settings)
        return next((t for t in self.tried if name_of(t.outcome.settings) == settings), None)

    def importance(self) -> dict[str, float]:
        """Return each key's share in how the values differ (PED-ANOVA); {} with few trials."""
        complete = [
            trial
            for trial in self._study.get_trials(states=(TrialState.COMPLETE,))
            if trial.params.keys() == self.ranges.keys()
        ]
        if len(complete) < LEAST_FOR_IMPORTANCE or len({t.value for t in complete}) < 2:
            return {}
        study = optuna.create_study(direction="maximize")
        study.add_trials(complete)
        return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())


def _open(journal: Path, made_from: dict[str, Any]) -> optuna.Study:
    """Open the journal, or begin one; TuningError unless it is whole and of the same question."""
    began = journal.exists()
    if began:
        _check_lines(journal)
    try:
        study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(journal))),
            study_name=NAME,
            direction="maximize",
            load_if_exists=True,
        )
        found = study.user_attrs.get(MADE_FROM)
        if found is None and study.trials:
            raise ValueError(f"{MADE_FROM} is missing")
    except (ValueError, KeyError, TypeError, AttributeError, LookupError) as e:
        raise _damaged(journal, e) from None
    if found is None:
        study.set_user_attr(MADE_FROM, made_from)
    elif found != made_from:
        _refuse_other(journal, found, made_from)
    return study


def _check_lines(journal: Path) -> None:
    size = journal.stat().st_size
    if size > LARGEST_JOURNAL:
        raise TuningError(f"{journal} has {size:,} bytes, more than a study writes; remove it")
    with journal.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                kind = msgspec.json.decode(line, type=_Record).op_code
            except (msgspec.DecodeError, RecursionError):
                kind = None
            if kind != FIRST_RECORDS.get(number, TRIAL_RECORD) or not line.endswith(b"\n"):
                raise TuningError(
                    f"{journal}, line {number}: no whole record of a study; was it cut off or "
                    f"edited? Keep the {number - 1:,} lines before it, or choose another folder"
                )


def _refuse_other(journal: Path, found: Any, wanted: dict[str, Any]) -> None:
    found = found if isinstance(found, dict) else {}
    names = [name for name in wanted if found.get(name) != wanted[name]]
    shown = [n for n in names if not isinstance(wanted[n], dict)]
    told = ", ".join(f"{n} was {found.get(n)!r} and is {wanted[n]!r}" for n in shown)
    raise TuningError(
        f"{journal} is of another study: {' and '.join(names) or 'something'} differ"
        + (f" ({told})" if told else "")
        + "; go on with the same ones, or choose another folder"
    )


def _damaged(journal: Path, error: Exception) -> TuningError:
    return TuningError(
        f"{journal} cannot be read as a study ({type(error).__name__}: {first_line(error)}); was "
        "it edited, or "
        "written by another version? Choose another folder"
    )


def _tried(trial: FrozenTrial) -> FinishedTrial:
    names = {state: name for name, state in STATES.items()}
    outcome = msgspec.convert(trial.user_attrs, TrialOutcome)
    if trial.state not in names:
        raise ValueError(f"trial {trial.number} is {trial.state.name}")
    if trial.state is TrialState.COMPLETE and trial.value is None:
        raise ValueError(f"trial {trial.number} is complete and has no value")
    finite = [outcome.seconds, *outcome.reported, *([] if trial.value is None else [trial.value])]
    if not all(map(math.isfinite, finite)):
        raise ValueError(f"trial {trial.number} holds something that is no number")
    return FinishedTrial(trial.number, names[trial.state], trial.value, outcome)


def _sampler(seed: int, number: int) -> optuna.samplers.TPESampler:
    """Return a sampler whose draws depend on nothing but these two and the trials so far."""
    [state] = np.random.SeedSequence([seed, number]).generate_state(1)
    return optuna.samplers.TPESampler(
        seed=int(state), n_startup_trials=RANDOM_TRIALS, multivariate=False
    )


def _distribution(given: Range) -> BaseDistribution:
    if isinstance(given, Choices):
        return CategoricalDistribution(list(given.values))
    if given.whole:
        step = 1 if given.step is None else int(given.step)
        return IntDistribution(int(given.low), int(given.high), log=given.log, step=step)
    return FloatDistribution(given.low, given.high, log=given.log, step=given.step)


def _named(given: Range, value: Any) -> Any:
    return name_of(value) if isinstance(given, Choices) else value


def _meant(given: Range, value: Any) -> Any:
    return given.values[value] if isinstance(given, Choices) else value
