from collections import Counter

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from retrieval.encoders.networks.byte_layers import BLOCK, in_bytes, quantised

WIDTH, TOKENS = 2 * BLOCK + 7, 5


def weights(seed: int, outputs: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(WIDTH, outputs)).astype(np.float32)


def network() -> ModelProto:
    """Return three layers that read the same, whose answers are cut into heads by their shape."""
    stored = {f"w{n}": weights(n, 8) for n in range(3)} | {"two": np.array([2], np.int64)}
    stored |= {f"b{n}": np.full(8, n, np.float32) for n in range(3)}
    nodes = [helper.make_node("Shape", ["b2"], ["unread"])]
    for n in range(3):
        nodes += [
            helper.make_node("MatMul", ["x", f"w{n}"], [f"p{n}"]),
            helper.make_node("Add", [f"b{n}", f"p{n}"], [f"y{n}"]),
            helper.make_node("Shape", [f"y{n}"], [f"whole{n}"], start=0, end=2),
            helper.make_node("Concat", [f"whole{n}", "two", "four"], [f"heads{n}"], axis=0),
            helper.make_node("Reshape", [f"y{n}", f"heads{n}"], [f"z{n}"]),
        ]
    stored["four"] = np.array([4], np.int64)
    nodes.append(helper.make_node("Concat", ["z0", "z1", "z2"], ["answer"], axis=-1))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "tokens", WIDTH])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, [1, "tokens", 2, 12])
    arrays = [numpy_helper.from_array(array, name) for name, array in stored.items()]
    graph = helper.make_graph(nodes, "network", [x], [answer], arrays)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def answer(model: ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"x": x})[0])


@pytest.mark.parametrize("tokens", [1, TOKENS])
def test_a_network_in_bytes_answers_nearly_as_before(tokens: int) -> None:
    x = np.random.default_rng(9).normal(size=(1, tokens, WIDTH)).astype(np.float32)

    before, after = answer(network(), x), answer(in_bytes(network()), x)

    assert np.abs(after - before).max() < 0.02 * np.abs(before).max()


def test_layers_that_read_the_same_become_one_and_nothing_is_left_of_them() -> None:
    found = in_bytes(network()).graph

    kinds = Counter(node.op_type for node in found.node)
    assert kinds == {"MatMulNBits": 1, "Split": 1, "Reshape": 3, "Concat": 1}
    assert not {"w0", "w1", "w2", "two"} & {one.name for one in found.initializer}


def test_a_weight_is_off_by_half_a_step_of_its_block_and_0_by_nothing() -> None:
    given = weights(1, 3)
    given[:BLOCK, 0] = 0
    given[3, 1] = 100  # coarse for the first block of the second output alone

    coded, scales, zeros = quantised(given)

    steps = np.repeat(scales, BLOCK, axis=1)[:, :WIDTH].T
    back = (coded.astype(np.float32) - zeros[..., None]) * scales[..., None]
    back = back.reshape(3, -1)[:, :WIDTH].T
    assert (np.abs(back - given) <= 0.501 * steps).all()
    assert not back[:BLOCK, 0].any()
    assert steps[BLOCK, 1] < 0.1 * steps[0, 1]
