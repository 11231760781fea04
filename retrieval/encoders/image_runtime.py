"""Runs an image model on the fastest runtime here that gives the same vectors, by measurement."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from retrieval.encoders.image import ClipEncoder
from retrieval.encoders.openvino_network import Network, is_installed, precisions, trace
from retrieval.encoders.pictures import BrokenPicture, open_picture
from retrieval.encoders.runtimes import (
    LEAST_COSINE,
    OPENVINO,
    TORCH,
    RuntimeChoice,
    RuntimeRecord,
    compiled_record,
    cosines,
    fastest,
    in_torch,
    is_native,
    opened_network,
    precision_of,
    read_record,
)
from retrieval.encoders.weights import UNFIT, first_line

SAMPLE = 64  # pictures that runtimes are compared on
CALIBRATION = 16  # of them, from which the ranges of 8 bits are taken

log = logging.getLogger(__name__)


def choose_image_runtime(
    plain: ClipEncoder, wanted: str, pictures: Sequence[bytes]
) -> RuntimeChoice[ClipEncoder]:
    """Return the fastest of those wanted whose vectors of these pictures are nearly the same.

    `auto` compares all; `openvino` takes torch only where nothing else will do.
    """
    sample = _readable(pictures)
    reason = "" if wanted == TORCH else why_torch(plain)
    if wanted != TORCH and not reason and not sample:
        reason = "there is no picture to compare on"
    in_use = in_torch(plain, plain.fingerprint, reason)
    if wanted == TORCH or reason:
        return in_use
    pixels = _pixels(plain, sample[:CALIBRATION])
    try:
        network = trace(plain.clip.vision_tower().eval(), {"pixels": pixels[:2]})
    except UNFIT as e:
        return in_torch(plain, plain.fingerprint, first_line(e))
    tried = _candidates(plain, network, pixels)
    return fastest(in_use, tried, lambda encoder: _seen(encoder, sample), wanted)


def why_torch(plain: ClipEncoder) -> str:
    """Return why a model stays on torch whatever is faster; "" where it need not."""
    if not is_installed():
        return "openvino is not installed"
    on_card = next(plain.clip.network.parameters()).device.type != "cpu"
    return "torch has a GPU here" if on_card else ""


def open_chosen_image(plain: ClipEncoder, folder: Path) -> RuntimeChoice[ClipEncoder]:
    """Open what a choice wrote, for the same model; torch stands in as for texts."""
    record = read_record(folder, plain.fingerprint)
    if record.runtime == TORCH:
        return RuntimeChoice(plain, record)
    if reason := why_torch(plain):
        log.warning("%s, so torch stands in for %s", reason, record.runtime)
        return RuntimeChoice(plain.under(record.fingerprint), record)
    if not is_native(record):
        log.warning("this processor has no instructions for %s: it may be slow", record.runtime)
    return _compiled(plain, opened_network(folder, record), record)


def still_true_image(
    chosen: RuntimeChoice[ClipEncoder], plain: ClipEncoder, pictures: Sequence[bytes]
) -> bool:
    """Tell whether what was chosen another day gives the vectors of torch for these pictures."""
    sample = _readable(pictures)
    _, least = cosines(_seen(chosen.encoder, sample), _seen(plain, sample)) if sample else (1, 1)
    return least >= LEAST_COSINE


def _compiled(
    plain: ClipEncoder, network: Network, record: RuntimeRecord
) -> RuntimeChoice[ClipEncoder]:
    precision = precision_of(record)
    encoder = plain.running(network, precision, record.fingerprint)
    return RuntimeChoice(encoder, record, network)


def _candidates(
    plain: ClipEncoder, network: Network, pixels: UInt8[Tensor, "n 3 h w"]
) -> dict[str, Callable[[], RuntimeChoice[ClipEncoder]]]:
    def make(precision: str) -> RuntimeChoice[ClipEncoder]:
        made = network
        if precision == "int8":
            made = network.quantised([{"pixels": one.numpy()} for one in torch.split(pixels, 1)])
        return _compiled(plain, made, compiled_record(plain.fingerprint, precision, made))

    return {f"{OPENVINO} {precision}": partial(make, precision) for precision in precisions()}


def _readable(pictures: Sequence[bytes]) -> list[bytes]:
    found = []
    for picture in pictures:
        try:
            open_picture(picture)
        except BrokenPicture:
            continue
        found.append(picture)
        if len(found) == SAMPLE:
            break
    return found


def _pixels(plain: ClipEncoder, pictures: Sequence[bytes]) -> UInt8[Tensor, "n 3 h w"]:
    return torch.stack([plain.clip.pixels(open_picture(picture)) for picture in pictures])


def _seen(encoder: ClipEncoder, pictures: Sequence[bytes]) -> Float32[np.ndarray, "n p"]:
    return encoder.encode_images(pictures)[0]
