"""The sections of the configuration, with the type, range and default of every setting."""

import re
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from pipelines.config.zones import zone_of
from pipelines.errors import ConfigError
from retrieval.encoders.networks.precision import Precision

OFFLINE_DEADLINE_MS = 60_000  # of a request that nobody waits for: every stage may finish

Positive = Annotated[int, Meta(ge=1)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Micros = Annotated[int, Meta(ge=0, le=10**15)]  # millionths of the currency's unit
PositiveFloat = Annotated[float, Meta(gt=0, le=1e9)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One part of the configuration."""


class ShopConfig(Section, frozen=True, kw_only=True):
    """Where the shop is, which says what its local time is and which holidays come."""

    timezone: str = ""  # IANA, such as Europe/Rome; "": as the shop folder says, else UTC
    country: Annotated[str, Meta(pattern="^([A-Z]{2})?$")] = ""  # ISO 3166; "": as it says, else US

    def __post_init__(self) -> None:
        zone_of(self.timezone)


Runtime = Literal["auto", "torch", "openvino"]
ProductText = Literal["title", "description", "brand", "categories", "tags"]


class TextConfig(Section, frozen=True, kw_only=True):
    """How products and queries are read."""

    model: str = "all-MiniLM-L6-v2"  # packaged; or any sentence-transformers name or path
    fields: Annotated[tuple[ProductText, ...], Meta(min_length=1)] = ("title", "categories")
    batch_size: Positive = 64  # in torch
    max_tokens: Positive = 128
    runtime: Runtime = "auto"  # auto: the fastest here that gives the same vectors


class ImageConfig(Section, frozen=True, kw_only=True):
    """How pictures are seen."""

    model: str = ""  # open_clip architecture, `hf-hub:` id, or a folder; "": no picture space
    pretrained: str = ""  # open_clip pretrained tag, for an architecture
    batch_size: Positive = 256
    runtime: Runtime = "auto"  # of the picture side


class EncodersConfig(Section, frozen=True, kw_only=True):
    """What turns products into vectors."""

    text: TextConfig = TextConfig()
    image: ImageConfig = ImageConfig()
    image_weight: Fraction = 0.3  # share of the picture space in the joined product vector
    max_failed_share: Fraction = 0.05  # of pictures; more and the build stops
    runner: Literal["process", "ray"] = "process"  # who encodes what the cache lacks
    ray_address: str = ""  # of a Ray cluster; "": one on this machine, for the build only


class ClipConfig(Section, frozen=True, kw_only=True):
    """How `vetrina train clip` learns from the pictures and texts of a shop."""

    model: str = "vetrina-small"  # an architecture, to start anew; a folder or hf-hub:, to go on
    pretrained: str = ""  # open_clip pretrained tag or .safetensors, to go on from an architecture
    lock_text: bool = False  # the text side learns no more
    lock_image: bool = False  # nor does the picture side
    fields: Annotated[tuple[ProductText, ...], Meta(min_length=1)] = ("title",)  # of a picture
    more_fields: tuple[ProductText, ...] = ()  # a second text of each picture, in training only
    more_weight: Annotated[float, Meta(ge=0, le=100)] = 0.5  # of its loss beside the first's
    epochs: Positive = 12
    batch_size: Annotated[int, Meta(ge=2)] = 512
    learning_rate: PositiveFloat = 4e-3
    weight_decay: Annotated[float, Meta(ge=0)] = 0.05
    max_pairs: Positive = 50_000  # drawn by the seed; 12 kB of memory each at 64 x 64 pixels
    max_seconds: Annotated[float, Meta(ge=0)] = 0  # ends the training early and well; 0: never
    held_out: Annotated[float, Meta(ge=0, le=0.5)] = 0.02  # share of pictures to measure on
    patience: Annotated[int, Meta(ge=0)] = 4  # epochs without gain before the end; 0: no end
    precision: Precision = "auto"  # of the picture side; auto: bfloat16 where that is native
    augment: bool = False  # mirror, zoom, move and light each picture; false: move the batch
    drop_words: Annotated[float, Meta(ge=0, lt=1)] = 0.0  # chance that a token is not read
    checkpoint_seconds: Annotated[float, Meta(ge=0)] = 60.0  # at least between two; 0: every epoch


class TextTrainingConfig(Section, frozen=True, kw_only=True):
    """How `vetrina train text` learns from judged pairs of a query and a title."""

    model: str = "all-MiniLM-L6-v2"  # what it starts from
    epochs: Positive = 1
    batch_size: Annotated[int, Meta(ge=2)] = 64  # titles at once, those of a query together
    titles_per_query: Annotated[int, Meta(ge=2)] = 8  # at most, drawn by the seed
    learning_rate: PositiveFloat = 3e-5
    max_tokens: Positive = 48  # of a text, while training
    max_pairs: Positive = 100_000  # drawn by the seed, whole queries
    max_seconds: Annotated[float, Meta(ge=0)] = 0  # ends the training early and well; 0: never
    checks: Positive = 3  # how often it is measured on the validation queries
    patience: Positive = 2  # checks without a gain after which it stops
    held_out: Annotated[float, Meta(ge=0, le=0.5)] = 0.1  # share of queries to test on
    validation: Annotated[float, Meta(gt=0, le=0.5)] = 0.1  # share of the rest
    max_validation_queries: Positive = 300
    blends: Annotated[tuple[Fraction, ...], Meta(min_length=1)] = (0.25, 0.5, 0.75, 1.0)
    dims: Annotated[tuple[Positive, ...], Meta(min_length=1)] = (384, 256, 128, 64)


class MilvusConfig(Section, frozen=True, kw_only=True):
    """Where vectors are kept that one machine shall not hold."""

    uri: str = ""  # http://host:19530, or a file that ends in .db, to try it
    token_from: str = "VETRINA_MILVUS_TOKEN"  # the variable that holds user:password or a key
    prefix: Annotated[str, Meta(pattern="^[A-Za-z][A-Za-z0-9_]{0,63}$")] = "vetrina"
    kind: Literal["AUTOINDEX", "FLAT", "HNSW", "IVF_FLAT", "IVF_SQ8"] = "AUTOINDEX"
    seconds: Annotated[float, Meta(gt=0, le=600)] = 1.0  # that a search may take
    build_seconds: Annotated[float, Meta(gt=0, le=3_600)] = 60.0  # that one step of a build may


IndexKind = Literal[  # index.DESIGNS, and shards for what memory does not hold
    "auto", "flat", "svs-lvq8", "svs-lvq4x8", "svs-f16", "hnsw-sq8", "hnsw", "cagra", "ivf-pq",
    "ivf-sq8", "ivf", "ivf-rabitq", "shards",
]  # fmt: skip
SIZE = r"^([0-9]{1,9}(\.[0-9]{1,3})? ?[kMGT]?B)?$"
POWERS = {"B": 0, "kB": 1, "MB": 2, "GB": 3, "TB": 4}


class IndexConfig(Section, frozen=True, kw_only=True):
    """How product vectors are indexed."""

    where: Literal["files", "milvus"] = "files"  # in the release, or beyond one machine
    milvus: MilvusConfig = MilvusConfig()
    factory: str = ""  # a FAISS factory string; "": as `kind` says
    kind: IndexKind = "auto"  # auto: flat for few products, else by memory, recall and work
    memory: Annotated[str, Meta(pattern=SIZE)] = ""  # of each index, such as 500MB or 2GB; "": any
    recall_target: Fraction = 0.95
    recall_k: Positive = 100

    def __post_init__(self) -> None:
        if self.where == "milvus" and not self.milvus.uri:
            raise ValueError("where=milvus needs milvus.uri, such as http://host:19530")

    @property
    def asked_kind(self) -> str:
        """The design that is asked for by name; empty where one is to be chosen."""
        return "" if self.kind in ("auto", "shards") else self.kind

    @property
    def memory_bytes(self) -> int:
        """How many bytes an index may take; 0: as many as it does."""
        return num_bytes(self.memory) if self.memory else 0


ChannelName = Literal[
    "semantic",
    "lexical",
    "image",
    "towers",
    "repeat",
    "ease",
    "together",
    "next",
    "season",
    "kind",
    "trending",
]
Weight = Annotated[float, Meta(ge=0, le=1e6)]
Language = Literal[  # as index.words.terms.analysis.LANGUAGES
    "arabic", "danish", "dutch", "english", "finnish", "french", "german", "greek",
    "hungarian", "italian", "norwegian", "portuguese", "romanian", "russian", "spanish", "swedish",
    "tamil", "turkish", "none",
]  # fmt: skip


class WeightsConfig(Section, frozen=True, kw_only=True):
    """How much each channel counts in the fused order, as fitted on a supermarket's past."""

    semantic: Weight = 1.0
    lexical: Weight = 1.0
    image: Weight = 1.0
    towers: Weight = 1.0
    repeat: Weight = 1.0
    ease: Weight = 1.0
    together: Weight = 0.2
    next: Weight = 0.2
    season: Weight = 0.2
    kind: Weight = 0.2
    trending: Weight = 0.2


class BehaviourConfig(Section, frozen=True, kw_only=True):
    """What is learned from purchases before anything is trained."""

    neighbours: Positive = 100  # kept a product, item to item
    ease_neighbours: Positive = 200  # weights of EASE kept a product
    ease_products: Positive = 12_000  # the most bought ones take part in EASE
    ease_lambda: PositiveFloat = 200.0  # the higher, the closer to popularity
    ease_half_life_days: PositiveFloat = 120.0  # of a purchase in EASE
    max_memory_mb: Positive = 4_000  # of the work; products are left out, or blocks made smaller
    cold_start: bool = True  # products never bought inherit from those that look like them


class RetrievalConfig(Section, frozen=True, kw_only=True):
    """Who proposes candidates, and how many reach the ranker."""

    channels: tuple[ChannelName, ...] = get_args(ChannelName)
    language: Language = "english"  # whose endings are cut off words; "none": no endings are
    fuzzy: bool = True  # a word that no product has is read as one that is nearly it
    synonyms: str = ""  # a file of words that stand for others; "": none
    synonym_weight: Annotated[float, Meta(gt=0, le=1)] = 0.8  # beside the word that was asked
    candidates: Positive = 400
    per_channel: Positive = 200
    fusion: Literal["relevance", "position", "minmax", "theoretical"] = "relevance"  # of searches
    words_weight: Weight = 0.4  # of the share of words held, beside the cosine, in relevance
    band: Annotated[float, Meta(gt=0, le=1)] = 0.05  # of the best relevance: what fits as well
    floor: Fraction = 0.4  # of the best relevance: what is below it does not answer a search
    sold_out: Literal["behind", "mixed"] = "behind"  # where products that are sold out stand
    rrf_k: PositiveFloat = 60.0  # the constant of reciprocal rank fusion
    half_life_days: PositiveFloat = 60.0  # how fast a purchase is forgotten
    weights: WeightsConfig = WeightsConfig()
    fit_weights: bool = True  # on the newest window before `until`, from `weights` on
    fit_least: Positive = 50  # past baskets, for the weights to be fitted
    hidden_tags: tuple[str, ...] = ("unlisted",)  # products that no window shows


class TowersConfig(Section, frozen=True, kw_only=True):
    """How the two towers are built and trained."""

    train: bool = False  # it adds up to `max_seconds` to each build
    dim: Positive = 256  # of their vectors
    cuts: tuple[Positive, ...] = (128, 64)  # lengths that the vectors may be cut to
    width: Positive = 128  # of the attention over tokens
    heads: Positive = 4
    fusion: Literal["attention", "average", "concatenation"] = "attention"  # of a product's tokens
    interests: Annotated[int, Meta(ge=1, le=16)] = 4  # vectors of a shopper who asks for nothing
    recent_products: Positive = 24  # that a request looks back on
    loss: Literal["softmax", "margin", "mse"] = "softmax"
    temperature: PositiveFloat = 0.05
    epochs: Positive = 4
    batch_size: Annotated[int, Meta(ge=2)] = 256  # requests
    learning_rate: PositiveFloat = 1e-3
    hard_negatives: Annotated[int, Meta(ge=0, le=16)] = 1  # mined a request
    precision: Precision = "auto"  # auto: bfloat16 where that is native
    patience: Annotated[int, Meta(ge=0)] = 2  # epochs without gain before the end; 0: no end
    max_seconds: Annotated[float, Meta(ge=0)] = 600.0  # ends the training early; 0: never
    min_requests: Positive = 500  # fewer past baskets than this: no towers

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width={self.width} cannot be split evenly among heads={self.heads}")


class RankingConfig(Section, frozen=True, kw_only=True):
    """How the ranker is built and trained."""

    train: bool = True
    dim: Positive = 64
    heads: Positive = 4
    layers: Positive = 2
    points: Annotated[int, Meta(ge=0)] = 16  # through which candidates see each other; 0: not
    recent_products: Positive = 32
    most_ranked: Positive = 200  # candidates of a request; the others keep their order behind them
    runtime: Literal["auto", "torch", "onnx", "cuda"] = "auto"  # what serves it; all score alike
    batch_requests: Annotated[int, Meta(ge=0, le=256)] = 0  # together; 0: 8 on a GPU, else 1
    order_loss: Literal["lambda", "listwise", "pairwise", "none"] = "lambda"
    value_loss: Literal["cross_entropy", "mse", "none"] = "cross_entropy"
    epochs: Positive = 3
    patience: Positive = 2  # epochs without a gain
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.2
    candidates: Positive = 300  # of a request in one step
    learning_rate: PositiveFloat = 1e-3
    batch_size: Positive = 16
    windows: Positive = 8  # of `window_days` before `until`: past requests to learn from
    window_days: Positive = 14
    sampled_negatives: Annotated[int, Meta(ge=0)] = 64  # beside those that retrieval proposes
    min_requests: Positive = 200  # fewer training requests than this: no ranker

    def __post_init__(self) -> None:
        if self.dim % self.heads:
            raise ValueError(f"dim={self.dim} cannot be split evenly among heads={self.heads}")


class AdsConfig(Section, frozen=True, kw_only=True):
    """How sponsored products come onto a page, on a server that takes changes; money in micros."""

    slots: Annotated[int, Meta(ge=0, le=16)] = 2  # sponsored products of a page at most; 0: none
    price_rule: Literal["gsp", "vcg", "first_price"] = "gsp"
    reserve_cpc_micros: Micros = 0  # the least price of a click
    reserve_cpm_micros: Micros = 0  # the least price of a thousand views
    click_value_micros: Micros = 100_000  # to the shop, of a click on the most relevant product
    floor: Fraction = 0.2  # of the best relevance; what is below it is not sponsored
    token_minutes: Annotated[int, Meta(ge=1, le=10_080)] = 30  # until a click counts no more


class ServeConfig(Section, frozen=True, kw_only=True):
    """Where and how the server listens."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8000
    deadline_ms: Annotated[int, Meta(ge=1, le=OFFLINE_DEADLINE_MS)] = 2_000
    threads: Positive = 2  # of each process
    workers: Annotated[int, Meta(ge=1, le=256)] = 1  # processes that answer
    follow_seconds: Annotated[float, Meta(ge=0, le=3_600)] = (
        2.0  # between looks at CURRENT; 0: none
    )
    live: str = ""  # folder of the log of changes; "": none are taken
    log: str = ""  # folder for what is ranked; "": nothing is kept
    profile_days: Positive = 35  # that acts of shoppers stay in their profiles
    hosts: tuple[str, ...] = ()  # further names that a server with `live` may be called by
    drain_seconds: Annotated[float, Meta(ge=0, le=600)] = 1.0  # after SIGTERM, with /readyz 503
    cache_mb: Annotated[int, Meta(ge=0, le=1_000_000)] = 32  # of answers, of each process; 0: none
    cache_seconds: Annotated[float, Meta(ge=0, le=3_600)] = 30.0  # that an answer is kept; 0: none
    ads: AdsConfig = AdsConfig()


class PeopleConfig(Section, frozen=True, kw_only=True):
    """What is kept of shoppers; files are by default in the folder of `serve.live`."""

    key: str = ""  # file of the key of their names; "": `people.key`
    ledger: str = ""  # file of who withdrew a purpose or was erased; "": `people.jsonl`
    http: bool = False  # whether /v1/people exports and erases whomever a request names


Silence = Literal["granted", "denied"]


class ConsentConfig(Section, frozen=True, kw_only=True):
    """What it means that a shopper said nothing about a purpose."""

    search: Silence = "granted"
    recommend: Silence = "granted"
    ads: Silence = "granted"
    train: Silence = "granted"

    def beside(self, other: "ConsentConfig") -> "ConsentConfig":
        """Return what silence means where another configuration counts, too: a denial holds."""
        denied = {
            purpose: "denied"
            for purpose in self.__struct_fields__
            if "denied" in (getattr(self, purpose), getattr(other, purpose))
        }
        return msgspec.convert(denied, ConsentConfig)


GRANTED = ConsentConfig()


class GateConfig(Section, frozen=True, kw_only=True):
    """What a draft must reach to be served; `index.recall_target` belongs to it, too."""

    queries: Positive = 100  # of each kind, made where the shop pins none
    least_ndcg: Fraction = 0.95  # of the live release's; a loss by chance does not count
    most_lost: Fraction = 0.0  # share of the shop's products that the draft lacks
    most_gone: Fraction = 0.1  # share of the live products that the shop has no more
    least_texts: Fraction = 0.99  # share of the products that have a text vector
    most_fewer_pictures: Fraction = 0.05  # share of picture vectors, below the live release's
    most_latency: PositiveFloat = 2.0  # times that of the live release, side by side
    timed: Positive = 20  # pinned queries that are timed
    kept_dark: Annotated[int, Meta(ge=0)] = 2  # drafts that failed; older ones are removed


class RebuildConfig(Section, frozen=True, kw_only=True):
    """What a build takes from the live release instead of making it again."""

    reuse: bool = True  # what has not changed; false: everything is made anew
    most_drift: Fraction = 0.1  # share of changed products up to which what was learnt is kept


class Config(Section, frozen=True, kw_only=True):
    """Everything that a build depends on, apart from its data."""

    shop: ShopConfig = ShopConfig()
    encoders: EncodersConfig = EncodersConfig()
    clip: ClipConfig = ClipConfig()
    text_training: TextTrainingConfig = TextTrainingConfig()
    index: IndexConfig = IndexConfig()
    behaviour: BehaviourConfig = BehaviourConfig()
    retrieval: RetrievalConfig = RetrievalConfig()
    towers: TowersConfig = TowersConfig()
    ranking: RankingConfig = RankingConfig()
    gate: GateConfig = GateConfig()
    rebuild: RebuildConfig = RebuildConfig()
    serve: ServeConfig = ServeConfig()
    people: PeopleConfig = PeopleConfig()
    consent: ConsentConfig = ConsentConfig()
    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    threads: Positive = 2


def num_bytes(size: str) -> int:
    """Read a size such as `500MB` or `1.5 GB`, in powers of 1,000."""
    found = re.fullmatch(SIZE, size)
    if not size or found is None:
        raise ConfigError(f"{size!r} is not a size; write for example 500MB or 1.5GB")
    unit = size.lstrip("0123456789. ")
    return round(float(size[: -len(unit)]) * float(1_000 ** POWERS[unit]))


def not_hidden(config: Config) -> str:
    """Return the filter that every window is under, unless candidates are given."""
    tags = ", ".join(f'"{tag}"' for tag in config.retrieval.hidden_tags)
    return f"NOT tags: ANY({tags})" if tags else ""
