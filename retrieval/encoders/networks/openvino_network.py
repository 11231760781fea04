"""The one module that knows OpenVINO: a torch network in, the same network run faster out."""

import logging
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Lock, local
from typing import Any

import numpy as np
import xxhash
from jaxtyping import Float32

from retrieval.encoders.weights import EncoderError, first_line

Inputs = Mapping[str, np.ndarray]

PRECISIONS = {"bf16": "bf16", "int8": "f32", "f32": "f32"}  # ours: what is not int8 runs in this
NETWORK = "network.xml"
WEIGHTS = "network.bin"
SMOOTHING = 0.8  # how much of the spread of activations moves into weights (SmoothQuant, §4)
STEPS = 255  # between the numbers of eight bits
CPU_INFO = Path("/proc/cpuinfo")
BYTE_INSTRUCTIONS = frozenset(("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"))
LEAST_SCALE = 0.05  # share of channels whose scale is raised to that of the next


def is_installed() -> bool:
    """Tell whether this machine can run such networks at all."""
    return find_spec("openvino") is not None


def _openvino() -> Any:
    """Import it without what would tell its makers of every use."""
    modules: dict[str, Any] = sys.modules
    modules.setdefault("openvino_telemetry", None)  # its import fails, and OpenVINO goes on
    import openvino

    return openvino


@contextmanager
def _encoder_errors(what: str) -> Iterator[None]:
    """Raise an EncoderError for whatever OpenVINO raises."""
    try:
        yield
    except Exception as e:  # its exceptions are dozens, and have no kind in common
        raise EncoderError(f"OpenVINO cannot {what}: {first_line(e)}") from None


def precisions() -> tuple[str, ...]:
    """Return the ways to run a network here, those with native instructions only."""
    native = _openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    lacking = {"bf16": "BF16" not in native, "int8": not _multiplies_bytes()}
    return tuple(name for name in PRECISIONS if not lacking.get(name))


def _multiplies_bytes() -> bool:
    """Tell whether the processor sums products of bytes in 32 bits, as far as Linux can tell.

    One without such instructions does it in 16 bits, which overflow, and hardly faster than in
    full precision. OpenVINO says that it has them all the same.
    """
    if not CPU_INFO.exists():
        return True
    return bool(BYTE_INSTRUCTIONS & set(CPU_INFO.read_text().split()))


class Network:
    """A network as OpenVINO reads it, with one output; not yet compiled."""

    def __init__(self, model: Any, digest: str = "") -> None:
        self._model = model
        self.digest = digest  # of what it was quantised by; "": as the torch network is

    def compiled(self, precision: str, threads: int) -> "Runner":
        """Make it run in one of PRECISIONS; EncoderError where that does not work here."""
        settings = {
            "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads,  # each batch on a core of its own: faster than all on one
        }
        with _encoder_errors("compile the network"):
            compiled = _openvino().Core().compile_model(self._model, "CPU", settings)
        return Runner(compiled, threads)

    def quantised(self, batches: Sequence[Inputs]) -> "Network":
        """Return a copy whose linear layers compute in 8 bits, as these inputs call for.

        Weights get a scale a row, activations one a layer, after outlying channels were moved
        into the weights (Xiao et al. 2023, SmoothQuant); what that changes on average is taken
        off again. Padding in an input counts as if it were text, so give one text a batch.
        Raises EncoderError where the network cannot be changed so.
        """
        model, digest = self.copied(), xxhash.xxh3_128()
        with _encoder_errors("put the network into 8 bits"):
            layers = _linear_layers(model)
            seen = _activations(model, layers, batches)
            for source, users in layers.items():
                for numbers in _quantise(users, seen[source]):
                    digest.update(numbers.tobytes())
            model.validate_nodes_and_infer_types()
        return Network(model, digest.hexdigest())

    def copied(self) -> Any:
        """Return the model as OpenVINO's own tools take it."""
        return self._model.clone()

    def save(self, folder: Path) -> None:
        """Write it into a folder as XML and raw numbers."""
        folder.mkdir(parents=True, exist_ok=True)
        _openvino().save_model(self._model, folder / NETWORK, compress_to_fp16=False)


class Runner:
    """A compiled network; one batch is run from any thread, several by one thread at a time."""

    def __init__(self, compiled: Any, streams: int) -> None:
        self._compiled = compiled
        self._own = local()  # to each thread
        self._several = _openvino().AsyncInferQueue(compiled, streams)
        self._lock = Lock()

    def run(self, batches: Iterable[Inputs]) -> list[Float32[np.ndarray, "..."]]:
        """Return the output of each batch, in order; several are run at once."""
        batches = list(batches)
        if len(batches) == 1:
            answer = self._request.infer(dict(batches[0]), share_inputs=True, share_outputs=True)
            return [np.array(answer[0], np.float32)]
        found: list[Any] = [None] * len(batches)

        def take(request: Any, place: int) -> None:
            found[place] = np.array(request.get_output_tensor(0).data, np.float32)

        with self._lock:
            self._several.set_callback(take)
            for place, batch in enumerate(batches):
                self._several.start_async(dict(batch), place)
            self._several.wait_all()
        return found

    @property
    def _request(self) -> Any:
        """The calling thread's own inference request."""
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        return self._own.request


