"""Builds the release of one trial, and reuses the steps of earlier trials."""

import os
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import xxhash

from index import use_threads
from pipelines.building.build import describe
from pipelines.building.context import BuildContext
from pipelines.building.recall_checks import refuse_low_recall
from pipelines.building.steps.behaviour import write_content, write_tables
from pipelines.building.steps.fusion_weights import write_weights
from pipelines.building.steps.indexes import write_indexes
from pipelines.building.steps.products import (
    write_album,
    write_catalogue,
    write_products,
    write_promotions,
)
from pipelines.building.steps.ranker import write_trained_ranker
from pipelines.building.steps.towers import write_towers
from pipelines.building.steps.vectors import some_pictures, write_vectors
from pipelines.building.steps.words import write_lexical, write_words
from pipelines.config.sections import Config
from pipelines.encoding.encoders import open_remembered, with_runtimes
from pipelines.encoding.release_encoders import save_encoders
from pipelines.errors import ConfigError
from pipelines.progress import Track
from pipelines.release.manifest import FORMAT, Manifest
from pipelines.release.store import Release
from pipelines.shop.place import with_place
from pipelines.shop.reader import Shop
from pipelines.tuning.ranges import value_of
from retrieval.behaviour.neighbours import TooLittleMemory

KEPT = 2  # folders of each step: the newest, and that of the configuration as given
DRAFT = "draft"


class TrialFiles(NamedTuple):
    """The records of finished steps and their files, which no later step changes."""

    folder: Path
    context: BuildContext


class TrialStep(NamedTuple):
    """One step of a build, and the parts of the configuration that it reads."""

    name: str
    reads: tuple[str, ...]
    write: Callable[[BuildContext], object]


def _write_content(context: BuildContext) -> None:
    write_products(context)
    write_album(context)
    quality = write_vectors(context)
    write_lexical(context)
    quality |= write_indexes(context)
    write_words(context)
    refuse_low_recall(quality, context.config.index)
    save_encoders(context.encoders, context.folder)


def _write_behaviour(context: BuildContext) -> None:
    write_catalogue(context)
    write_promotions(context)
    write_tables(context)
    write_content(context)


PAST = ("shop.country", "retrieval", "ranking.window_days", "seed")  # requests of the past
LEARNT_FROM = ("ranking.windows", "ranking.window_days")
WORDS = tuple(f"retrieval.{name}" for name in ("language", "fuzzy", "synonyms", "synonym_weight"))
RETRIEVAL = (  # a release that retrieves, and does not rank
    TrialStep("content", ("encoders", "index", *WORDS, "seed", "threads"), _write_content),
    TrialStep("behaviour", ("behaviour", "retrieval.channels", *LEARNT_FROM), _write_behaviour),
    TrialStep("towers", ("towers", *PAST), write_towers),
    TrialStep("weights", PAST, write_weights),
)
RANKING = (
    *RETRIEVAL,
    TrialStep("ranker", ("shop.country", "ranking", "retrieval", "seed"), write_trained_ranker),
)


class TrialBuilder:
    """Builds releases of one shop as of one moment, each step once for equal inputs.

    The folder is its own: what a killed run left in it is cleared away, so that only files of
    this process are opened. Vectors outlive it, in the embedding cache.
    """

    def __init__(
        self, shop: Shop, folder: Path, embeddings: Path, until: datetime, track: Track
    ) -> None:
        self._shop = shop
        self._folder = folder
        self._embeddings = embeddings
        self._until = until
        self._track = track
        self._made: dict[str, dict[str, TrialFiles]] = {step.name: {} for step in RANKING}
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def close(self) -> None:
        """Remove what was made."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def release(self, config: Config, steps: tuple[TrialStep, ...] = RANKING) -> Release:
        """Return a release as a build with this configuration makes it, as far as these steps go.

        It is not sealed and not published: for measuring only. What a build refuses is raised.
        """
        use_threads(config.threads)
        config = with_place(config, self._shop.meta)
        made, key = None, ""
        for step in steps:
            key = _key(key, step, config)
            made = self._step(step, key, made, config)
        assert made is not None
        manifest = Manifest(
            format=FORMAT,
            name=made.folder.name,
            made_at=datetime.now(UTC),
            config=msgspec.to_builtins(config),
            shop=describe(self._shop),
            until=self._until.isoformat(),
            fingerprints=made.context.encoders.fingerprints(),
            quality={},
            files={},
        )
        return Release(made.folder, manifest)

    def _step(
        self, step: TrialStep, key: str, before: TrialFiles | None, config: Config
    ) -> TrialFiles:
        kept = self._made[step.name]
        if key in kept:
            return kept[key]
        made = self._make(step, key, before, config)
        while len(kept) >= KEPT:  # the first one made is of the configuration as given
            stale = list(kept)[-1]
            shutil.rmtree(kept.pop(stale).folder)
        kept[key] = made
        return made

    def _context(self, folder: Path, config: Config) -> BuildContext:
        encoders, until, track = open_remembered(config), self._until, self._track
        context = BuildContext(self._shop, folder, self._embeddings, encoders, config, until, track)
        pictures = some_pictures(self._shop)
        context.encoders = with_runtimes(encoders, context.texts, pictures, config)
        return context

    def _make(
        self, step: TrialStep, key: str, before: TrialFiles | None, config: Config
    ) -> TrialFiles:
        draft = self._folder / DRAFT
        shutil.rmtree(draft, ignore_errors=True)
        if before is None:
            draft.mkdir()
            context = self._context(draft, config)
        else:
            shutil.copytree(before.folder, draft, copy_function=os.link)
            context = before.context.moved(draft, config)
        try:
            step.write(context)
        except TooLittleMemory as e:
            raise ConfigError(str(e)) from None
        folder = self._folder / f"{step.name}-{key}"
        draft.rename(folder)
        return TrialFiles(folder, context)


def _key(before: str, step: TrialStep, config: Config) -> str:
    """Return a name for what a step makes from what was made before it."""
    read: Mapping[str, Any] = {name: value_of(config, name) for name in step.reads}
    return xxhash.xxh3_64_hexdigest(msgspec.json.encode([before, read]))
