"""What each part of a release depends on: the stages of a build, in their order."""

from functools import cached_property
from pathlib import Path

from index import Columns, PreviousIndex, why_no_cagra, why_no_svs
from pipelines.building.context import BuildContext
from pipelines.building.step_runner import StepRunner, Told, digest_of, key_of
from pipelines.building.steps.behaviour import write_content, write_tables
from pipelines.building.steps.completions import write_completions
from pipelines.building.steps.fusion_weights import write_weights
from pipelines.building.steps.indexes import write_indexes
from pipelines.building.steps.products import (
    write_album,
    write_catalogue,
    write_products,
    write_promotions,
)
from pipelines.building.steps.ranker import apply_ranker, write_ranker, write_ranker_graph
from pipelines.building.steps.towers import apply_towers, write_towers
from pipelines.building.steps.vectors import write_vectors
from pipelines.building.steps.words import lenience_of, write_lexical, write_words
from pipelines.encoding.encoders import save_encoders
from pipelines.evaluation.pinned_queries import purchases_of
from pipelines.release.layout import (
    BEHAVIOUR,
    CATEGORIES,
    OWN,
    RANKER,
    SCALES,
    TOWERS,
    WEIGHTS,
    WINDOWS,
)
from pipelines.release.manifest import StepRecord
from pipelines.release.milvus import in_milvus
from pipelines.release.product_changes import compare_products
from pipelines.shop.purchases import Log, read_purchases
from pipelines.shop.schemas import PRODUCT_SCHEMA
from ranking.ranker import TOKEN_WEIGHTS, TOKENS
from retrieval.behaviour.tables import Behaviour

SAID = ("title", "brand", "categories", "description")  # what the word index reads
COUNTED = ("title", "brand", "description")  # what the ranker's words are
OFFERED = ("title", "brand", "categories", "tags")  # what completions are made of, and who is shown
GROUPED = ("categories", "brand", "price")
FLAT = "flat"  # the design that compares all vectors
SPACES = ("joined", "picture")  # of the encoders


