"""Ranks with an exported ranker on ONNX Runtime; torch is not needed, nor any index."""

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

import msgspec
import numpy as np
from jaxtyping import Float16, Float32, Int64
from msgspec import Meta

from ranking.answers import RankerAnswer, RequestKind, ranked
from ranking.calibration.calibration import FILE as CALIBRATION
from ranking.calibration.calibration import (
    KINDS,
    Calibration,
    UnknownCalibration,
    head_name,
    read,
)
from ranking.rank_call import Context

ABOUT, NETWORK, TOKENS = "bundle.json", "ranker.onnx", "tokens.npy"
EXPLANATION = "explanation.onnx"  # of a release: why candidates stand where they stand
PROBES = "probes.npz"  # of a release: what a few requests hold, and what torch answers to them
INPUTS = (
    "candidates",
    "features",
    "query",
    "asked",
    "recent_tokens",
    "recent_facts",
    "facts",
)
EXPLAINED = (*INPUTS, "outcome", "places")  # inputs of an explanation
LARGEST_ABOUT = 64_000  # bytes
LARGEST_NETWORK = 256_000_000
OUTSIDE = b"\x0a\x08location"  # how a network names a file beside it, which we never write

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Names = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=1_000)]
Size = Annotated[int, Meta(ge=1, le=65_536)]


class UnknownBundle(ValueError):
    """A folder that is no bundle of this version, or that is damaged."""


class BundleDescription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is needed to feed the network and to read its answer."""

    format: Literal[1] = 1
    precision: Literal["fp32", "int8"]
    features: Names  # columns of the features, in this order
    outcomes: Names  # columns of the answer
    outcome: Name  # that the candidates are ordered by
    windows: Annotated[tuple[Name, ...], Meta(max_length=16)]  # where it was measured to be better
    dim: Size  # of a token
    vector_dim: Size  # of a query
    num_facts: Size  # that the network knows, and one for none
    facts: Annotated[tuple[int, ...], Meta(max_length=1_023)]  # their codes, ascending

    def __post_init__(self) -> None:
        """Refuse to order by an outcome that the network does not tell."""
        if self.outcome not in self.outcomes:
            raise ValueError(f"{self.outcome!r} should be one of {', '.join(self.outcomes)}")
        if not all(0 < code < 2**63 for code in self.facts) or len(self.facts) >= self.num_facts:
            raise ValueError(f"{len(self.facts)} facts should be fewer than {self.num_facts}")


@runtime_checkable
class RequestContext(Protocol):
    """One request, as `ranking.features.context.Context` holds it; unused places are -1 and 0."""

    @property
    def query(self) -> Float32[np.ndarray, "v"] | None:
        """Return the query's vector in the joined space; None: nothing was asked."""

    @property
    def recent(self) -> Int64[np.ndarray, "r"]:
        """Return rows of distinct products, newest first."""

    @property
    def recent_facts(self) -> Float32[np.ndarray, "r 2"]:
        """Return log days since, and log times bought."""

    @property
    def facts(self) -> Int64[np.ndarray, "f"]:
        """Return the codes of facts about shopper and scene; those never learnt are left out."""


class Bundle:
    """An exported ranker; `rank` answers as that of `ranking.ranker.Ranker` does."""

    def __init__(
        self,
        session: Any,
        tokens: Float16[np.ndarray, "n d"],
        about: BundleDescription,
        calibrations: Mapping[str, Calibration],
    ) -> None:
        self.about = about
        self._session = session
        self._tokens = tokens
        self._calibrations = calibrations

    @classmethod
    def open(cls, folder: Path, threads: int = 1) -> "Bundle":
        """Read what `ranking.compression.export` wrote; UnknownBundle where it is anything else.

        Sizes are bounded and no code in the folder is run, but the numbers are taken as they are:
        compare checksums where you do not trust the way that the folder came.
        """
        about = _about(folder)
        tokens = _tokens(folder, about)
        _size(folder, CALIBRATION)
        try:
            calibrations = read(folder)
        except (OSError, UnknownCalibration) as e:
            raise _unknown(folder, str(e)) from None
        heads = {head_name(kind, outcome) for kind in KINDS for outcome in about.outcomes}
        if not set(calibrations) <= heads:
            raise _unknown(folder, f"calibrations of {sorted(calibrations)}, not of its outcomes")
        return cls(open_session(folder, about, threads), tokens, about, calibrations)

    def is_better(self, window: RequestKind) -> bool:
        """Tell whether it beat the order of retrieval, when it was built, on such requests."""
        return window in self.about.windows

    def rank(
        self,
        rows: Int64[np.ndarray, "c"],
        features: Float32[np.ndarray, "c f"],
        context: RequestContext,
    ) -> RankerAnswer:
        """Return a logit for each row; UnfitLogits when one is not a number.

        The columns of the features are those that `about.features` names.
        """
        about = self.about
        numbered = Context(
            context.query, context.recent, context.recent_facts, self._numbers(context.facts)
        )
        logits = self.logits(rows, features, numbered)
        is_search = context.query is not None
        return ranked(
            logits, about.outcomes, about.outcome, self._calibrations, is_search=is_search
        )

    def logits(
        self,
        rows: Int64[np.ndarray, "c"],
        features: Float32[np.ndarray, "c f"],
        context: RequestContext,
    ) -> Float32[np.ndarray, "c o"]:
        """Return the answer of the network, whatever it is; the facts are numbers."""
        return self.run(network_inputs(self._tokens, self.about, rows, features, context))

    def run(self, inputs: Mapping[str, np.ndarray]) -> Float32[np.ndarray, "c o"]:
        """Return the answer of the network to what it takes by name."""
        logits: np.ndarray
        [logits] = self._session.run(None, dict(inputs))
        return logits

    def _numbers(self, codes: Int64[np.ndarray, "f"]) -> Int64[np.ndarray, "f"]:
        """Return the place of each fact among those that the network knows, from 1 on; 0: none."""
        known = {code: number for number, code in enumerate(self.about.facts, 1)}
        return np.array([known.get(code, 0) for code in codes.tolist()], np.int64)


