"""Orders candidates by the ranker of a release: tokens looked up, features in, logits out."""

import math
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import torch
from jaxtyping import Float16, Float32, Int64
from safetensors.torch import load_file, save_file

from index import map_array, save_array
from ranking.answers import (
    MAX_CANDIDATES,
    Explanation,
    RankerAnswer,
    RequestKind,
    UnfitLogits,
    ranked,
)
from ranking.bundle import BundleDescription
from ranking.calibration.calibration import Calibration, UnknownCalibration, read
from ranking.calibration.calibration import save as write
from ranking.features.definitions import NAMES
from ranking.network.cross_attention import (
    OUTCOMES,
    CrossAttentionRanker,
    ProductTokens,
    RankerShape,
)
from ranking.network.examples import RankedProducts
from ranking.network.explanation import explain
from ranking.network.training import TrainedRanker
from ranking.rank_call import Context, RankCall
from ranking.runtimes.choosing import OpenRuntime, RankerFiles, open_runtime
from ranking.runtimes.torch_runtime import TorchRuntime
from ranking.runtimes.types import IN_TORCH, TORCH, RuntimeSettings
from retrieval.context_facts import EVERY_NUMBER, FactVocabulary

__all__ = [
    "MAX_CANDIDATES",
    "Architecture",
    "Ranker",
    "RankerAnswer",
    "RequestKind",
    "UnfitLogits",
    "UnknownRanker",
    "open_network",
    "product_tokens",
    "save",
    "save_network",
    "save_tokens",
    "told",
]

TOKENS_AT_ONCE = 8_192
TOKENS, TOKEN_WEIGHTS = "tokens.npy", "tokens.safetensors"  # and what makes them


class UnknownRanker(ValueError):
    """A ranker that was trained on other features than this version computes."""


