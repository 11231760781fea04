"""Tells what a build would do with each step, and why, without making anything."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from index import Columns
from pipelines.building.digests import digest_of
from pipelines.building.inputs import (
    UNKNOWN,
    BuildInputs,
    EncoderIdentity,
    encoder_sources,
    source_name,
)
from pipelines.building.plan import STEPS, Step, StepInputs, inputs_of, share_since_training
from pipelines.config.place import ShopPlace
from pipelines.config.sections import Config
from pipelines.errors import ReleaseError
from pipelines.release.layout import PRODUCTS
from pipelines.release.manifest import Manifest, StepRecord, read_manifest
from pipelines.release.product_changes import compare_products
from pipelines.release.store import CURRENT, current
from pipelines.shop.place import with_place
from pipelines.shop.purchases.prices import priced_batches
from pipelines.shop.reader import Shop
from pipelines.shop.schemas import PRODUCT_SCHEMA
from pipelines.tables import table

NEXT = "next"  # stands for the name of a release that is not built yet
RUNTIMES = ("text_runtime", "image_runtime")  # as `Encoders.runtimes` names them
NO_INPUTS = "an older version of vetrina, which recorded no inputs"


class Action(StrEnum):
    """What a build does with a step."""

    TAKE = "taken over"
    REAPPLY = "applied again"
    MAKE = "made anew"


class StepPreview(NamedTuple):
    """What a build would do with one step."""

    step: str
    action: Action
    because: tuple[str, ...] = ()  # names of the inputs that differ; or why nothing is compared
    depends_on: tuple[str, ...] = ()  # earlier steps whose files are not made yet
    seconds: float | None = None  # that it took last time; None: nobody measured it

    @property
    def certain(self) -> bool:
        """Whether it will be so, whatever earlier steps make."""
        return self.action is Action.TAKE or bool(self.because)


class BuildPreview(NamedTuple):
    """What a build would do, step by step."""

    steps: tuple[StepPreview, ...]
    note: str  # what it was compared with

    def table(self) -> str:
        """Write one row a step, for a terminal."""
        rows = table(("step", "what happens", "because of", "last time"), map(_row, self.steps))
        times = [one.seconds for one in self.steps if one.action is not Action.TAKE]
        known = [seconds for seconds in times if seconds is not None]
        took = f"what is not taken over took {_duration(sum(known))} last time; " if known else ""
        return f"{rows}{self.note}; {took}nothing was written now"


def preview(shop: Shop, releases: Path, config: Config, until: datetime | None) -> BuildPreview:
    """Return what a build with these arguments would do; no file is written, no lock taken.

    The files of the live release are not read through: a build makes a damaged one again. An
    encoder is taken to give the vectors of before where its files and settings are the same.
    """
    config = with_place(config, shop.meta)
    until = until and ShopPlace.of(config.shop).local(until)
    live, note = _live(releases)
    if live is None or not config.rebuild.reuse:
        reason = note if live is None else "rebuild.reuse is off"
        steps = (StepPreview(step.name, Action.MAKE, (reason,)) for step in STEPS)
        return BuildPreview(tuple(steps), "compared with nothing")
    planned = _PlannedBuild(shop, releases / live.name, live, config, until)
    return BuildPreview(tuple(map(planned.step, STEPS)), note)


class _PlannedBuild:
    """The steps of a build that is not made: those so far tell the later ones what is known."""

    def __init__(
        self, shop: Shop, folder: Path, live: Manifest, config: Config, until: datetime | None
    ) -> None:
        self._shop = shop
        self._folder = folder
        self._live = live
        self._most_changed = config.rebuild.most_drift
        self._until = until
        self._keys: dict[str, Any] = {}
        self._files: dict[str, Any] = {}
        identity = _expected_encoders(live, config)
        self._given = BuildInputs(shop, config, until, identity, lambda: self._products, self, NEXT)

    def step(self, step: Step) -> StepPreview:
        """Return what happens to a step, after all that come before it."""
        inputs, record = inputs_of(step, self._given), self._live.stages.get(step.name)
        decided = self._decided(step, inputs, record)
        known = None not in inputs.digests.values()
        self._keys[step.name] = inputs.key if known else UNKNOWN
        self._files[step.name] = UNKNOWN
        if record is not None and decided.action is Action.TAKE:
            self._files[step.name] = [self._live.files[file].sha256 for file in record.files]
        return decided

    def key_of(self, step: str) -> Any:
        """Return the key of a step, or UNKNOWN."""
        return self._keys[step]

    def files_of(self, step: str) -> Any:
        """Return the checksums of the files that are taken over; UNKNOWN of any other."""
        return self._files[step]

    def _decided(self, step: Step, inputs: StepInputs, record: StepRecord | None) -> StepPreview:
        if record is None:
            return StepPreview(step.name, Action.MAKE, ("the live release has no such step",))
        because = _differences(inputs.digests, record)
        depends_on = tuple(name for name, digest in inputs.digests.items() if digest is None)
        if not because and not depends_on:
            return StepPreview(step.name, Action.TAKE, seconds=record.seconds or None)
        share = share_since_training(step, inputs, record, lambda: self._changed_share)
        if share is not None and share > self._most_changed:
            because = (*because, f"{share:.1%} of the products changed since it learnt")
        if share is None or share > self._most_changed:
            seconds = record.training_seconds or record.seconds or None
            return StepPreview(step.name, Action.MAKE, because, depends_on, seconds)
        applied = record.made_in != record.learnt_in
        seconds = record.seconds or None if applied else None
        return StepPreview(step.name, Action.REAPPLY, because, depends_on, seconds)

    @cached_property
    def _products(self) -> Columns:
        """The products as the build would write them, without writing them."""
        if self._files.get("products", UNKNOWN) is not UNKNOWN:
            return Columns.open(self._folder / PRODUCTS)
        batches = priced_batches(self._shop, self._until)
        return Columns(pa.Table.from_batches(batches, PRODUCT_SCHEMA))

    @cached_property
    def _changed_share(self) -> float:
        before = Columns.open(self._folder / PRODUCTS)
        return compare_products(before, self._products).drift


def _live(releases: Path) -> tuple[Manifest | None, str]:
    """Return the manifest of the served release and its name, or why there is none to go by."""
    if not (releases / CURRENT).exists():
        return None, "there is no live release"
    try:
        live = read_manifest(releases / current(releases))
    except ReleaseError as e:
        return None, f"the live release cannot be used: {e}"
    return live, f"compared with {live.name}"


def _expected_encoders(live: Manifest, config: Config) -> EncoderIdentity:
    """Return the encoders of the live release where they would be opened from the same files."""
    record = live.stages.get("encoders")
    before = {} if record is None else record.inputs
    sources = encoder_sources(config)
    same = {name: before.get(source_name(name)) == digest_of(s) for name, s in sources.items()}
    fingerprints = {
        name: live.fingerprints.get(name, "") if same[name] else f"another: {source}"
        for name, source in sources.items()
    }
    runtimes = {name: live.quality[name] for name in RUNTIMES if name in live.quality}
    return EncoderIdentity(fingerprints, runtimes if all(same.values()) else fingerprints)


def _differences(digests: Mapping[str, str | None], record: StepRecord) -> tuple[str, ...]:
    """Return the names of inputs that are known to differ; else of those that are gone."""
    if not record.inputs:
        return (NO_INPUTS,)
    differ = [
        name
        for name, digest in digests.items()
        if digest is not None and record.inputs.get(name) != digest
    ]
    gone = [name for name in record.inputs if name not in digests]
    return tuple(differ or gone)


def _row(one: StepPreview) -> tuple[str, str, str, str]:
    action = one.action.value if one.certain else f"may be {one.action.value}"
    reason = ", ".join(one.because)
    if not one.certain:
        reason = f"depends on {', '.join(one.depends_on)}"
    return one.step, action, reason, _duration(one.seconds)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "not measured"
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 180 else f"{seconds / 60:.0f} min"
