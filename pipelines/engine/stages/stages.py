"""The five stages of an answer, in their order."""

from pathlib import Path
from typing import NamedTuple

from pipelines.config.place import ShopPlace
from pipelines.config.sections import Config, not_hidden
from pipelines.encoding.release_encoders import IMAGE_FOLDER, open_query_encoder
from pipelines.engine.stages.composition import SlateComposer
from pipelines.engine.stages.eligibility import Eligibility
from pipelines.engine.stages.fit_order import FitOrder
from pipelines.engine.stages.popular import PopularProducts
from pipelines.engine.stages.ranking import RankingStage
from pipelines.engine.stages.request_encoding import RequestEncoder
from pipelines.engine.stages.retrieval import RetrievalStage
from pipelines.engine.stages.sales import Sales
from pipelines.engine.stages.shopper_history import ShopperHistory
from pipelines.events.profiles.profiles import Profiles
from pipelines.live.base import Base
from pipelines.release.layout import RANKER
from pipelines.release.manifest import read_manifest
from pipelines.release.parts import open_parts, open_ranker
from pipelines.release.retriever import retriever
from pipelines.release.store import Release, current
from ranking.bundle import NETWORK as GRAPH
from ranking.runtimes.types import RuntimeSettings
from retrieval.encoders.clip.text_reader import NETWORK
from retrieval.encoders.saved_image import TEXT_FOLDER

# Requests share the cores, one each: more threads in a request would wait for those of the others.
THREADS_A_REQUEST = 1
WITHOUT_TORCH = {  # parts of a release, and the file that spares them torch
    IMAGE_FOLDER: f"{IMAGE_FOLDER}/{TEXT_FOLDER}/{NETWORK}",
    RANKER: f"{RANKER}/{GRAPH}",
}


class Stages(NamedTuple):
    """One object a stage; each is given the results of those before it, and knows no other.

    `popular` stands in for those between filter and compose.
    """

    eligibility: Eligibility
    encoder: RequestEncoder
    retrieval: RetrievalStage
    ranking: RankingStage
    composer: SlateComposer
    popular: PopularProducts


def import_torch(releases: Path, name: str | None = None) -> None:
    """Import torch where a release, by default the current one, has a part that needs it.

    That takes seconds, in which the files of the release can be checked. Nothing but its manifest
    is read.
    """
    files = read_manifest(releases / (name or current(releases))).files
    folders = {file.partition("/")[0] for file in files}
    if any(part in folders and file not in files for part, file in WITHOUT_TORCH.items()):
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
    sales, fit_order = Sales(parts.behaviour.statistics), FitOrder.of(config.retrieval)
    searches_words = "lexical" in config.retrieval.channels
    retrieval = RetrievalStage(retriever(parts, parts.behaviour, config))
    return Stages(
        Eligibility(visible, retrieval.permitted if searches_words else None),
        RequestEncoder(
            parts,
            base.encoder,
            visible,
            place,
            ShopperHistory(parts, manifest, place, profiles, config.consent),
            searches_words=searches_words,
        ),
        retrieval,
        RankingStage(name, parts, ranker, config.ranking, sales, fit_order),
        SlateComposer(name, parts.lexical if searches_words else None),
        PopularProducts(parts, sales, fit_order),
    )


def _runtime_settings(config: Config) -> RuntimeSettings:
    """Return how the ranker of a release is to be run when it serves."""
    ranking = config.ranking
    return RuntimeSettings(
        ranking.runtime, THREADS_A_REQUEST, ranking.recent_products, ranking.batch_requests
    )
