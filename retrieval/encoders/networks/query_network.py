"""Writes the query network of a text model: its linear layers in 8 bits, as ONNX.

Activations get one scale a call, weights one an output. Before that, outlying channels of the
activations are moved into the weights (Xiao et al. 2023, SmoothQuant, arXiv 2211.10438), as they
were seen on texts of random tokens: these exist for every model and are the same on every machine.
"""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from retrieval.encoders.networks.network_tokenizer import NetworkTokenizer
from retrieval.encoders.networks.onnx_export import OPSET, quiet_export
from retrieval.encoders.networks.runtimes import LEAST_COSINE, cosines
from retrieval.encoders.query_texts import (
    ABOUT,
    NETWORK,
    TOKEN_INPUT,
    TOKEN_VECTORS,
    QueryNetworkRecord,
    QueryTextEncoder,
    fingerprint_of,
)
from retrieval.encoders.text import SentenceEncoder
from retrieval.encoders.text_runtime import not_understood, traced
from retrieval.encoders.weights import EncoderError

CALIBRATION, COMPARED = 64, 48  # random texts
LONGEST = 12  # tokens of such a text
SMOOTHING = 0.7  # how much of the spread of activations moves into weights
LEAST_SCALE = 0.05  # share of channels whose scale is raised to that of the next


def write_query_network(plain: SentenceEncoder, folder: Path) -> QueryTextEncoder:
    """Write the query network of a model into an empty folder, and open it.

    EncoderError where it cannot be exported, or where a vector is further than LEAST_COSINE from
    that of torch.
    """
    if reason := not_understood(plain.model):
        raise EncoderError(reason)
    tokenizer = NetworkTokenizer.of_model(plain.model)
    texts = random_texts(plain.model, CALIBRATION + COMPARED)
    model = deepcopy(plain.model)
    smoothen(model, tokenizer, texts[:CALIBRATION])
    folder.mkdir(parents=True, exist_ok=True)
    _export(model, tokenizer, folder / NETWORK)
    take_out_token_vectors(folder)
    for name, content in tokenizer.files.items():
        (folder / name).write_bytes(content)
    record = QueryNetworkRecord(
        model=plain.fingerprint,
        fingerprint=fingerprint_of(folder),
        cosine_mean=0.0,
        cosine_least=0.0,
    )
    compared = texts[CALIBRATION:]
    mean, least = cosines(QueryTextEncoder(folder, record).encode(compared), plain.encode(compared))
    if not least >= LEAST_COSINE:
        raise EncoderError(f"in 8 bits a query has cosine {least:.4f}, below {LEAST_COSINE}")
    record = msgspec.structs.replace(record, cosine_mean=mean, cosine_least=least)
    (folder / ABOUT).write_bytes(msgspec.json.encode(record))
    return QueryTextEncoder(folder, record)


def random_texts(model: Any, count: int) -> list[str]:
    """Return texts of up to LONGEST tokens drawn from the vocabulary; the same in every run."""
    random, tokenizer = np.random.default_rng(0), model.tokenizer
    special = set(tokenizer.all_special_ids)
    usual = [number for number in range(len(tokenizer)) if number not in special]
    drawn = (random.choice(usual, random.integers(1, LONGEST + 1)) for _ in range(count))
    return [tokenizer.decode(tokens.tolist()) or "shop" for tokens in drawn]


def smoothen(model: Any, tokenizer: NetworkTokenizer, texts: Sequence[str]) -> None:
    """Put a scaled linear layer in the place of each, which computes the same."""
    layers = {name: one for name, one in model.named_modules() if isinstance(one, nn.Linear)}
    for name, seen in _activations(model, tokenizer, texts, layers).items():
        above, _, last = name.rpartition(".")
        setattr(model.get_submodule(above), last, ScaledLinear(layers[name], seen))


