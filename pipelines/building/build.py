"""Builds a release from a shop folder: the whole walk of a rebuild on one screen."""

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from index import Columns, use_threads
from pipelines.building.context import BuildContext
from pipelines.building.gate import FIRST, GateInput, judge
from pipelines.building.inputs import BuildInputs, EncoderIdentity
from pipelines.building.plan import STEPS, inputs_of
from pipelines.building.step_runner import StepRunner
from pipelines.building.steps.vectors import some_pictures
from pipelines.building.synonyms import relaxation_of
from pipelines.building.writers import WRITERS
from pipelines.config.place import ShopPlace
from pipelines.config.sections import OFFLINE_DEADLINE_MS, Config
from pipelines.encoding.encoders import Encoders, open_remembered, with_runtimes
from pipelines.engine.engine import Engine
from pipelines.errors import ReleaseError, UserError
from pipelines.evaluation.pinned_queries import (
    Pinned,
    PinnedSource,
    make_pinned,
    read_pinned,
    save_pinned,
)
from pipelines.events.archived import ARCHIVED
from pipelines.live.catch_up import refuse_older
from pipelines.live.change_log import identity
from pipelines.live.folded_shop import FoldedShop, open_shop
from pipelines.progress import Track, working
from pipelines.release.layout import BEHAVIOUR, PINNED_QUERIES, PRODUCTS
from pipelines.release.manifest import Measurements, config_of, read_manifest
from pipelines.release.milvus import tidied
from pipelines.release.product_changes import compare_products
from pipelines.release.store import CURRENT, Draft, Release, draft, open_release, prune
from pipelines.release.store import check as check_files
from pipelines.release.verdict import UnfitDraft, Verdict
from pipelines.shop.place import with_place
from pipelines.shop.reader import Shop
from retrieval import Query, Stage
from retrieval.behaviour.tables import Behaviour
from retrieval.types import local_seconds

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
    archive: Path | None = None,
    *,
    force: bool = False,
) -> str:
    """Build, judge and publish a release; return its name.

    Nothing in it has seen an event at or after `until`. With `live`, the changes that this log
    holds when the build begins are in it, with `archive` the acts of shoppers that are archived
    then. A build that fails or is killed leaves the published release as it was, and what it has
    encoded in the embedding cache. One that the gate does not let pass is kept dark under its name,
    and raises UnfitDraft; by `force` it is published all the same.
    """
    _refuse_unfit(config)
    shop = open_shop(shop_folder, live, archive, config)
    encoders = open_remembered(config)
    config = with_place(config, shop.meta)
    until = until and ShopPlace.of(config.shop).local(until)
    with draft(releases) as new, tidied(releases, config.index):
        served = open_served(releases)
        _refuse_older(live, served)
        embeddings = releases / EMBEDDINGS
        context = BuildContext(shop, new.path, embeddings, encoders, config, until, track)
        context.encoders = _fastest(context)
        runner = make(context, new.name, served.release if config.rebuild.reuse else None)
        with working("seal and check the draft", track):
            verdict = _measure_and_gate(context, new, runner, served, force=force)
        name = _publish(new, verdict, config)
    if not verdict.opens:
        raise UnfitDraft(name, verdict)
    return name


def _refuse_unfit(config: Config) -> None:
    """Raise ConfigError where a step would refuse the configuration after hours of encoding."""
    use_threads(config.threads)
    relaxation_of(config)


def _refuse_older(live: Path | None, served: ServedRelease) -> None:
    """Raise LiveError where the served release holds changes that this log does not."""
    if live is not None and served.release is not None:
        refuse_older(live, *identity(live), served.release.manifest)


def _fastest(context: BuildContext) -> Encoders:
    """Return the encoders on the runtimes that are fastest on this machine."""
    with working("choose a runtime", context.track):
        pictures = some_pictures(context.shop)
        return with_runtimes(context.encoders, context.texts, pictures, context.config)


def make(context: BuildContext, name: str, live: Release | None) -> StepRunner:
    """Run every step of the plan: each takes files of the live release over, or makes them."""
    most_changed, encoders = context.config.rebuild.most_drift, context.encoders
    share = partial(_changed_share, context, live)
    runner = StepRunner(context.folder, name, live, most_changed, share, context.track)
    given = BuildInputs(
        context.shop,
        context.config,
        context.until,
        EncoderIdentity(encoders.fingerprints(), encoders.runtimes()),
        lambda: context.products,
        runner,
        name,
    )
    for step in STEPS:
        writer = WRITERS[step.name]
        reapply = partial(writer.reapply, context) if writer.reapply else None
        runner.run(step, inputs_of(step, given), partial(writer.write, context), reapply)
    return runner


