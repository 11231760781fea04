"""The five stages of an answer, in their order."""

from pathlib import Path
from typing import NamedTuple

from pipelines.config.place import ShopPlace
from pipelines.config.sections import Config, not_hidden
from pipelines.encoding.encoders import IMAGE_FOLDER, open_query_encoder
from pipelines.engine.stages.composition import SlateComposer
from pipelines.engine.stages.eligibility import Eligibility
from pipelines.engine.stages.fit_order import FitOrder
from pipelines.engine.stages.ranking import RankingStage
from pipelines.engine.stages.request_encoding import RequestEncoder
from pipelines.engine.stages.retrieval import RetrievalStage
from pipelines.engine.stages.shopper_history import ShopperHistory
from pipelines.events.profiles import Profiles
from pipelines.live.base import Base
from pipelines.release.layout import RANKER, TOWERS
from pipelines.release.manifest import read_manifest
from pipelines.release.parts import open_parts, open_ranker
from pipelines.release.retriever import retriever
from pipelines.release.store import Release, current
from ranking.runtimes.types import RuntimeSettings

# Requests share the cores, one each: more threads in a request would wait for those of the others.
THREADS_A_REQUEST = 1
IN_TORCH = (IMAGE_FOLDER, RANKER, TOWERS)  # the folders of a release whose parts import torch


class Stages(NamedTuple):
    """One object a stage; each is given the results of those before it, and knows no other."""

    eligibility: Eligibility
    encoder: RequestEncoder
    retrieval: RetrievalStage
    ranking: RankingStage
    composer: SlateComposer


def import_torch(releases: Path, name: str | None = None) -> None:
    """Import torch where a release, by default the current one, has a part that needs it.

    That takes seconds, in which the files of the release can be checked. Nothing but its manifest
    is read.
    """
    files = read_manifest(releases / (name or current(releases))).files
    if any(file.split("/")[0] in IN_TORCH for file in files):
        import torch  # noqa: F401


def open_base(release: Release, config: Config) -> Base:
    """Open the parts of a release and the encoder of its queries."""
    fingerprints = release.manifest.fingerprints
    encoder = open_query_encoder(release.path, fingerprints, config)  # while torch is imported
    parts = open_parts(release.path)
    return Base(parts, encoder, fingerprints["text"], config.encoders.text.fields)


def open_stages(
    release: Release, base: Base, config: Config, profiles: Profiles | None = None
) -> Stages:
    """Open the ranker of a release, and put its five stages together."""
    manifest, place = release.manifest, ShopPlace.of(config.shop)
    name, parts, visible = manifest.name, base.parts, not_hidden(config)
    ranker = open_ranker(release.path, _runtime_settings(config))
    searches_words = "lexical" in config.retrieval.channels
    return Stages(
        Eligibility(visible),
        RequestEncoder(
            parts,
            base.encoder,
            visible,
            place,
            ShopperHistory(parts, manifest, place, profiles),
            searches_words=searches_words,
        ),
        RetrievalStage(retriever(parts, parts.behaviour, config)),
        RankingStage(name, parts, ranker, config.ranking, FitOrder.of(config.retrieval)),
        SlateComposer(name, parts.lexical if searches_words else None),
    )


def _runtime_settings(config: Config) -> RuntimeSettings:
    """Return how the ranker of a release is to be run when it serves."""
    ranking = config.ranking
    return RuntimeSettings(
        ranking.runtime, THREADS_A_REQUEST, ranking.recent_products, ranking.batch_requests
    )
