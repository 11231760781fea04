"""Tries every index design on the vectors of a release, and chooses one with its reason."""

from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from index import SAMPLE, Columns, DesignTrial, IndexRequirements, map_array, survey, use_threads
from pipelines.building.steps.indexes import test_queries
from pipelines.config.loading import read_yaml
from pipelines.config.sections import Config, IndexConfig
from pipelines.encoding.release_encoders import open_query_encoder
from pipelines.errors import UserError
from pipelines.release.layout import JOINED, PICTURE, PRODUCTS, vectors_of
from pipelines.release.manifest import config_of
from pipelines.release.store import Release, open_release
from pipelines.tables import table
from retrieval.encoders.joined_space import has_vector

SPACES = {"joined": "texts", "picture": "texts against pictures"}
HEADERS = ("kind", "form", "memory", "build", "effort", "recall", "query", "work", "why")


class SpacePlan(NamedTuple):
    """The designs of one space of a release, one of them chosen."""

    space: str
    num_vectors: int
    sample: int
    choices: tuple[DesignTrial, ...]

    @property
    def chosen(self) -> DesignTrial:
        """The design to take."""
        return next(choice for choice in self.choices if choice.chosen)


class IndexPlan(NamedTuple):
    """The designs that were tried for every space, with the memory and the recall required."""

    release: str
    settings: IndexConfig
    spaces: tuple[SpacePlan, ...]

    def table(self) -> str:
        """Write one table a space, with what was chosen below it."""
        return "\n".join(self._of(space) for space in self.spaces)

    def _of(self, space: SpacePlan) -> str:
        head = (
            f"{space.space}: {space.num_vectors:,} vectors, asked by {SPACES[space.space]}; tried "
            f"on {min(space.sample, space.num_vectors):,} of them, with recall@"
            f"{self.settings.recall_k} of {self.settings.recall_target:g} wanted"
        )
        return f"{head}\n{table(HEADERS, map(_row, space.choices))}"


def plan_indexes(
    releases: Path, settings: IndexConfig, *, name: str | None = None, sample: int = SAMPLE
) -> IndexPlan:
    """Try every design on each space of a release, by default the current one.

    Queries are those of a build: words of titles, in the space of pictures too.
    """
    release = open_release(releases, name)
    config = config_of(release.manifest)
    use_threads(config.threads)
    spaces = []
    for space, queries in _queries(release, config).items():
        vectors = map_array(release.path / vectors_of(space))
        rows = np.flatnonzero(has_vector(vectors))
        wanted = IndexRequirements(
            settings.recall_k, settings.recall_target, settings.memory_bytes, seed=config.seed
        )
        choices = survey(vectors, queries, rows, wanted, sample)
        spaces.append(SpacePlan(space, len(rows), sample, choices))
    return IndexPlan(release.manifest.name, settings, tuple(spaces))


def write_choice(plan: IndexPlan, path: Path) -> None:
    """Write what was chosen for the texts into a YAML configuration, which keeps the rest."""
    if path.suffix not in (".yaml", ".yml"):
        raise UserError(f"{path}: a configuration ends in .yaml")
    raw: dict[str, Any] = read_yaml(path) if path.exists() else {}
    index = raw.setdefault("index", {})
    if not isinstance(index, dict):
        raise UserError(f"{path}: `index` is not a section")
    index.pop("factory", None)  # it would come before the kind
    index["kind"] = plan.spaces[0].chosen.kind
    for key in ("memory", "recall_target", "recall_k"):
        if getattr(plan.settings, key) != getattr(IndexConfig(), key):
            index[key] = getattr(plan.settings, key)
    path.write_bytes(msgspec.yaml.encode(raw))


def _queries(release: Release, config: Config) -> dict[str, Any]:
    encoder = open_query_encoder(release.path, release.manifest.fingerprints, config)
    texts = test_queries(Columns.open(release.path / PRODUCTS), config.seed)
    found = {JOINED: encoder.texts(texts)}
    if (release.path / vectors_of(PICTURE)).exists():
        found[PICTURE] = encoder.texts_for_pictures(texts)
    return found


def _row(choice: DesignTrial) -> tuple[str, ...]:
    size = f"{choice.num_bytes / 1e6:,.1f} MB"
    if not choice.recall:
        return (choice.kind, choice.form, size, *[""] * 5, choice.why)
    return (
        choice.kind,
        choice.form,
        size,
        f"{choice.build_seconds:,.1f} s",
        str(choice.effort),
        f"{choice.recall:.4f}",
        f"{choice.micros:,.0f} µs",
        f"{choice.cost:,.0f} µs",
        choice.why,
    )