def trace(module: Any, example: Mapping[str, Any]) -> Network:
    """Return what a torch module does with inputs like these, of any size along their axes.

    Raises EncoderError where it cannot be converted.
    """
    import torch

    with (
        _encoder_errors("convert the model"),
        _quietly(),
        torch.no_grad(),
    ):  # with gradients it is not traced
        return Network(_openvino().convert_model(module, example_input=dict(example)))


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep to itself what is said while a network is traced, and the log as it was.

    A conversion that fails leaves a handler and another level at the root of all loggers.
    """
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
        root.setLevel(level)
        root.handlers[:] = handlers


def open_network(folder: Path, digest: str = "") -> Network:
    """Open what `save` wrote; EncoderError where this version of OpenVINO cannot."""
    with _encoder_errors("read the network"):
        return Network(_openvino().Core().read_model(folder / NETWORK), digest)


Source = tuple[str, int]  # the name of a layer, and which of its outputs


def _linear_layers(model: Any) -> dict[Source, list[Any]]:
    """Return the products with constant weights, together where they read the same numbers."""
    found: dict[Source, list[Any]] = {}
    for layer in model.get_ordered_ops():
        if layer.get_type_name() != "MatMul":
            continue
        constant = layer.input_value(1).get_node().get_type_name() == "Constant"
        if constant and layer.get_attributes()["transpose_b"]:
            read = layer.input_value(0)
            source = (read.get_node().get_friendly_name(), read.get_index())
            found.setdefault(source, []).append(layer)
    return found


def _activations(
    model: Any, layers: Iterable[Source], batches: Sequence[Inputs]
) -> dict[Source, Float32[np.ndarray, "n c"]]:
    """Return what reaches each layer for these inputs."""
    probed = model.clone()
    named = {node.get_friendly_name(): node for node in probed.get_ops()}
    sources = list(layers)
    first = len(probed.outputs)
    probed.add_outputs([named[name].output(port) for name, port in sources])
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    request = _openvino().Core().compile_model(probed, "CPU", settings).create_infer_request()
    rows: dict[Source, list[np.ndarray]] = {source: [] for source in sources}
    for batch in batches:
        answers = request.infer(dict(batch))
        for place, source in enumerate(sources):
            found = answers[first + place]
            rows[source].append(np.array(found, np.float32).reshape(-1, found.shape[-1]))
    return {source: np.concatenate(found) for source, found in rows.items()}


def _quantise(layers: list[Any], seen: Float32[np.ndarray, "n c"]) -> list[np.ndarray]:
    """Put layers that read the same numbers into 8 bits; return what that was done by."""
    ops = _openvino().opset13
    weights = [np.array(layer.input_value(1).get_node().data, np.float32) for layer in layers]
    scale = _smoothing(seen, weights)
    smooth = seen / scale
    low, high = _range(smooth)
    step = (high - low) / STEPS
    lost = smooth.mean(0), (np.round(smooth.clip(low, high) / step) * step).mean(0)
    read = ops.multiply(layers[0].input_value(0), ops.constant(_inverse(scale, layers[0])))
    rounded = ops.fake_quantize(read, low, high, low, high, STEPS + 1)
    for layer, plain in zip(layers, weights, strict=True):
        scaled = plain * scale
        most = np.abs(scaled).max(1, keepdims=True).clip(1e-9).astype(np.float32)
        users = list(layer.output(0).get_target_inputs())
        kept = ops.fake_quantize(ops.constant(scaled), -most, most, -most, most, STEPS)
        layer.input(0).replace_source_output(rounded.output(0))
        layer.input(1).replace_source_output(kept.output(0))
        stored = np.round(scaled / most * (STEPS // 2)) / (STEPS // 2) * most
        shift = (scaled @ lost[0] - stored @ lost[1]).astype(np.float32)
        mended = ops.add(layer.output(0), ops.constant(shift))
        for user in users:
            user.replace_source_output(mended.output(0))
    return [scale, np.array([low, high])]


def _smoothing(
    seen: Float32[np.ndarray, "n c"], weights: Sequence[np.ndarray]
) -> Float32[np.ndarray, "c"]:
    """Return by what each channel is divided, and its weights multiplied."""
    spread = np.abs(seen).max(0).clip(1e-6)
    heaviest = np.max([np.abs(one).max(0) for one in weights], axis=0).clip(1e-6)
    scale = spread**SMOOTHING / heaviest ** (1 - SMOOTHING)
    return np.asarray(np.maximum(scale, np.quantile(scale, LEAST_SCALE)), np.float32)


def _range(seen: np.ndarray) -> tuple[np.float32, np.float32]:
    """Return the ends of 256 steps, of which zero is one."""
    low, high = min(float(seen.min()), 0.0), max(float(seen.max()), 1e-6)
    step = (high - low) / STEPS
    zero = round(-low / step)
    return np.float32(-zero * step), np.float32((STEPS - zero) * step)


def _inverse(scale: Float32[np.ndarray, "c"], layer: Any) -> np.ndarray:
    ones = layer.input_value(0).get_partial_shape().rank.get_length() - 1
    return np.asarray((1 / scale).reshape([1] * ones + [-1]), np.float32)