def network_inputs(
    tokens: Float16[np.ndarray, "n d"],
    about: BundleDescription,
    rows: Int64[np.ndarray, "c"],
    features: Float32[np.ndarray, "c f"],
    context: RequestContext,
) -> dict[str, np.ndarray]:
    """Return what a network takes of a request, by name; the facts are numbers."""
    recent = context.recent[context.recent >= 0]
    silence = np.zeros(about.vector_dim, np.float32)
    values = (
        tokens[rows].astype(np.float32),
        features,
        silence if context.query is None else np.asarray(context.query),
        np.array([context.query is not None]),
        tokens[recent].astype(np.float32),
        context.recent_facts[: len(recent)],
        context.facts[context.facts > 0],
    )
    return dict(zip(INPUTS, values, strict=True))


def _about(folder: Path) -> BundleDescription:
    try:
        return msgspec.json.decode(_bytes(folder, ABOUT, LARGEST_ABOUT), type=BundleDescription)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise _unknown(folder, f"{ABOUT}: {e}") from None


def _tokens(folder: Path, about: BundleDescription) -> Float16[np.ndarray, "n d"]:
    _size(folder, TOKENS)
    try:
        tokens = np.lib.format.open_memmap(folder / TOKENS, mode="r")
    except (OSError, ValueError, SyntaxError, EOFError, OverflowError) as e:
        raise _unknown(folder, f"{TOKENS} is not an array: {str(e)[:200]}") from None
    if tokens.dtype != np.float16 or tokens.ndim != 2 or tokens.shape[1] != about.dim:
        raise _unknown(
            folder,
            f"{TOKENS} holds {tokens.dtype} {list(tokens.shape)}, "
            f"float16 [products, {about.dim}] was expected",
        )
    return tokens


def open_session(folder: Path, about: BundleDescription, threads: int) -> Any:
    """Open the network of a folder; UnknownBundle where it is not what `about` says."""
    session = _session(folder, NETWORK, threads)
    _check(session, folder, NETWORK, about, INPUTS, len(about.outcomes))
    return session


def open_explanation(folder: Path, about: BundleDescription, threads: int) -> Any:
    """Open what explains the rankings of a folder; UnknownBundle where it is something else."""
    session = _session(folder, EXPLANATION, threads)
    _check(session, folder, EXPLANATION, about, EXPLAINED, len(about.features))
    return session


def _session(folder: Path, name: str, threads: int) -> Any:
    import onnxruntime

    network = _bytes(folder, name, LARGEST_NETWORK)
    if OUTSIDE in network:
        raise _unknown(folder, f"{name} reads another file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    except Exception as e:  # those of the runtime have no kind in common
        raise _unknown(folder, f"{name} is not a network: {str(e)[:200]}") from None


def _check(
    session: Any,
    folder: Path,
    name: str,
    about: BundleDescription,
    inputs: tuple[str, ...],
    width: int,
) -> None:
    """Refuse a network that takes other inputs, or whose last output is not so wide."""
    widths = {one.name: one.shape[-1] for one in session.get_inputs()}
    fixed = {name: width for name, width in widths.items() if isinstance(width, int)}
    known = {
        "candidates": about.dim,
        "features": len(about.features),
        "query": about.vector_dim,
        "asked": 1,
        "recent_tokens": about.dim,
        "recent_facts": 2,
        "outcome": 1,
    }
    expected = {name: width for name, width in known.items() if name in inputs}
    found = session.get_outputs()[-1].shape[-1]
    if tuple(widths) != inputs or fixed != expected or found != width:
        raise _unknown(folder, f"{name} takes {widths} and gives {found}, unlike {ABOUT}")


def _bytes(folder: Path, name: str, largest: int) -> bytes:
    size = _size(folder, name)
    if size > largest:
        raise _unknown(folder, f"{name} has {size:,} bytes, at most {largest:,} were expected")
    return (folder / name).read_bytes()


def _size(folder: Path, name: str) -> int:
    """Return the bytes of a plain file; links and the like are refused."""
    try:
        found = (folder / name).lstat()
    except OSError:
        raise _unknown(folder, f"{name} is missing") from None
    if not stat.S_ISREG(found.st_mode):
        raise _unknown(folder, f"{name} is not a plain file")
    return found.st_size


def _unknown(folder: Path, why: str) -> UnknownBundle:
    return UnknownBundle(
        f"{folder} is no bundle of this version: {why}; run `vetrina export` again"
    )
