"""Writes a ranker as a bundle: an ONNX network, the product tokens, and what they mean."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jaxtyping
import msgspec
import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ranking.bundle import ABOUT, INPUTS, NETWORK, PROBES, TOKENS, Bundle
from ranking.calibration.calibration import FILE as CALIBRATION
from ranking.network.cross_attention import CrossAttentionRanker
from ranking.network.files import open_network
from ranking.runtimes.onnx_runtime import described
from retrieval.encoders.networks.onnx_export import quiet_export

PROBED = ((1, 0, 1), (7, 5, 3), (200, 32, 10), (1_000, 32, 12))  # candidates, recent, facts


class WholeCall(nn.Module):
    """One request from its context to its logits, without a batch axis."""

    def __init__(self, network: CrossAttentionRanker) -> None:
        super().__init__()
        self.network = network

    def forward(  # noqa: PLR0913 - the inputs of a request
        self,
        candidates: Float[Tensor, "c d"],
        features: Float[Tensor, "c f"],
        query: Float[Tensor, "v"],
        asked: Bool[Tensor, "1"],
        recent_tokens: Float[Tensor, "r d"],
        recent_facts: Float[Tensor, "r 2"],
        facts: Int[Tensor, "g"],
    ) -> Float[Tensor, "c o"]:
        """Return one logit a candidate and outcome."""
        seen = self.network.context(
            rearrange(query, "v -> 1 v"),
            rearrange(recent_tokens, "r d -> 1 r d"),
            rearrange(recent_facts, "r t -> 1 r t"),
            rearrange(facts, "g -> 1 g"),
        )
        # Not `len`: it would fix the length in the exported network.
        others = torch.ones(recent_tokens.shape[0] + facts.shape[0], dtype=torch.bool)
        mask = rearrange(torch.cat([asked, others]), "t -> 1 t")
        kept = torch.ones(1, candidates.shape[0], dtype=torch.bool)
        logits = self.network(
            rearrange(candidates, "c d -> 1 c d"),
            rearrange(features, "c f -> 1 c f"),
            kept,
            seen,
            mask,
        )
        answer: Tensor = rearrange(logits, "1 c o -> c o")
        return answer


def example_inputs(
    network: CrossAttentionRanker, num_candidates: int, num_recent: int, num_facts: int
) -> dict[str, Tensor]:
    """Return random inputs of a whole call, by name."""
    shape = network.shape
    values = (
        torch.randn(num_candidates, shape.dim),
        torch.randn(num_candidates, shape.num_features),
        torch.randn(shape.vector_dim),
        torch.ones(1, dtype=torch.bool),
        torch.randn(num_recent, shape.dim),
        torch.rand(num_recent, 2),
        torch.randint(1, shape.num_facts, (num_facts,)),
    )
    return dict(zip(INPUTS, values, strict=True))


def export(ranker: Path, bundle: Path) -> None:
    """Write the bundle of a ranker's folder."""
    about, network = open_network(ranker)
    bundle.mkdir(parents=True, exist_ok=True)
    write_onnx(network, bundle / NETWORK)
    for name in (TOKENS, CALIBRATION):
        shutil.copyfile(ranker / name, bundle / name)
    (bundle / ABOUT).write_bytes(msgspec.json.encode(described(about)))
    Bundle.open(bundle)  # a network whose lengths were fixed by mistake is refused here


def write_graph(ranker: Path) -> None:
    """Write the network of a ranker's folder beside its weights, for the ONNX runtime."""
    _, network = open_network(ranker)
    write_onnx(network, ranker / NETWORK)
    write_probes(network, ranker / PROBES)


def write_probes(network: CrossAttentionRanker, path: Path) -> None:
    """Write what a few requests hold, and what torch answers, to compare other runtimes with."""
    torch.manual_seed(0)
    arrays: dict[str, np.ndarray] = {"count": np.array(len(PROBED))}
    whole = WholeCall(network.eval())
    for number, (candidates, recent, facts) in enumerate(PROBED):
        inputs = example_inputs(network, candidates, recent, facts)
        reader = network.from_features
        inputs["features"] = reader.mean + reader.scale * inputs["features"]
        inputs["asked"][:] = number % 2 > 0
        with torch.no_grad():
            arrays[f"{number}_logits"] = whole(*inputs.values()).numpy()
        arrays |= {f"{number}_{name}": one.numpy() for name, one in inputs.items()}
    np.savez(path, allow_pickle=False, **arrays)


def write_onnx(network: CrossAttentionRanker, path: Path) -> None:
    """Write a whole call as one ONNX network, for lists and contexts of any length."""
    candidates, recent, facts = (torch.export.Dim(name) for name in ("c", "r", "g"))
    lengths = (candidates, candidates, None, None, recent, recent, facts)
    inputs = example_inputs(network, 7, 5, 3)
    with quiet_export(), _unchecked_shapes():
        torch.onnx.export(
            WholeCall(network.eval()).eval(),
            tuple(inputs.values()),
            path,
            input_names=list(INPUTS),
            output_names=["logits"],
            dynamo=True,
            external_data=False,
            verbose=False,
            dynamic_shapes=tuple(None if length is None else {0: length} for length in lengths),
        )


@contextmanager
def _unchecked_shapes() -> Iterator[None]:
    """Check no shapes while a network is traced: its lengths are symbols."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)
