"""Answers requests from one release; the ladder calls the stages, in their order."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from math import inf
from pathlib import Path
from typing import Any

import msgspec

from index import use_threads
from pipelines.ads.ad_serving import AdServing
from pipelines.ads.campaigns.eligibility import Shelf
from pipelines.config.place import ShopPlace
from pipelines.config.sections import (
    GRANTED,
    OFFLINE_DEADLINE_MS,
    Config,
    ConsentConfig,
    not_hidden,
)
from pipelines.engine.completion import Completion
from pipelines.engine.deadline import Deadline
from pipelines.engine.ladder.answers import LadderAnswers
from pipelines.engine.lists.list_answers import ListAnswers
from pipelines.engine.lists.listing import is_listed
from pipelines.engine.probe import Probe
from pipelines.engine.sponsoring.sponsorship import Sponsorship
from pipelines.engine.stages.ranking import RankingListener
from pipelines.engine.stages.stages import (
    THREADS_A_REQUEST,
    import_torch,
    open_base,
    open_stages,
)
from pipelines.engine.storefront import Storefront
from pipelines.errors import UserError
from pipelines.events.profiles.profiles import Profiles
from pipelines.live.catch_up import SharedLog, follow, follow_on
from pipelines.live.change_log import Outcome
from pipelines.live.changes import Change
from pipelines.live.overlay import Overlay
from pipelines.live.remote.change_tail import ChangeTail
from pipelines.release.manifest import config_of
from pipelines.release.store import Release, open_release
from retrieval import Query, Slate, Stage


class Engine:
    """Everything that one answer needs, opened once from one verified release."""

    def __init__(self, release: Release, config: Config, profiles: Profiles | None = None) -> None:
        use_threads(THREADS_A_REQUEST)
        self.release = release.manifest.name
        self._manifest = release.manifest
        self.place = ShopPlace.of(config.shop)
        self._base = open_base(release, config)
        self._overlay = Overlay(self._base)
        self._log: SharedLog | None = None
        self._followed = 0  # the newest change of the log when this engine had caught up with it
        self._stages = open_stages(release, self._base, config, profiles)
        candidates = config.retrieval.candidates
        self._ladder = LadderAnswers(self._stages, candidates, config.ranking.most_ranked)
        self._lists = ListAnswers(self.release, self._stages, candidates, self.place)
        parts, language = self._base.parts, config.retrieval.language
        self._completion = Completion(parts.completions, parts.lexical, language)
        self._storefront = Storefront(parts, release, profiles)
        self.probe = Probe(self._base, self._overlay, self._stages, config.retrieval)
        self._visible = not_hidden(config)
        self._overlay.snapshot().allowed(self._visible)  # refuses what cannot be read

    @classmethod
    def open(  # noqa: PLR0913 - what an engine may be given, by name
        cls,
        releases: Path,
        name: str | None = None,
        watch: RankingListener | None = None,
        live: Path | Callable[[], ChangeTail] | None = None,
        *,
        profiles: Profiles | None = None,
        ads: AdServing | None = None,
        consent: ConsentConfig = GRANTED,
        warm: bool = False,
        tolerant: bool = False,
    ) -> "Engine":
        """Open the current release, or the one named; every file is checked first.

        `watch` is given every ranking, from the thread that answers. With `live`, the changes
        of that folder's log that the release does not hold are applied, and more are taken; a
        function opens a log that another process writes. `profiles` have the acts of shoppers
        since the release, which count in their next answer, and `ads` the campaigns that sponsor
        products of a page. What silence about consent means, `consent` says beside the release: who
        of the two denies a purpose is obeyed. `warm` opens at once what is opened lazily else, so
        that the first shopper does not wait for it. A `tolerant` engine answers in a cheaper way
        where a stage fails or takes too long, as a server should; any other raises the error, as a
        measurement should.
        """
        with ThreadPoolExecutor(1) as pool:
            pool.submit(import_torch, releases, name)  # while files are checked and opened
            release = open_release(releases, name)
            config = config_of(release.manifest)
            config = msgspec.structs.replace(config, consent=config.consent.beside(consent))
            engine = cls(release, config, profiles)
        if isinstance(live, Path):
            engine._log = follow(live, engine._overlay, release.manifest)
            engine._followed = engine._log.last
        elif live is not None:
            engine._log = live()
            engine._followed = engine._log.last
            follow_on(engine._log, engine._overlay, release.manifest)
        if tolerant:
            engine._ladder.tolerate()
        if warm:
            engine._warm_up()
        engine._stages.ranking.listener = watch
        if ads is not None:
            engine._ladder.sponsorship = Sponsorship(ads, engine.place, engine._visible)
        return engine

    def take_over(self, old: "Engine") -> None:
        """Subscribe to the change log of `old` and take its ranking listener.

        Both engines see every change until `old.detach()`.
        """
        if old._log is not None:
            self._followed = old._log.last
            follow_on(old._log, self._overlay, self._manifest)
        self._log = old._log
        self._stages.ranking.listener = old._stages.ranking.listener
        self._ladder.prices.take_over(old._ladder.prices)

    def detach(self) -> None:
        """Unsubscribe from the change log: another engine answers."""
        if self._log is not None:
            self._log.unsubscribe(self._overlay.apply)

    def answer(self, query: Query, stage: Stage = Stage.RANKING, spare_ms: float = inf) -> Slate:
        """Return a page for this request, or a RequestError that names the field.

        Ranking begins only while there is time; the slate says which stage answered, and which
        were skipped. `spare_ms` is what it may take before it makes others late.
        """
        deadline, snapshot = Deadline(query.deadline_ms), self._overlay.snapshot()
        if is_listed(query):
            return self._lists.answer(query, stage, snapshot, deadline)
        return self._ladder.answer(query, stage, snapshot, deadline, spare_ms)

    def _warm_up(self) -> None:
        """Open what is opened lazily, then answer to know the prices."""
        self._base.encoder.warm_up()
        self._stages.popular.warm_up()
        for text in ("warm", "prices"):
            self._ladder.prices.forget()
            for query in Query(text=text, deadline_ms=OFFLINE_DEADLINE_MS), Query():
                self.answer(query)
        self._storefront.warm_up()

    def change(self, changes: Sequence[Change]) -> "Future[list[Outcome]]":
        """Submit changes; the future has the number of each in the log, or why it was rejected.

        When it is done they are on the disk, and every answer from then on shows them.
        """
        if self._log is None:
            raise UserError("this engine was opened without a log of changes")
        return self._log.submit(changes)

    @property
    def newest_change(self) -> int:
        """The number of the newest change that answers show; 0 without a log."""
        return max(self._followed, self._overlay.sequence)  # the log is ahead while it applies

    def close(self) -> None:
        """Write the changes that wait, and take no more."""
        if self._log is not None:
            self._log.close()

    def complete(self, text: str, k: int) -> list[str]:
        """Return at most `k` searches that begin as this one does, the likeliest first."""
        return self._completion.complete(text, k)

    def picture(self, product_id: str) -> tuple[bytes, str] | None:
        """Return a product's picture and its media type, or None where there is none."""
        return self._storefront.picture(product_id, self._overlay.snapshot())

    def shelves(self, names: Sequence[str]) -> dict[str, Shelf]:
        """Return the products of these ids as they are now, and whether pages show them."""
        snapshot = self._overlay.snapshot()
        lookup = snapshot.rows_of(names)
        shown = snapshot.allowed(self._visible)[lookup.rows].tolist()
        found = zip(snapshot.products(lookup.rows), shown, strict=True)
        known = {product.id: Shelf(product, visible) for product, visible in found}
        return {name: known.get(name, Shelf(None)) for name in names}

    def shoppers(self, limit: int) -> list[str]:
        """Return some shoppers with a past, those with declared traits first."""
        return self._storefront.shoppers(limit)

    def about(self) -> dict[str, Any]:
        """Return what the page says about the release."""
        return self._storefront.about(self._overlay.snapshot())
