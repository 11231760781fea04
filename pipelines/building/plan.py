"""The plan of a build: a table of its steps, each with the inputs that its key is made of."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from pipelines.building.digests import digest_of
from pipelines.building.index_measurements import something_learnt
from pipelines.building.inputs import UNKNOWN, BuildInputs, Inputs
from pipelines.release.manifest import StepRecord

InputReader = Callable[[BuildInputs], Inputs]


class Learning(NamedTuple):
    """How a step learns, and when its next build applies what it learnt to other products."""

    inputs: InputReader  # what is learnt from; while it is the same, learning again is spared
    can_reapply: Callable[[StepRecord], bool] = lambda record: True


class Step(NamedTuple):
    """One step of a build; `writers` says by the same name what writes it."""

    name: str
    inputs: InputReader
    learning: Learning | None = None


class StepInputs(NamedTuple):
    """The digest of each input of a step; None: an earlier step has yet to make it."""

    digests: dict[str, str | None]
    # of those that it learns from; none: it learns nothing
    training: Mapping[str, str] = MappingProxyType({})

    @property
    def key(self) -> str:
        """Return a hash over all inputs, which are known by now: equal keys, equal files."""
        assert None not in self.digests.values()
        return digest_of(self.digests)

    @property
    def training_key(self) -> str:
        """Return a hash over what is learnt from; "": it learns nothing."""
        return digest_of(self.training) if self.training else ""


def _products(i: BuildInputs) -> Inputs:
    return i.shop("products", "users") | i.events()


def _behaviour(i: BuildInputs) -> Inputs:
    return i.events() | i.settings("behaviour", "retrieval.channels")


def _index_designs(i: BuildInputs) -> Inputs:
    return i.encoders() | i.settings("index", "seed") | i.machine()


def _indexes(i: BuildInputs) -> Inputs:
    return i.files_of("vectors") | i.collection()


def _content(i: BuildInputs) -> Inputs:
    windows = i.settings("ranking.windows", "ranking.window_days")
    return _behaviour(i) | i.columns("id") | i.files_of("vectors") | i.index_files() | windows


def _fusion_training(i: BuildInputs) -> Inputs:
    settings = i.settings("shop.country", "retrieval", "towers", "ranking.window_days", "seed")
    return _behaviour(i) | i.shop("users") | i.encoders() | settings


def _ranker_training(i: BuildInputs) -> Inputs:
    return _fusion_training(i) | i.settings("ranking")


def _replayed(i: BuildInputs) -> Inputs:
    """Return what past requests are asked of; the towers have an index, too."""
    shop = i.shop("promotions", "pictures", "videos")
    indexes = i.index_files() | i.settings("index") | i.machine()
    return i.products() | i.key_of("words") | i.files_of("vectors") | indexes | shop


STEPS = (
    Step("products", _products),
    Step("album", lambda i: i.shop("pictures") | i.columns("id")),
    Step("catalogue", lambda i: i.events() | i.columns("id", "categories", "brand")),
    Step("promotions", lambda i: i.shop("promotions") | i.columns("id") | i.moment()),
    Step(
        "words",
        lambda i: (
            i.columns("id", "title", "brand", "categories", "description", "tags", "attributes")
            | i.settings("retrieval.language")
            | i.relaxation()
        ),
    ),
    Step(
        "numbered words",
        lambda i: i.columns("title", "brand", "description") | i.settings("retrieval.language"),
    ),
    Step(
        "vectors",
        lambda i: (
            i.texts()
            | i.shop("pictures")
            | i.columns("id")
            | i.encoders()
            | i.settings("encoders.text.fields", "encoders.max_failed_share")
        ),
    ),
    Step("indexes", _indexes, Learning(_index_designs, something_learnt)),
    Step("behaviour", lambda i: _behaviour(i) | i.columns("id")),
    Step("content", _content),
    Step(
        "completions",
        lambda i: (
            _behaviour(i)
            | i.columns("title", "brand", "categories", "tags")
            | i.settings("retrieval.language", "retrieval.hidden_tags")
        ),
    ),
    Step("channels", _replayed, Learning(_fusion_training)),
    Step("ranker", lambda i: _replayed(i) | i.key_of("channels"), Learning(_ranker_training)),
    Step("encoders", lambda i: i.encoders() | i.encoder_runtimes()),
)


def inputs_of(step: Step, given: BuildInputs) -> StepInputs:
    """Return the digests of a step's inputs, our code among them."""
    learnt_from = {} if step.learning is None else step.learning.inputs(given) | given.code()
    inputs = learnt_from | step.inputs(given) | given.code()
    digests = {name: None if x is UNKNOWN else digest_of(x) for name, x in inputs.items()}
    return StepInputs(digests, {name: digest_of(x) for name, x in learnt_from.items()})


def share_since_training(
    step: Step, inputs: StepInputs, record: StepRecord, changed_share: Callable[[], float]
) -> float | None:
    """Return which share of the products changed since a step learnt, where it may be reapplied.

    None where it learnt from other inputs than these, or nothing that can be applied.
    """
    learning = step.learning
    if learning is None or record.training_key != inputs.training_key:
        return None
    if not learning.can_reapply(record):
        return None
    return round(record.changed_share + changed_share(), 6)