class BuildPlan:
    """The stages of one build. Each line says what is made, and from what."""

    def __init__(self, job: BuildContext, stages: StepRunner, texts: list[str]) -> None:
        self.job = job
        self.stages = stages
        self._texts = texts

    def all(self) -> Told:
        """Make or take every part of the release; return what was measured."""
        self.catalogue()
        self.vectors()
        self.behaviour()
        self.learning()
        job = self.job
        self.stages.run(
            "encoders",
            key_of(job.encoders.fingerprints(), self._runtimes),
            lambda: save_encoders(job.encoders, job.folder),
        )
        return self._runtimes | self.stages.told | self._learnt()

    def catalogue(self) -> None:
        """Make what products say and show."""
        job, run, shop = self.job, self.stages.run, self.job.shop
        pictures = shop.fingerprint("pictures")
        run(
            "products",
            key_of(shop.fingerprint("products", "users", "events"), self._until),
            self._write_products,
        )
        run("album", key_of(pictures, self._ids), lambda: write_album(job, self.products))
        run(
            "catalogue",
            key_of(self._columns(*GROUPED)),
            lambda: write_catalogue(job, self.products),
        )
        run(
            "promotions",
            key_of(shop.fingerprint("promotions"), self._ids),
            lambda: write_promotions(job, self.products),
        )
        language = job.config.retrieval.language
        run(
            "words",
            key_of(self._columns(*SAID), language, lenience_of(job.config)),
            lambda: write_lexical(job, self.products),
        )
        run(
            "numbered words",
            key_of(self._columns(*COUNTED), language),
            lambda: write_words(job, self.products),
        )

    def vectors(self) -> None:
        """Make the vectors, and the indexes over them."""
        job, encoders = self.job, self.job.config.encoders
        made_by = (job.encoders.fingerprints(), encoders.image_weight)
        key = key_of(
            digest_of(self._texts),
            job.shop.fingerprint("pictures"),
            self._ids,
            made_by,
            (encoders.text.fields, encoders.max_failed_share),
        )
        self.stages.run("vectors", key, lambda: write_vectors(job, self._texts, self.products))
        lesson = key_of(made_by, job.config.index, job.config.seed, _missing_here())
        own = self.stages.name if in_milvus(job.config.index) else ""  # a collection a release
        self.stages.learn(
            "indexes",
            key_of(lesson, self._vectors, own),
            lesson,
            lambda: write_indexes(job, self.products),
            self._indexes_again,
            self.drift,
        )

    def behaviour(self) -> None:
        """Make the tables of what shoppers did."""
        job, config, run = self.job, self.job.config, self.stages.run
        run(
            "behaviour",
            key_of(self._behaviour, self._ids),
            lambda: write_tables(job, self.log, self.products.size),
        )
        ranking = (config.ranking.windows, config.ranking.window_days)
        key = key_of(self._behaviour, self._ids, self._vectors, self._indexes, ranking)
        run("content", key, lambda: write_content(job, self.products.size))
        run(
            "completions",
            key_of(
                self._behaviour,
                self._columns(*OFFERED),
                (config.retrieval.language, config.retrieval.hidden_tags),
            ),
            lambda: write_completions(job, self.products, self._past()),
        )

    def learning(self) -> None:
        """Weigh the channels and train the ranker, or apply what was learnt to these products."""
        job, config = self.job, self.job.config
        made_by = (job.encoders.fingerprints(), config.encoders.image_weight)
        taught = (self._behaviour, job.shop.fingerprint("users"), made_by, config.seed)
        channels = key_of(taught, config.retrieval, config.towers, config.ranking.window_days)
        ranker = key_of(channels, config.ranking)
        seen = (
            self._columns(*PRODUCT_SCHEMA.names),
            self.stages.made["words"].key,
            self._vectors,
            (self._indexes, config.index, _missing_here()),  # the towers have an index, too
            job.shop.fingerprint("promotions", "pictures", "videos"),
        )
        self.stages.learn(
            "channels",
            key_of(channels, seen),
            channels,
            lambda: write_towers(job, self.log) | write_weights(job, self.log),
            self._channels_again,
            self.drift,
        )
        self.stages.learn(
            "ranker",
            key_of(ranker, seen, self.stages.made["channels"].key),
            ranker,
            self._ranker,
            self._ranker_again,
            self.drift,
        )

    @cached_property
    def products(self) -> Columns:
        """The products of the draft."""
        return Columns.open(self.job.folder / "products.arrow")

    @cached_property
    def log(self) -> Log:
        """What shoppers took; read only where something is learnt from it."""
        return read_purchases(self.job.shop, self.products, self.job.until)

    @cached_property
    def _share(self) -> float:
        if self._live is None:
            return 1.0
        live = Columns.open(self._live / "products.arrow")
        return compare_products(live, self.products).drift

    def drift(self) -> float:
        """Return which share of the products is new, gone or says something else than live."""
        return self._share

    def _write_products(self) -> None:
        write_products(self.job)

    def _indexes_again(self, made: StepRecord) -> Told | None:
        """Take the same designs, and the cells that vectors are sorted into.

        None where nothing was learnt: no design was chosen, and none sorts vectors into cells.
        """
        before = {space: one for space in SPACES if (one := self._index_before(space, made))}
        learnt = any(made.told.get(f"{space}_choices") for space in before)
        if in_milvus(self.job.config.index) or not (learnt or "IVF" in str(made.told)):
            return None
        return _chosen_from(made, write_indexes(self.job, self.products, before))

    def _index_before(self, space: str, made: StepRecord) -> PreviousIndex | None:
        kind, chosen = (made.told.get(f"{space}_{name}") for name in ("kind", "choices"))
        if self._live is None or kind is None or (kind == FLAT and not chosen):
            return None  # nothing was chosen while there were few products
        return PreviousIndex(kind, self._live / f"index/{space}.faiss")

    def _ranker(self) -> Told:
        told = write_ranker(self.job, self.log)
        write_ranker_graph(self.job)
        return told

    def _ranker_again(self, made: StepRecord) -> Told | None:
        """Keep the weights, and make tokens of these products."""
        files = [file for file in made.files if file != f"{RANKER}/{TOKENS}"]
        if not files:  # there were too few requests to learn from, and there are no more
            return made.told
        needed = {f"{RANKER}/{name}" for name in (TOKEN_WEIGHTS, CATEGORIES)}
        if not needed <= set(files) or not self.stages.take(files):
            return None
        apply_ranker(self.job, self.job.folder / RANKER)
        return made.told

    def _channels_again(self, made: StepRecord) -> Told | None:
        """Keep weights and towers, and give these products their vectors."""
        with_towers = f"{TOWERS}/{WINDOWS}" in made.files
        if not with_towers:
            return made.told if self.stages.take([WEIGHTS, SCALES]) else None
        if self._live is None:
            return None
        before = self._index_before(TOWERS, made)
        told = apply_towers(self.job, self._past(), self._live / TOWERS, before)
        if told is None:
            return None
        names = ("towers.json", "towers.safetensors", OWN, WINDOWS)
        kept = [WEIGHTS, SCALES, *(f"{TOWERS}/{name}" for name in names)]
        return made.told | _chosen_from(made, told) if self.stages.take(kept) else None

    def _past(self) -> Log:
        """Return the log as the draft's tables have it."""
        behaviour = Behaviour.open(self.job.folder / BEHAVIOUR)
        return Log(behaviour.purchases.user_ids, purchases_of(behaviour), "")

    def _learnt(self) -> Told:
        """Tell what was learnt in the build of another release."""
        return {
            f"{name}_learnt_in": f"{made.learnt_in}, of whose products {made.drift:.2%} changed"
            for name, made in self.stages.made.items()
            if made.learnt_in and made.learnt_in != self.stages.name
        }

    @property
    def _live(self) -> Path | None:
        return None if self.stages.live is None else self.stages.live.path

    @property
    def _until(self) -> str | None:
        return self.job.until.isoformat() if self.job.until else None

    @cached_property
    def _runtimes(self) -> Told:
        return self.job.encoders.runtimes()

    @cached_property
    def _ids(self) -> str:
        return digest_of(self.products.ids)

    @cached_property
    def _behaviour(self) -> str:
        config = self.job.config
        events = self.job.shop.fingerprint("events")
        return key_of(events, self._until, config.behaviour, config.retrieval.channels)

    @property
    def _vectors(self) -> list[str]:
        return [self.stages.digest(f"vectors/{space}.npy") for space in SPACES]

    @property
    def _indexes(self) -> list[str]:
        """Return hashes of the indexes; of those on another machine there is nothing to hash."""
        if in_milvus(self.job.config.index):
            return []
        return [self.stages.digest(file) for file in self.stages.made["indexes"].files]

    def _columns(self, *names: str) -> str:
        """Return a hash over columns of the products, in order of the rows."""
        held = self._digests
        for name in names:
            if name not in held:
                held[name] = digest_of(self.products.column(name))
        return digest_of(*(held[name] for name in sorted(names)))

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {}


def _missing_here() -> tuple[str, str]:
    """Return why designs of an index are not for this machine, which may be another tomorrow."""
    return why_no_svs(), why_no_cagra()


def _chosen_from(made: StepRecord, told: Told) -> Told:
    """Tell what a design was chosen from in the build that chose it, where it was only kept."""
    kept = {name: value for name, value in made.told.items() if name.endswith("_choices")}
    return told | {name: value for name, value in kept.items() if not told.get(name)}
