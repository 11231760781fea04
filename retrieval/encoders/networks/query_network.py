"""Writes the query network of a text model: its linear layers in 8 bits, as ONNX.

The network reads one text, so that nothing is masked. `retrieval.encoders.networks.byte_layers`
puts it into 8 bits.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import torch

from retrieval.encoders.networks.byte_layers import in_bytes
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
from retrieval.encoders.text_runtime import not_understood
from retrieval.encoders.weights import EncoderError

COMPARED = 48  # random texts
LONGEST = 12  # tokens of such a text
EXAMPLE = "a shop window with rye bread"


def write_query_network(plain: SentenceEncoder, folder: Path) -> QueryTextEncoder:
    """Write the query network of a model into an empty folder, and open it.

    EncoderError where it cannot be exported, or where a vector is further than LEAST_COSINE from
    that of torch.
    """
    if reason := not_understood(plain.model):
        raise EncoderError(reason)
    tokenizer = NetworkTokenizer.of_model(plain.model)
    folder.mkdir(parents=True, exist_ok=True)
    _export(plain.model, tokenizer, folder / NETWORK)
    take_out_token_vectors(folder)
    for name, content in tokenizer.files.items():
        (folder / name).write_bytes(content)
    record = QueryNetworkRecord(
        model=plain.fingerprint,
        fingerprint=fingerprint_of(folder),
        cosine_mean=0.0,
        cosine_least=0.0,
    )
    compared = random_texts(plain.model, COMPARED)
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


class _OneText(torch.nn.Module):
    """A sentence-transformers model as a function of the tokens of one text."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, token_type_ids: Any = None) -> torch.Tensor:
        """Return its vector; without a mask every token is read."""
        read = {"input_ids": input_ids}
        if token_type_ids is not None:
            read["token_type_ids"] = token_type_ids
        first, *others = self.model
        read = first(read)
        read["attention_mask"] = torch.ones_like(input_ids)
        for module in others:
            read = module(read)
        vector: torch.Tensor = read["sentence_embedding"]
        return vector


def _export(model: Any, tokenizer: NetworkTokenizer, path: Path) -> None:
    """Write a model as ONNX, for one text, with its linear layers in 8 bits."""
    from onnx import load, save

    batch = tokenizer.padded(tokenizer.tokens([EXAMPLE]))
    example = {
        name: torch.from_numpy(batch[name])
        for name in ("input_ids", "token_type_ids")
        if name in batch
    }
    with TemporaryDirectory() as folder, quiet_export():
        plain = Path(folder) / NETWORK
        torch.onnx.export(
            _OneText(model).eval(),
            tuple(example.values()),
            plain,
            input_names=list(example),
            output_names=["vectors"],
            dynamic_axes={name: {1: "tokens"} for name in example},
            opset_version=OPSET,
            dynamo=False,
        )
        save(in_bytes(load(str(plain), load_external_data=False)), str(path))


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
    shape = [1, "tokens", table.dims[1]]
    graph.node.remove(lookup)
    graph.initializer.remove(table)
    graph.input.append(make_tensor_value_info(TOKEN_INPUT, TensorProto.FLOAT, shape))
    read = {one for node in graph.node for one in node.input}
    for one in [one for one in graph.input if one.name not in read]:
        graph.input.remove(one)
    save(model, str(folder / NETWORK))