def _changed_share(context: BuildContext, live: Release | None) -> float:
    """Return which share of the products is new, gone or says something else than live."""
    if live is None:
        return 1.0
    before = Columns.open(live.path / PRODUCTS)
    return compare_products(before, context.products).drift


def _measure_and_gate(
    context: BuildContext, new: Draft, runner: StepRunner, served: ServedRelease, *, force: bool
) -> Verdict:
    """Seal the draft, let it answer, and write what the gate finds into its manifest."""
    config, shop = context.config, context.shop
    pinned = write_pinned(context, served.release)
    release = new.seal(
        runner.described,
        config=msgspec.to_builtins(config),
        shop=describe(shop),
        until=context.until.isoformat() if context.until else None,
        fingerprints=context.encoders.fingerprints(),
        quality={"products": context.products.size, **_quality(context, runner)},
        stages=runner.records,
    )
    engine = check(release, config)
    sides = gate_input(release, engine, served)._replace(measured=runner.measured)
    verdict = judge(sides, shop, pinned, config, context.track)
    if verdict.failed and force:
        verdict = msgspec.structs.replace(verdict, forced=True)
    new.judge(verdict)
    return verdict


def _quality(context: BuildContext, runner: StepRunner) -> Measurements:
    """Return what was measured, and in which builds a model was learnt that is older than this."""
    learnt = {
        f"{step}_learnt_in": f"{record.learnt_in}, of whose products {record.changed_share:.2%} "
        "changed"
        for step, record in runner.records.items()
        if record.learnt_in and record.learnt_in != runner.name
    }
    return context.encoders.runtimes() | runner.measured | learnt


def _publish(new: Draft, verdict: Verdict, config: Config) -> str:
    """Publish the draft, or keep it dark; remove dark releases that are too many by now."""
    name = new.publish() if verdict.opens else new.keep()
    prune(new.path.parent, keep_dark=config.gate.kept_dark)
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
    try:
        if _content(draft) == _content(served.release):
            return GateInput(
                engine, None, None, f"the live release {name} holds the same, byte for byte"
            )
        return GateInput(
            engine, Engine(served.release, config_of(served.release.manifest)), name, ""
        )
    except UserError as e:
        return GateInput(engine, None, None, f"the live release {name} cannot be opened: {e}")


def write_pinned(context: BuildContext, live: Release | None) -> tuple[Pinned, ...]:
    """Write the queries that releases are compared by, and return those that the gate asks.

    Of those that the shop pins, the gate asks for no shopper at or after `until`: what is measured
    later must have had no part in what is published.
    """
    own = _source(context.folder, context.config)
    before = own if live is None else _source(live.path, context.config)
    pinned = read_pinned(context.shop)
    queries = pinned or make_pinned(before, own)
    save_pinned(queries, context.folder)
    return tuple(one for one in queries if not _is_later(one, context.until))


def _is_later(pinned: Pinned, until: datetime | None) -> bool:
    """Tell whether it is about what a shopper did at or after a moment."""
    if until is None or pinned.at is None or pinned.user is None:
        return False
    return local_seconds(pinned.at) >= local_seconds(until)


def _content(release: Release) -> tuple[Any, ...]:
    """Return all that answers depend on."""
    manifest = release.manifest
    files = {name: file for name, file in manifest.files.items() if name != PINNED_QUERIES}
    return files, config_of(manifest), manifest.fingerprints


def _source(folder: Path, config: Config) -> PinnedSource:
    products = Columns.open(folder / PRODUCTS)
    return PinnedSource(products, Behaviour.open(folder / BEHAVIOUR), config)


def describe(shop: Shop) -> dict[str, Any]:
    """Return what a manifest says about the shop it was made from."""
    meta = shop.meta
    about: dict[str, Any] = {
        "name": meta.name,
        "fingerprint": shop.fingerprint(),
        "pictures": meta.pictures,
    }
    if shop.archived:
        about |= {ARCHIVED: shop.archived, "robots": shop.robots}
    return about | shop.folded() if isinstance(shop, FoldedShop) else about


def check(release: Release, config: Config) -> Engine:
    """Open a sealed draft as the server would, and let it answer; ReleaseError if it cannot.

    This is no matter of figures: what cannot answer is not published by force either.
    """
    check_files(Release(release.path, read_manifest(release.path)))
    engine = Engine(release, config)
    for query in (
        Query(text="a", deadline_ms=OFFLINE_DEADLINE_MS),
        Query(deadline_ms=OFFLINE_DEADLINE_MS),
    ):
        slate = engine.answer(query)
        if slate.products and engine.probe.ranks(query) and slate.stage is not Stage.RANKING:
            raise ReleaseError("the new ranker answers with something that is not a number")
    return engine
