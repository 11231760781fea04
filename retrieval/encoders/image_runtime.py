"""Runs an image model on the fastest runtime here that gives the same vectors, by measurement."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from retrieval.encoders.image import ClipEncoder
from retrieval.encoders.networks.choosing import (
    choose,
    in_each_precision,
    open_choice,
)
from retrieval.encoders.networks.openvino_network import Network, is_installed, trace
from retrieval.encoders.networks.runtimes import (
    LEAST_COSINE,
    RuntimeChoice,
    RuntimeRecord,
    cosines,
    precision_of,
)
from retrieval.encoders.pictures import BrokenPicture, open_picture

SAMPLE = 64  # pictures that runtimes are compared on
CALIBRATION = 16  # of them, from which the ranges of 8 bits are taken


def choose_image_runtime(
    plain: ClipEncoder, wanted: str, pictures: Sequence[bytes]
) -> RuntimeChoice[ClipEncoder]:
    """Return the fastest of those wanted whose vectors of these pictures are nearly the same."""
    sample = _readable(pictures)

    def reason() -> str:
        return why_torch(plain) or ("" if sample else "there is no picture to compare on")

    def candidates() -> dict[str, Callable[[], RuntimeChoice[ClipEncoder]]]:
        pixels = _pixels(plain, sample[:CALIBRATION])
        network = trace(plain.clip.vision_tower().eval(), {"pixels": pixels[:2]})
        return _candidates(plain, network, pixels)

    return choose(plain, wanted, reason, candidates, lambda encoder: _seen(encoder, sample))


def why_torch(plain: ClipEncoder) -> str:
    """Return why a model stays on torch whatever is faster; "" where it need not."""
    if not is_installed():
        return "openvino is not installed"
    on_card = next(plain.clip.network.parameters()).device.type != "cpu"
    return "torch has a GPU here" if on_card else ""


def open_chosen_image(plain: ClipEncoder, folder: Path) -> RuntimeChoice[ClipEncoder]:
    """Open what a choice wrote, for the same model; torch stands in as for texts."""
    return open_choice(plain, folder, lambda: why_torch(plain), partial(_compiled, plain))


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
    def quantise() -> Network:
        return network.quantised([{"pixels": one.numpy()} for one in torch.split(pixels, 1)])

    return in_each_precision(plain.fingerprint, network, quantise, partial(_compiled, plain))


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
