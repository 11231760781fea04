"""Builds a release from a shop folder: the whole walk of a rebuild on one screen."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from index import Columns, use_threads
from pipelines.building.context import BuildContext
from pipelines.building.gate import FIRST, GateInput, judge
from pipelines.building.plan import BuildPlan
from pipelines.building.step_runner import StepRunner
from pipelines.building.steps.ranker import refuse_runtime
from pipelines.building.steps.vectors import read_texts, some_pictures
from pipelines.building.steps.words import lenience_of
from pipelines.config import Config
from pipelines.encoding.encoders import open_encoders, with_runtimes
from pipelines.engine.engine import Engine
from pipelines.errors import ReleaseError, UserError
from pipelines.evaluation.pinned_queries import (
    Pinned,
    PinnedSource,
    held_out,
    make_pinned,
    read_pinned,
    save_pinned,
)
from pipelines.live.catch_up import refuse_older
from pipelines.live.change_log import identity
from pipelines.live.folded_shop import FoldedShop, open_shop
from pipelines.progress import Track
from pipelines.release.layout import BEHAVIOUR
from pipelines.release.manifest import config_of, read_manifest
from pipelines.release.milvus import tidied
from pipelines.release.store import CURRENT, Release, draft, open_release, prune
from pipelines.release.store import check as check_files
from pipelines.release.verdict import UnfitDraft
from pipelines.shop.reader import PINNED, Shop
from retrieval import Query, Stage
from retrieval.behaviour.tables import Behaviour

EMBEDDINGS = "embeddings"  # beside the releases, which share it


class ServedRelease(NamedTuple):
    """The release that is served while another one is built."""

    release: Release | None
    note: str = FIRST  # why there is none


def build(  # noqa: PLR0913 - the options of a verb
    shop_folder: Path,
    releases: Path,
    config: Config,
    until: datetime | None,
    track: Track,
    live: Path | None = None,
    *,
    force: bool = False,
) -> str:
    """Build, judge and publish a release; return its name.

    Nothing in it has seen an event at or after `until`. With `live`, the changes that this log
    holds when the build begins are in it. A build that fails or is killed leaves the published
    release as it was, and what it has encoded in the embedding cache. One that the gate does not
    let pass is kept dark under its name, and raises UnfitDraft; by `force` it is published all the
    same.
    """
    use_threads(config.threads)
    refuse_runtime(config)
    lenience_of(config)  # a synonym that cannot be read costs no encoding
    shop = open_shop(shop_folder, live)
    encoders = open_encoders(config)
    with draft(releases) as new, tidied(releases, config.index):
        served = open_served(releases)
        if live is not None and served.release is not None:
            refuse_older(live, *identity(live), served.release.manifest)
        texts = read_texts(shop, config)
        encoders = with_runtimes(
            encoders, texts, some_pictures(shop), releases / EMBEDDINGS, config
        )
        job = BuildContext(shop, new.path, releases / EMBEDDINGS, encoders, config, until, track)
        base = served.release if config.rebuild.reuse else None
        stages = StepRunner(new.path, new.name, base, config.rebuild.most_drift)
        rebuild = BuildPlan(job, stages, texts)
        quality = rebuild.all()
        asked = write_pinned(job, served.release)
        release = new.seal(
            stages.known,
            config=msgspec.to_builtins(config),
            shop=describe(shop),
            until=until.isoformat() if until else None,
            fingerprints=encoders.fingerprints(),
            quality={"products": rebuild.products.size, **quality},
            stages=stages.made,
        )
        engine = check(release, config)
        verdict = judge(gate_input(release, engine, served), shop, asked, config, track)
        if verdict.failed and force:
            verdict = msgspec.structs.replace(verdict, forced=True)
        new.judge(verdict)
        name = new.publish() if verdict.opens else new.keep()
        prune(releases, keep_dark=config.gate.kept_dark)
    if not verdict.opens:
        raise UnfitDraft(name, verdict)
    return name


def open_served(releases: Path) -> ServedRelease:
    """Return the served release, every byte checked, or why there is none to go by.

    A served release that is damaged must not keep a whole one from being built.
    """
    if not (releases / CURRENT).exists():
        return ServedRelease(None)
    try:
        return ServedRelease(open_release(releases))
    except ReleaseError as e:
        return ServedRelease(None, f"the live release cannot be used: {e}")


def gate_input(draft: Release, engine: Engine, served: ServedRelease) -> GateInput:
    """Return the draft beside the live release, where that is another one and can be opened."""
    if served.release is None:
        return GateInput(engine, None, None, served.note)
    name = served.release.manifest.name
    if _content(draft) == _content(served.release):
        return GateInput(
            engine, None, None, f"the live release {name} holds the same, byte for byte"
        )
    try:
        return GateInput(
            engine, Engine(served.release, config_of(served.release.manifest)), name, ""
        )
    except UserError as e:
        return GateInput(engine, None, None, f"the live release {name} cannot be opened: {e}")


def write_pinned(job: BuildContext, live: Release | None) -> tuple[Pinned, ...]:
    """Write the queries that releases are compared by, and return those that the gate asks.

    Where the shop pins none, the gate asks for baskets that nobody has seen, if there are any.
    """
    own = _source(job.folder, job.config)
    before = own if live is None else _source(live.path, job.config)
    pinned = read_pinned(job.shop)
    queries = pinned or make_pinned(before, own)
    save_pinned(queries, job.folder)
    unseen = () if pinned else held_out(job.shop, before, own)
    return (*(one for one in queries if one.text or not unseen), *unseen)


def _content(release: Release) -> tuple[Any, ...]:
    """Return all that answers depend on."""
    manifest = release.manifest
    files = {name: file for name, file in manifest.files.items() if name != PINNED}
    return files, config_of(manifest), manifest.fingerprints


def _source(folder: Path, config: Config) -> PinnedSource:
    products = Columns.open(folder / "products.arrow")
    return PinnedSource(products, Behaviour.open(folder / BEHAVIOUR), config)


def describe(shop: Shop) -> dict[str, Any]:
    """Return what a manifest says about the shop it was made from."""
    meta = shop.meta
    told = {"name": meta.name, "fingerprint": shop.fingerprint(), "pictures": meta.pictures}
    return told | shop.folded() if isinstance(shop, FoldedShop) else told


def check(release: Release, config: Config) -> Engine:
    """Open a sealed draft as the server would, and let it answer; ReleaseError if it cannot.

    This is no matter of figures: what cannot answer is not published by force either.
    """
    check_files(Release(release.path, read_manifest(release.path)))
    engine = Engine(release, config)
    for query in (Query(text="a", deadline_ms=60_000), Query(deadline_ms=60_000)):
        slate = engine.answer(query)
        if slate.products and engine.probe.ranks(query) and slate.stage is not Stage.RANKING:
            raise ReleaseError("the new ranker answers with something that is not a number")
    return engine


def check_recall(quality: Mapping[str, Any], config: Config) -> None:
    """Raise ReleaseError where an index finds less of the true neighbours than it has to."""
    target = config.index.recall_target
    for name, recall in quality.items():
        if "recall_at" in name and recall < target:
            raise ReleaseError(
                f"{name} is {recall:.3f}, below the target {target:.3f} of index.recall_target; "
                f"leave index.factory={config.index.factory!r} out, or lower the target"
            )
