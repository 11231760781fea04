"""What the steps of a build depend on, each input by a name that a person understands."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from index import Columns, why_no_cagra, why_no_svs
from pipelines.building.digests import code, digest_of, libraries
from pipelines.building.synonyms import relaxation_of
from pipelines.config.sections import Config
from pipelines.release.milvus import in_milvus
from pipelines.shop.product_text import read_texts
from pipelines.shop.reader import Shop
from pipelines.shop.schemas import PRODUCT_SCHEMA
from retrieval.encoders.text import PACKAGED, packaged_folder
from retrieval.encoders.weights import files_fingerprint

Inputs = dict[str, Any]  # values that msgspec can write, by the name of the input

UNKNOWN: Final = object()  # the value of an input that an earlier step has yet to make
ENCODERS = ("text", "image")


class EncoderIdentity(NamedTuple):
    """Which encoders make the vectors, and how they are run."""

    fingerprints: Mapping[str, str]
    runtimes: Mapping[str, Any]  # as `Encoders.runtimes` says it


class EarlierSteps(Protocol):
    """The steps of a build that come before the one whose inputs are read."""

    def key_of(self, step: str) -> Any:
        """Return the key of a step, or UNKNOWN."""
        ...

    def files_of(self, step: str) -> Any:
        """Return the checksums of the files of a step in the order of their names, or UNKNOWN."""
        ...


class BuildInputs:
    """Reads the inputs of steps; each method returns some of them by name, to be joined by `|`."""

    def __init__(  # noqa: PLR0913 - everything that a build depends on
        self,
        shop: Shop,
        config: Config,
        until: datetime | None,
        encoders: EncoderIdentity,
        products: Callable[[], Columns],
        earlier: EarlierSteps,
        release: str,
    ) -> None:
        self._shop = shop
        self._config = config
        self._until = until
        self._encoders = encoders
        self._products = products
        self._earlier = earlier
        self._release = release
        self._fingerprints: dict[str, str] = {}
        self._columns: dict[str, str] = {}

    def code(self) -> Inputs:
        """Return what every step depends on: our code, and the libraries."""
        return {"our code": code(), "libraries": libraries()}

    def shop(self, *parts: str) -> Inputs:
        """Return parts of the shop, as `Shop.fingerprint` names them."""
        return {f"{part} of the shop": self._fingerprint(part) for part in parts}

    def events(self) -> Inputs:
        """Return the events of the shop, with the moment at which they end."""
        until = None if self._until is None else self._until.isoformat()
        shown = "" if until is None else f" until {until.removesuffix('T00:00:00')}"
        return {f"events{shown}": (self._fingerprint("events"), until)}

    def moment(self) -> Inputs:
        """Return the moment of which nothing is known, nor of anything later."""
        return {"until": None if self._until is None else self._until.isoformat()}

    def columns(self, *names: str) -> Inputs:
        """Return columns of the products, in the order of the rows."""
        digests = [self._column(name) for name in sorted(names)]
        return {f"{', '.join(names)} of the products": digests}

    def products(self) -> Inputs:
        """Return every column of the products."""
        digests = [self._column(name) for name in sorted(PRODUCT_SCHEMA.names)]
        return {"all columns of the products": digests}

    def texts(self) -> Inputs:
        """Return the texts of the products that are encoded."""
        return {"texts to encode": self._texts}

    def settings(self, *keys: str) -> Inputs:
        """Return sections of the configuration, or single settings such as `ranking.windows`."""
        return {
            key if "." in key or key == "seed" else f"section {key}": _value(self._config, key)
            for key in keys
        }

    def relaxation(self) -> Inputs:
        """Return how far words of a query may be from those of the products."""
        return {"synonyms and retrieval.fuzzy": relaxation_of(self._config)}

    def encoders(self) -> Inputs:
        """Return the encoders that are in use, and the weight of pictures."""
        fingerprints = self._encoders.fingerprints
        made_by = {f"{name} encoder": fingerprints.get(name, "") for name in ENCODERS}
        return made_by | self.settings("encoders.image_weight")

    def encoder_runtimes(self) -> Inputs:
        """Return how the encoders are run, and what they are opened from."""
        sources = {
            source_name(name): source for name, source in encoder_sources(self._config).items()
        }
        return {"runtimes of the encoders": self._encoders.runtimes} | sources

    def machine(self) -> Inputs:
        """Return which designs of an index are not for this machine."""
        lacking = (why_no_svs(), why_no_svs("LVQ8"), why_no_cagra())
        return {"index designs of this machine": lacking}

    def files_of(self, *steps: str) -> Inputs:
        """Return the files of earlier steps."""
        return {step: self._earlier.files_of(step) for step in steps}

    def index_files(self) -> Inputs:
        """Return the files of the indexes; none where Milvus has them: nothing to hash is here."""
        return {} if in_milvus(self._config.index) else self.files_of("indexes")

    def collection(self) -> Inputs:
        """Return the collection in Milvus, of which each release has its own."""
        return {"Milvus collection": self._release} if in_milvus(self._config.index) else {}

    def key_of(self, step: str) -> Inputs:
        """Return the key of an earlier step, whose files differ from build to build."""
        return {step: self._earlier.key_of(step)}

    @cached_property
    def _texts(self) -> str:
        return digest_of(read_texts(self._shop, self._config.encoders.text.fields))

    def _fingerprint(self, part: str) -> str:
        if part not in self._fingerprints:
            self._fingerprints[part] = self._shop.fingerprint(part)
        return self._fingerprints[part]

    def _column(self, name: str) -> str:
        if name not in self._columns:
            self._columns[name] = digest_of(self._products().column(name))
        return self._columns[name]


def encoder_sources(config: Config) -> dict[str, str]:
    """Return a hash over the settings and the files of each encoder, which need not be opened.

    One that is named by its place on a hub is known by its name.
    """
    text, image = config.encoders.text, config.encoders.image
    return {
        "text": digest_of(_content(text.model), text.max_tokens, text.runtime),
        "image": digest_of(_content(image.model), image.pretrained, image.runtime),
    }


def source_name(encoder: str) -> str:
    """Return the name of the input that says what an encoder is opened from."""
    return f"files and settings of the {encoder} encoder"


def _content(model: str) -> str:
    folder = packaged_folder(model) if model in PACKAGED else Path(model).expanduser()
    return files_fingerprint(folder) if model and folder.is_dir() else model


def _value(config: Config, key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return value
