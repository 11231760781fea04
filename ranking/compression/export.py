"""Writes a ranker as a bundle: an ONNX network, the product tokens, and what they mean."""

import shutil
from pathlib import Path

import msgspec
import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ranking.bundle import (
    ABOUT,
    EXPLAINED,
    EXPLANATION,
    INPUTS,
    NETWORK,
    PROBES,
    TOKENS,
    Bundle,
)
from ranking.calibration.calibration import FILE as CALIBRATION
from ranking.network.batch import Inputs
from ranking.network.cross_attention import CrossAttentionRanker
from ranking.network.explanation import explained
from ranking.network.files import open_network
from ranking.network.shape import OUTCOMES
from ranking.runtimes.onnx_runtime import described
from retrieval.encoders.networks.onnx_export import quiet_export, unchecked_shapes

LENGTHS = {  # of the inputs whose first axis varies, by name
    "candidates": "c",
    "features": "c",
    "recent_tokens": "r",
    "recent_facts": "r",
    "facts": "g",
    "places": "k",
}
EXPLAINED_PROBES = 10  # candidates of each probe, at most
PROBED = ((1, 0, 1), (7, 5, 3), (200, 32, 10), (1_000, 32, 12))  # candidates, recent, facts


class WholeCall(nn.Module):
    """One request from its context to its logits, without a batch axis."""

    def __init__(self, network: CrossAttentionRanker) -> None:
        super().__init__()
        self.network = network

    def forward(self, *request: Tensor) -> Float[Tensor, "c o"]:
        """Return one logit a candidate and outcome; `request` is as INPUTS name it."""
        answer: Tensor = rearrange(self.network(*inputs_of(self.network, *request)), "1 c o -> c o")
        return answer


class WholeExplanation(nn.Module):
    """One request from its context to why some of its candidates stand where they stand."""

    def __init__(self, network: CrossAttentionRanker) -> None:
        super().__init__()
        self.network = network

    def forward(self, *asked: Tensor) -> tuple[Float[Tensor, "k t"], Float[Tensor, "k f"]]:
        """Return what they attended to, and what moved them; `asked` is as EXPLAINED name it."""
        *request, outcome, places = asked
        return explained(self.network, inputs_of(self.network, *request), outcome, places)


def inputs_of(  # noqa: PLR0913 - the inputs of a request
    network: CrossAttentionRanker,
    candidates: Float[Tensor, "c d"],
    features: Float[Tensor, "c f"],
    query: Float[Tensor, "v"],
    asked: Bool[Tensor, "1"],
    recent_tokens: Float[Tensor, "r d"],
    recent_facts: Float[Tensor, "r 2"],
    facts: Int[Tensor, "g"],
) -> Inputs:
    """Return what the network takes of one request, alone in its batch."""
    context = network.context(
        rearrange(query, "v -> 1 v"),
        rearrange(recent_tokens, "r d -> 1 r d"),
        rearrange(recent_facts, "r t -> 1 r t"),
        rearrange(facts, "g -> 1 g"),
    )
    # Not `len`: it would fix the length in the exported network.
    others = torch.ones(recent_tokens.shape[0] + facts.shape[0], dtype=torch.bool)
    return Inputs(
        rearrange(candidates, "c d -> 1 c d"),
        rearrange(features, "c f -> 1 c f"),
        torch.ones(1, candidates.shape[0], dtype=torch.bool),
        context,
        rearrange(torch.cat([asked, others]), "t -> 1 t"),
    )


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


def explanation_inputs(outcome: int, count: int) -> dict[str, Tensor]:
    """Return what an explanation is asked beyond a call: an outcome, and the first places."""
    values = (torch.tensor([outcome]), torch.arange(count))
    return dict(zip(EXPLAINED[len(INPUTS) :], values, strict=True))


def export(ranker: Path, bundle: Path) -> None:
    """Write the bundle of a ranker's folder."""
    about, network = open_network(ranker)
    bundle.mkdir(parents=True, exist_ok=True)
    write_onnx(network, bundle / NETWORK)
    for name in (TOKENS, CALIBRATION):
        shutil.copyfile(ranker / name, bundle / name)
    (bundle / ABOUT).write_bytes(msgspec.json.encode(described(about)))
    Bundle.open(bundle)  # a network whose lengths were fixed by mistake is refused here


def write_graphs(ranker: Path) -> None:
    """Write what ranks and what explains beside the weights of a ranker, for ONNX Runtime."""
    _, network = open_network(ranker)
    write_onnx(network, ranker / NETWORK)
    write_explanation(network, ranker / EXPLANATION)
    write_probes(network, ranker / PROBES)


def write_probes(network: CrossAttentionRanker, path: Path) -> None:
    """Write what a few requests hold, and what torch answers, to compare other runtimes with."""
    torch.manual_seed(0)
    arrays: dict[str, np.ndarray] = {"count": np.array(len(PROBED))}
    whole, why = WholeCall(network.eval()), WholeExplanation(network.eval())
    for number, (candidates, recent, facts) in enumerate(PROBED):
        inputs = example_inputs(network, candidates, recent, facts)
        reader = network.from_features
        inputs["features"] = reader.mean + reader.scale * inputs["features"]
        inputs["asked"][:] = number % 2 > 0
        asked = explanation_inputs(number % len(OUTCOMES), min(candidates, EXPLAINED_PROBES))
        with torch.no_grad():
            logits = whole(*inputs.values())
            attended, moved = why(*inputs.values(), *asked.values())
        answers = {"logits": logits, "attended": attended, "moved": moved}
        held = inputs | asked | answers
        arrays |= {f"{number}_{name}": one.numpy() for name, one in held.items()}
    np.savez(path, allow_pickle=False, **arrays)


def write_onnx(network: CrossAttentionRanker, path: Path) -> None:
    """Write a whole call as one ONNX network, for lists and contexts of any length."""
    inputs = example_inputs(network, 7, 5, 3)
    _write(WholeCall(network.eval()), inputs, ["logits"], path)


def write_explanation(network: CrossAttentionRanker, path: Path) -> None:
    """Write what explains a whole call as one ONNX network, for calls of any length."""
    inputs = example_inputs(network, 7, 5, 3) | explanation_inputs(0, 2)
    _write(WholeExplanation(network.eval()), inputs, ["attended", "moved"], path)


def _write(module: nn.Module, inputs: dict[str, Tensor], outputs: list[str], path: Path) -> None:
    lengths = {name: torch.export.Dim(name) for name in "crgk"}
    varying = [{0: lengths[LENGTHS[name]]} if name in LENGTHS else None for name in inputs]
    with quiet_export(), unchecked_shapes():
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            path,
            input_names=list(inputs),
            output_names=outputs,
            dynamo=True,
            external_data=False,
            verbose=False,
            dynamic_shapes=(tuple(varying),),
        )