class Architecture(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to build the network again before its weights are read."""

    shape: RankerShape
    features: tuple[str, ...]
    outcome: str  # that the candidates are ordered by
    windows: tuple[str, ...]  # where it was measured to be better than the order of retrieval
    facts: tuple[int, ...] | None = None  # codes of those that it learnt; None: of an older version


class Ranker:
    """The cross-attention ranker with the product tokens of its release.

    Whatever runs the network when candidates are ranked, torch explains.
    """

    def __init__(
        self,
        network: CrossAttentionRanker,
        tokens: Float16[np.ndarray, "n d"],
        about: Architecture,
        calibrations: Mapping[str, Calibration],
        opened: OpenRuntime | None = None,
    ) -> None:
        self._network = network.eval()
        self._torch = TorchRuntime(network, tokens)
        self._opened = opened or OpenRuntime(TORCH, self._torch, None)
        self._facts = EVERY_NUMBER if about.facts is None else FactVocabulary(about.facts)
        self._windows = about.windows
        self._outcome = about.outcome
        self._calibrations = calibrations

    def is_better(self, window: RequestKind) -> bool:
        """Tell whether it beat the order of retrieval, when it was built, on such requests."""
        return window in self._windows

    @property
    def runtime(self) -> str:
        """The name of what runs the network."""
        return self._opened.name

    @classmethod
    def open(cls, folder: Path, how: RuntimeSettings = IN_TORCH) -> "Ranker":
        """Read a folder of `save`; the caller has checked its checksums."""
        about, network = open_network(folder)
        try:
            calibrations = read(folder)
        except UnknownCalibration as e:
            raise UnknownRanker(f"this version does not know such a ranker: {e}") from None
        tokens = map_array(folder / TOKENS)
        opened = open_runtime(RankerFiles(folder, network, tokens, told(about)), how)
        return cls(network, tokens, about, calibrations, opened)

    def rank(
        self,
        rows: Int64[np.ndarray, "c"],
        features: Float32[np.ndarray, "c f"],
        context: Context,
        left_ms: float = math.inf,
    ) -> RankerAnswer:
        """Return a logit for each row; UnfitLogits when one is not a number.

        A fact of the context that no training request had is left out. Where requests queue for
        the network, TooLate when the time is over first.
        """
        call, (_, runtime, queue) = self._call(rows, features, context), self._opened
        logits = queue.logits(call, left_ms) if queue else runtime.logits([call])[0]
        return ranked(
            logits,
            OUTCOMES,
            self._outcome,
            self._calibrations,
            is_search=context.query is not None,
        )

    def explain(
        self,
        rows: Int64[np.ndarray, "c"],
        features: Float32[np.ndarray, "c f"],
        context: Context,
        places: Int64[np.ndarray, "k"],
    ) -> Explanation:
        """Say what the candidates at these places looked at, and what moved their logits.

        The context tokens are the query, the recent products and the facts, in their order; at a
        fact that no training request had nobody looks.
        """
        call = self._call(rows, features, context)
        with torch.no_grad():
            inputs = self._torch.inputs([call])
        found = explain(self._network, inputs, OUTCOMES.index(self._outcome), places)
        known = call.context.facts[context.facts > 0] > 0
        before = found.attended.shape[1] - int(known.sum())
        attended = np.zeros((len(places), before + len(known)), np.float32)
        attended[:, :before] = found.attended[:, :before]
        attended[:, before + np.flatnonzero(known)] = found.attended[:, before:]
        return found._replace(attended=attended)

    def _call(
        self,
        rows: Int64[np.ndarray, "c"],
        features: Float32[np.ndarray, "c f"],
        context: Context,
    ) -> RankCall:
        """Return a call whose facts are numbers of the network; 0 for one that it never met."""
        numbered = context._replace(facts=self._facts.numbers(context.facts))
        return RankCall(rows, features, numbered)


def told(about: Architecture) -> BundleDescription:
    """Return what a bundle in full precision says of itself."""
    return BundleDescription(
        precision="fp32",
        features=about.features,
        outcomes=OUTCOMES,
        outcome=about.outcome,
        windows=about.windows,
        dim=about.shape.dim,
        vector_dim=about.shape.vector_dim,
        num_facts=about.shape.num_facts,
        facts=EVERY_NUMBER.codes if about.facts is None else about.facts,
    )


def open_network(folder: Path) -> tuple[Architecture, CrossAttentionRanker]:
    """Read what a folder of `save` holds apart from the tokens; UnknownRanker where it cannot."""
    try:
        about = msgspec.json.decode((folder / "ranker.json").read_bytes(), type=Architecture)
    except msgspec.DecodeError as e:
        raise UnknownRanker(f"this version does not know such a ranker: {e}") from None
    if about.features != NAMES:
        other = sorted(set(about.features) ^ set(NAMES))
        raise UnknownRanker(
            f"the ranker was trained on {len(about.features)} features, this version computes "
            f"{len(NAMES)} (different: {', '.join(other) or 'their order'}); build again"
        )
    if about.facts is None:
        raise UnknownRanker("the ranker does not say which facts it learnt; build again")
    network = CrossAttentionRanker(about.shape)
    network.load_state_dict(load_file(folder / "ranker.safetensors"))
    return about, network.eval()


def save(
    trained: TrainedRanker,
    products: RankedProducts,
    windows: tuple[str, ...],
    calibrations: Mapping[str, Calibration],
    folder: Path,
) -> None:
    """Write the network, where it is better, and every product's token, computed once."""
    model = trained.model
    folder.mkdir(parents=True, exist_ok=True)
    about = Architecture(
        shape=model.ranker.shape,
        features=NAMES,
        outcome=trained.outcome,
        windows=windows,
        facts=model.facts.codes,
    )
    save_network(about, model.ranker, folder)
    save_array(folder / TOKENS, product_tokens(model.tokens, products))
    save_file(model.tokens.state_dict(), folder / TOKEN_WEIGHTS)
    write(calibrations, folder)


def save_tokens(trained: Path, products: RankedProducts, folder: Path) -> None:
    """Write the tokens of other products, as a ranker of `save` makes them.

    A category below 0 is one that it has not seen: the mean of all stands in for it.
    """
    weights = load_file(trained / TOKEN_WEIGHTS)
    known = weights["from_category.weight"]
    weights["from_category.weight"] = torch.cat([known, known.mean(dim=0, keepdim=True)])
    dim, vector_dim = weights["from_vector.weight"].shape
    tokens = ProductTokens(vector_dim, len(known) + 1, dim)
    tokens.load_state_dict(weights)
    numbers = np.where(products.categories < 0, len(known), products.categories)
    told = products._replace(categories=numbers.astype(np.int32))
    save_array(folder / TOKENS, product_tokens(tokens.eval(), told))


def save_network(about: Architecture, network: CrossAttentionRanker, folder: Path) -> None:
    """Write what `open_network` reads: a network, and what it is, of the shape that it has."""
    told = msgspec.structs.replace(about, shape=network.shape)
    (folder / "ranker.json").write_bytes(msgspec.json.encode(told))
    save_file(network.state_dict(), folder / "ranker.safetensors")


def product_tokens(tokens: ProductTokens, products: RankedProducts) -> Float16[np.ndarray, "n d"]:
    """Return one token a product, in half precision: 2 d bytes."""
    parts = []
    with torch.inference_mode():
        for at in range(0, len(products.vectors), TOKENS_AT_ONCE):
            vectors = np.array(products.vectors[at : at + TOKENS_AT_ONCE])
            categories = products.categories[at : at + TOKENS_AT_ONCE].astype(np.int64)
            part = tokens(torch.from_numpy(vectors), torch.from_numpy(categories))
            parts.append(part.half().numpy())
    return np.concatenate(parts)
