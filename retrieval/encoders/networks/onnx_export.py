"""What every export of a network from torch to ONNX has in common."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

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
