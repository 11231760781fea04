"""Chooses and opens the runtime of a model, for texts and pictures alike."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float32

from retrieval.encoders.networks.openvino_network import Network, precisions
from retrieval.encoders.networks.runtimes import (
    OPENVINO,
    TORCH,
    RuntimeChoice,
    RuntimeRecord,
    compiled_record,
    fastest,
    in_torch,
    is_native,
    opened_network,
    read_record,
)
from retrieval.encoders.weights import UNFIT, first_line

log = logging.getLogger(__name__)


@runtime_checkable
class InTorch(Protocol):
    """An encoder that torch runs."""

    fingerprint: str

    def under(self, fingerprint: str) -> Any:
        """Return the same encoder in place of one whose vectors are nearly the same."""
        ...


E = TypeVar("E")
P = TypeVar("P", bound=InTorch)
Candidates = Mapping[str, Callable[[], RuntimeChoice[E]]]  # what makes a choice, by its runtime
Run = Callable[[Network, RuntimeRecord], RuntimeChoice[E]]  # makes one of a network


def choose(
    plain: Any,
    wanted: str,
    why_torch: Callable[[], str],
    candidates: Callable[[], Candidates[E]],
    encode: Callable[[E], Float32[np.ndarray, "n d"]],
) -> RuntimeChoice[E]:
    """Return the fastest of those wanted whose vectors are nearly those of `plain`, in torch.

    `auto` compares all; `openvino` takes torch only where nothing else will do. `why_torch` says
    why nothing else can run the model, or "".
    """
    reason = "" if wanted == TORCH else why_torch()
    in_use: RuntimeChoice[E] = in_torch(plain, plain.fingerprint, reason)
    if wanted == TORCH or reason:
        return in_use
    try:
        tried = candidates()
    except UNFIT as e:
        return in_torch(plain, plain.fingerprint, first_line(e))
    return fastest(in_use, tried, encode, wanted)


def in_each_precision(
    model: str, network: Network, quantise: Callable[[], Network], run: Run[E]
) -> dict[str, Callable[[], RuntimeChoice[E]]]:
    """Return what makes the choice of each precision that this processor has, by its name."""

    def make(precision: str) -> RuntimeChoice[E]:
        made = quantise() if precision == "int8" else network
        return run(made, compiled_record(model, precision, made))

    return {f"{OPENVINO} {precision}": partial(make, precision) for precision in precisions()}


def open_choice(
    plain: P, folder: Path, why_torch: Callable[[], str], run: Run[E]
) -> RuntimeChoice[Any]:
    """Open what a choice wrote, for the same model; EncoderError where it is another's.

    Where OpenVINO is missing, or a GPU is there, torch stands in: its vectors are the same but
    for the cosine that the record tells.
    """
    record = read_record(folder, plain.fingerprint)
    if record.runtime == TORCH:
        return RuntimeChoice(plain, record)
    if reason := why_torch():
        log.warning("%s, so torch stands in for %s", reason, record.runtime)
        return RuntimeChoice(plain.under(record.fingerprint), record)
    warn_where_slow(record)
    return run(opened_network(folder, record), record)


def warn_where_slow(record: RuntimeRecord) -> None:
    """Say where this processor has no instructions for what was chosen."""
    if not is_native(record):
        log.warning("this processor has no instructions for %s: it may be slow", record.runtime)
