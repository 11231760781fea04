"""Builds a release from a shop folder: the whole walk of a rebuild on one screen."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from index import use_threads
from pipelines.balance import write_weights
from pipelines.config import Config
from pipelines.contents import (
    Job,
    read_texts,
    some_pictures,
    write_album,
    write_behaviour,
    write_indexes,
    write_products,
    write_vectors,
    write_words,
)
from pipelines.encoders import open_encoders, save_encoders, with_runtimes
from pipelines.engine import Engine
from pipelines.errors import ReleaseError
from pipelines.learn import refuse_runtime, write_ranker, write_ranker_graph
from pipelines.live.fold import FoldedShop, open_shop
from pipelines.progress import Track
from pipelines.release import Release, draft, read_manifest
from pipelines.release import check as check_files
from pipelines.shop import Shop
from pipelines.train_towers import write_towers
from retrieval import Query, Stage

EMBEDDINGS = "embeddings"  # beside the releases, which share it


def build(
    shop_folder: Path,
    releases: Path,
    config: Config,
    until: datetime | None,
    track: Track,
    live: Path | None = None,
) -> str:
    """Build, check and publish a release; return its name.

    Nothing in it has seen an event at or after `until`. With `live`, the changes that this log
    holds when the build begins are in it. A build that fails or is killed leaves the published
    release as it was, and what it has encoded in the embedding cache.
    """
    use_threads(config.threads)
    refuse_runtime(config)
    shop = open_shop(shop_folder, live)
    encoders = open_encoders(config)
    with draft(releases) as new:
        texts = read_texts(shop, config)
        encoders = with_runtimes(
            encoders, texts, some_pictures(shop), releases / EMBEDDINGS, config
        )
        job = Job(shop, new.path, releases / EMBEDDINGS, encoders, config, until, track)
        products = write_products(job)
        write_album(job, products)
        quality = encoders.runtimes() | write_vectors(job, texts, products)
        quality |= write_indexes(job, products)
        write_words(job, products)
        log = write_behaviour(job, products)
        quality |= write_towers(job, log)
        quality |= write_weights(job, log)
        quality |= write_ranker(job, log)
        write_ranker_graph(job)
        save_encoders(encoders, new.path)
        release = new.seal(
            config=msgspec.to_builtins(config),
            shop=describe(shop),
            until=until.isoformat() if until else None,
            fingerprints=encoders.fingerprints(),
            quality={"products": products.size, "events": log.kind, **quality},
        )
        check(release, config)
        return new.publish()


def describe(shop: Shop) -> dict[str, Any]:
    """Return what a manifest says about the shop it was made from."""
    meta = shop.meta
    told = {"name": meta.name, "fingerprint": shop.fingerprint(), "pictures": meta.pictures}
    return told | shop.folded() if isinstance(shop, FoldedShop) else told


def check(release: Release, config: Config) -> None:
    """Open a sealed draft as the server would, and let it answer once; ReleaseError if it can't."""
    check_files(Release(release.path, read_manifest(release.path)))
    check_recall(release.manifest.quality, config)
    engine = Engine(release, config)
    for query in (Query(text="a", deadline_ms=60_000), Query(deadline_ms=60_000)):
        slate = engine.answer(query)
        if slate.products and engine.ranks(query) and slate.stage is not Stage.RANKING:
            raise ReleaseError("the new ranker answers with something that is not a number")


def check_recall(quality: Mapping[str, Any], config: Config) -> None:
    """Raise ReleaseError where an index finds less of the true neighbours than it has to."""
    target = config.index.recall_target
    for name, recall in quality.items():
        if "recall_at" in name and recall < target:
            raise ReleaseError(
                f"{name} is {recall:.3f}, below the target {target:.3f} of index.recall_target; "
                f"leave index.factory={config.index.factory!r} out, or lower the target"
            )
