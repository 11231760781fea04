"""Puts the linear layers of a network of ONNX into bytes, for ONNX Runtime.

Each BLOCK of the weights of an output has a scale and an offset of its own, and so has each BLOCK
of the numbers that a layer reads, when it reads them: nothing is calibrated, and outliers disturb
their own block alone. Layers that read the same numbers become one.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8
from onnx import NodeProto, TensorProto, helper, numpy_helper, shape_inference

BLOCK = 64  # weights of a scale: with fewer a query takes longer, with more it is further away
BYTES = 4  # as ONNX Runtime calls it: what a layer reads is put into 8 bits, too
LIBRARY = "com.microsoft"  # of the layers of ONNX Runtime


class Layer(NamedTuple):
    """A linear layer of a network: a product of matrices, and the bias that is added to it."""

    product: NodeProto
    bias: NodeProto
    weights: Float32[np.ndarray, "k n"]
    offsets: Float32[np.ndarray, "n"]


def in_bytes(model: Any) -> Any:
    """Return a network with its linear layers in bytes, in place of those that it had."""
    graph = model.graph
    _state_shapes(model)
    for number, layers in enumerate(_side_by_side(graph)):
        place = list(graph.node).index(layers[0].product)
        for layer in layers:
            graph.node.remove(layer.product)
            graph.node.remove(layer.bias)
        for node in reversed(_as_one(graph, layers, f"bytes_{number}")):
            graph.node.insert(place, node)
    _drop_unread(graph)
    model.opset_import.append(helper.make_opsetid(LIBRARY, 1))
    return model


def quantised(
    weights: Float32[np.ndarray, "k n"],
) -> tuple[UInt8[np.ndarray, "n b s"], Float32[np.ndarray, "n b"], UInt8[np.ndarray, "n b"]]:
    """Return weights by output and BLOCK as bytes, and the scale and the zero of each block.

    A weight is about `scale * (byte - zero)`; 0 is exact, and fills up the last block.
    """
    blocks = -(-len(weights) // BLOCK)
    padded = np.pad(weights, ((0, blocks * BLOCK - len(weights)), (0, 0)))
    parts = np.ascontiguousarray(padded.T, np.float32).reshape(-1, blocks, BLOCK)
    lowest, highest = parts.min(axis=-1).clip(max=0), parts.max(axis=-1).clip(min=0)
    scales = ((highest - lowest) / 255).clip(np.finfo(np.float32).tiny)
    zeros = np.round(-lowest / scales)
    coded = np.round(parts / scales[..., None]) + zeros[..., None]
    return coded.clip(0, 255).astype(np.uint8), scales, zeros.astype(np.uint8)


def _state_shapes(model: Any) -> None:
    """Give each reshaping that leaves at most one size open its shape, which else is computed."""
    inferred = shape_inference.infer_shapes(model, data_prop=True).graph.value_info
    shapes = {one.name: [*map(_size, one.type.tensor_type.shape.dim)] for one in inferred}
    for node in [one for one in model.graph.node if one.op_type == "Reshape"]:
        stated = _stated(*(shapes.get(name, []) for name in (node.input[0], node.output[0])))
        if stated and stated.count(-1) <= 1:
            shape = np.array(stated, np.int64)
            node.input[1] = _stored(model.graph, f"{node.output[0]}_shape", shape)


def _stated(before: Sequence[int | str], after: Sequence[int | str]) -> list[int]:
    """Return the sizes that are known: 0 for one that stays as it was, -1 for what is not known."""
    same = [one and [one] == [*before[place : place + 1]] for place, one in enumerate(after)]
    known = [one if isinstance(one, int) else -1 for one in after]
    return [0 if stays else size for stays, size in zip(same, known, strict=True)]


def _size(dimension: Any) -> int | str:
    """Return how long a dimension is, or the name of what is not known."""
    return int(dimension.dim_value) or str(dimension.dim_param)


def _drop_unread(graph: Any) -> None:
    """Take out what nothing reads any more, which ONNX Runtime would go on computing."""
    read = {one.name for one in graph.output}
    for node in list(reversed(graph.node)):
        if read.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            read.update(node.input)
    for unread in [one for one in graph.initializer if one.name not in read]:
        graph.initializer.remove(unread)


def _side_by_side(graph: Any) -> Iterator[list[Layer]]:
    """Yield the linear layers of a graph, those together that read the same numbers."""
    stored = {one.name: one for one in graph.initializer}
    readers = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            readers[name].append(node)
    layers = defaultdict(list)
    for node in graph.node:
        if layer := _layer(node, readers, stored):
            layers[node.input[0]].append(layer)
    yield from layers.values()


def _layer(product: NodeProto, readers: Any, stored: Any) -> Layer | None:
    """Return the linear layer that begins with a node; None where none does."""
    after = readers[product.output[0]]
    if product.op_type != "MatMul" or product.input[1] not in stored or len(after) != 1:
        return None
    [bias] = after
    added = [name for name in bias.input if name in stored]
    if bias.op_type != "Add" or len(added) != 1:
        return None
    weights, offsets = (numpy_helper.to_array(stored[n]) for n in (product.input[1], added[0]))
    fits = weights.ndim == 2 and offsets.shape == weights.shape[1:]
    return Layer(product, bias, weights, offsets) if fits else None


def _as_one(graph: Any, layers: Sequence[Layer], name: str) -> list[NodeProto]:
    """Return the nodes that do what these layers do, which read the same."""
    weights = np.concatenate([layer.weights for layer in layers], axis=1)
    coded, scales, zeros = quantised(weights)
    offsets = np.concatenate([layer.offsets for layer in layers])
    parts = {"codes": coded, "scales": scales, "zeros": zeros, "offsets": offsets}
    inputs = {part: _stored(graph, f"{name}_{part}", array) for part, array in parts.items()}
    found = [layer.bias.output[0] for layer in layers]
    alone = len(layers) == 1
    product = helper.make_node(
        "MatMulNBits",
        [layers[0].product.input[0], inputs["codes"], inputs["scales"], inputs["zeros"], "",
         inputs["offsets"]],  # "": the order of the weights, which is as it was
        found if alone else [name],
        name=name,
        domain=LIBRARY,
        K=weights.shape[0],
        N=weights.shape[1],
        bits=8,
        block_size=BLOCK,
        accuracy_level=BYTES,
    )  # fmt: skip
    if alone:
        return [product]
    sizes = np.array([len(layer.offsets) for layer in layers], np.int64)
    lengths = _stored(graph, f"{name}_lengths", sizes)
    return [product, helper.make_node("Split", [name, lengths], found, axis=-1)]


def _stored(graph: Any, name: str, array: np.ndarray) -> str:
    """Store an array in a graph, and return its name there."""
    tensor: TensorProto = numpy_helper.from_array(np.ascontiguousarray(array), name)
    graph.initializer.append(tensor)
    return name
