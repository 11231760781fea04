"""Puts together the release of one trial, from as much as earlier trials have already made."""

import os
import shutil
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import xxhash

from index import Columns, use_threads
from pipelines.building.build import check_recall, describe
from pipelines.building.context import BuildContext
from pipelines.building.steps.behaviour import write_behaviour
from pipelines.building.steps.fusion_weights import write_weights
from pipelines.building.steps.indexes import write_indexes
from pipelines.building.steps.products import write_album, write_products
from pipelines.building.steps.ranker import write_ranker
from pipelines.building.steps.towers import write_towers
from pipelines.building.steps.vectors import read_texts, some_pictures, write_vectors
from pipelines.building.steps.words import write_lexical, write_words
from pipelines.config import Config, ConfigError
from pipelines.encoding.encoders import Encoders, open_encoders, save_encoders, with_runtimes
from pipelines.progress import Track
from pipelines.release.manifest import FORMAT, Manifest
from pipelines.release.store import Release
from pipelines.shop.purchases import Log
from pipelines.shop.reader import Shop
from pipelines.tuning.ranges import value_of
from retrieval.behaviour.neighbours import TooLittleMemory

KEPT = 2  # folders of each step: the newest, and that of the configuration as given
DRAFT = "draft"


class TrialFiles(NamedTuple):
    """What the steps have made so far, and the files of it, which nobody changes any more."""

    folder: Path
    encoders: Encoders
    log: Log | None = None


class TrialStep(NamedTuple):
    """One step of a build, and all that it reads of the configuration."""

    name: str
    reads: tuple[str, ...]
    write: Callable[[BuildContext, TrialFiles], Log | None]


def _write_content(job: BuildContext, made: TrialFiles) -> Log | None:
    products = write_products(job)
    write_album(job, products)
    quality = write_vectors(job, read_texts(job.shop, job.config), products)
    write_lexical(job, products)
    quality |= write_indexes(job, products)
    write_words(job, products)
    check_recall(quality, job.config)
    save_encoders(job.encoders, job.folder)
    return made.log


def _write_behaviour(job: BuildContext, made: TrialFiles) -> Log | None:
    return write_behaviour(job, Columns.open(job.folder / "products.arrow"))


def _write_towers(job: BuildContext, made: TrialFiles) -> Log | None:
    assert made.log is not None
    write_towers(job, made.log)
    return made.log


def _write_weights(job: BuildContext, made: TrialFiles) -> Log | None:
    assert made.log is not None
    write_weights(job, made.log)
    return made.log


def _write_ranker(job: BuildContext, made: TrialFiles) -> Log | None:
    assert made.log is not None
    write_ranker(job, made.log)
    return made.log


LEARNT_FROM = ("ranking.windows", "ranking.window_days")
WORDS = tuple(f"retrieval.{name}" for name in ("language", "fuzzy", "synonyms", "synonym_weight"))
RETRIEVAL = (  # a release that retrieves, and does not rank
    TrialStep("content", ("encoders", "index", *WORDS, "seed", "threads"), _write_content),
    TrialStep("behaviour", ("behaviour", "retrieval.channels", *LEARNT_FROM), _write_behaviour),
    TrialStep("towers", ("towers", "retrieval", "ranking.window_days", "seed"), _write_towers),
    TrialStep("weights", ("retrieval", "ranking.window_days", "seed"), _write_weights),
)
RANKING = (*RETRIEVAL, TrialStep("ranker", ("ranking", "retrieval", "seed"), _write_ranker))


class TrialBuilder:
    """Makes releases of one shop as of one moment, each step once for what it reads.

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
        made, key = None, ""
        for step in steps:
            key = _key(key, step, config)
            made = self._step(step, key, made, config)
        assert made is not None
        manifest = Manifest(
            format=FORMAT,
            name=made.folder.name,
            made_at=datetime.now(),
            config=msgspec.to_builtins(config),
            shop=describe(self._shop),
            until=self._until.isoformat(),
            fingerprints=made.encoders.fingerprints(),
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

    def _encoders(self, config: Config) -> Encoders:
        texts, pictures = read_texts(self._shop, config), some_pictures(self._shop)
        return with_runtimes(open_encoders(config), texts, pictures, self._embeddings, config)

    def _make(
        self, step: TrialStep, key: str, before: TrialFiles | None, config: Config
    ) -> TrialFiles:
        draft = self._folder / DRAFT
        shutil.rmtree(draft, ignore_errors=True)
        if before is None:
            draft.mkdir()
            before = TrialFiles(draft, self._encoders(config))
        else:
            shutil.copytree(before.folder, draft, copy_function=os.link)
        job = BuildContext(
            self._shop,
            draft,
            self._embeddings,
            before.encoders,
            config,
            self._until,
            self._track,
        )
        try:
            log = step.write(job, before)
        except TooLittleMemory as e:
            raise ConfigError(str(e)) from None
        folder = self._folder / f"{step.name}-{key}"
        draft.rename(folder)
        return TrialFiles(folder, before.encoders, log)


def _key(before: str, step: TrialStep, config: Config) -> str:
    """Return a name for what a step makes from what was made before it."""
    read: Mapping[str, Any] = {name: value_of(config, name) for name in step.reads}
    return xxhash.xxh3_64_hexdigest(msgspec.json.encode([before, read]))
