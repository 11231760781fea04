"""Runs an encoder's network on ONNX Runtime, one thread a call, from any thread."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from retrieval.encoders.weights import EncoderError, first_line

OUTSIDE = b"\x0a\x08location"  # how a network names a file beside it, which is never read


class OnnxNetwork:
    """A network with one output."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.inputs: tuple[str, ...] = tuple(one.name for one in session.get_inputs())

    @classmethod
    def open(cls, path: Path) -> "OnnxNetwork":
        """Open a network of one file; EncoderError where it is none. No code in it is run."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            if OUTSIDE in path.read_bytes():
                raise EncoderError(f"{path.name} reads another file")
            session = onnxruntime.InferenceSession(  # of bytes it would keep a second copy
                path, options, providers=["CPUExecutionProvider"]
            )
        except EncoderError:
            raise
        except Exception as e:  # those of the runtime have no kind in common
            raise EncoderError(f"{path.name} is not a network: {first_line(e)}") from None
        return cls(session)

    def run(self, inputs: Mapping[str, np.ndarray]) -> Float32[np.ndarray, "n d"]:
        """Return the output for these inputs."""
        [output] = self._session.run(None, dict(inputs))
        return np.asarray(output, np.float32)