class ScaledLinear(nn.Module):
    """A linear layer whose inputs are divided by a scale a channel, its weights multiplied."""

    def __init__(self, layer: nn.Linear, seen: Float[Tensor, "n c"]) -> None:
        super().__init__()
        spread = seen.abs().amax(0).clamp(min=1e-6)
        heaviest = layer.weight.detach().abs().amax(0).clamp(min=1e-6)
        scale = spread**SMOOTHING / heaviest ** (1 - SMOOTHING)
        scale = torch.maximum(scale, torch.quantile(scale, LEAST_SCALE))
        self.inverse = nn.Parameter(1 / scale)
        self.layer = deepcopy(layer)
        self.layer.weight.data = layer.weight.data * scale

    def forward(self, x: Tensor) -> Tensor:
        """Return what the layer returned."""
        answer: Tensor = self.layer(x * self.inverse)
        return answer


def _activations(
    model: Any, tokenizer: NetworkTokenizer, texts: Sequence[str], layers: dict[str, nn.Linear]
) -> dict[str, Float[Tensor, "n c"]]:
    """Return what each layer reads; nothing of one that takes no part."""
    seen: dict[str, list[Tensor]] = {}

    def watch(name: str) -> Any:
        def remember(_: Any, inputs: tuple[Tensor, ...]) -> None:
            seen.setdefault(name, []).append(inputs[0].detach().flatten(0, -2))

        return remember

    hooks = [one.register_forward_pre_hook(watch(name)) for name, one in layers.items()]
    try:
        with torch.no_grad():
            for tokens in tokenizer.tokens(list(texts)):
                batch = tokenizer.padded([tokens])
                model({name: torch.from_numpy(one) for name, one in batch.items()})
    finally:
        for hook in hooks:
            hook.remove()
    return {name: torch.cat(some) for name, some in seen.items()}


def _export(model: Any, tokenizer: NetworkTokenizer, path: Path) -> None:
    """Write a model as ONNX, for batches of any size, and put its linear layers into 8 bits."""
    from onnx import load
    from onnxruntime.quantization import QuantType, quantize_dynamic

    whole, example = traced(model, tokenizer)
    axes = {name: {0: "texts", 1: "tokens"} for name in example}
    with TemporaryDirectory() as folder, quiet_export():
        plain = Path(folder) / NETWORK
        torch.onnx.export(
            whole,
            tuple(example.values()),
            plain,
            input_names=list(example),
            output_names=["vectors"],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
        graph = load(str(plain), load_external_data=False).graph
        weights = {one.name for one in graph.initializer}
        products = (one for one in graph.node if one.op_type == "MatMul")
        # Weights from 0 to 255: of signed ones some processors add pairs in 16 bits, and overflow.
        quantize_dynamic(
            plain,
            path,
            weight_type=QuantType.QUInt8,
            per_channel=True,
            op_types_to_quantize=["MatMul", "Gemm"],
            nodes_to_exclude=[one.name for one in products if one.input[1] not in weights],
        )


def take_out_token_vectors(folder: Path) -> None:
    """Write the table of token vectors beside a network, which reads their rows instead.

    The table is most of such a network; as a file of its own it is mapped into memory, so that the
    processes of a server share it. A network that looks up no such table stays as it is.
    """
    from onnx import TensorProto, load, numpy_helper, save
    from onnx.helper import make_tensor_value_info

    model = load(str(folder / NETWORK))
    graph = model.graph
    tables = {one.name: one for one in graph.initializer if len(one.dims) == 2}
    lookups = [one for one in graph.node if one.op_type == "Gather" and one.input[1] == "input_ids"]
    if len(lookups) != 1 or lookups[0].input[0] not in tables:
        return
    [lookup], table = lookups, tables[lookups[0].input[0]]
    np.save(folder / TOKEN_VECTORS, numpy_helper.to_array(table))
    for node in graph.node:
        node.input[:] = [TOKEN_INPUT if one == lookup.output[0] else one for one in node.input]
    shape = ["texts", "tokens", table.dims[1]]
    graph.node.remove(lookup)
    graph.initializer.remove(table)
    graph.input.append(make_tensor_value_info(TOKEN_INPUT, TensorProto.FLOAT, shape))
    read = {one for node in graph.node for one in node.input}
    for one in [one for one in graph.input if one.name not in read]:
        graph.input.remove(one)
    save(model, str(folder / NETWORK))
