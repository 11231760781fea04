"""What every export of a network from torch to ONNX has in common."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import jaxtyping
import torch

OPSET = 17


@contextmanager
def quiet_export() -> Iterator[None]:
    """Keep to itself what is said while a network is exported."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


@contextmanager
def unchecked_shapes() -> Iterator[None]:
    """Check no shapes while a network is traced: its lengths are symbols."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)
