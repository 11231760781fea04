"""Puts the network of a bundle into 8 bits."""

import logging
import shutil
from pathlib import Path

import msgspec

from ranking.bundle import ABOUT, NETWORK, TOKENS, Bundle
from ranking.calibration.calibration import FILE as CALIBRATION


def quantise(bundle: Path, smaller: Path) -> None:
    """Write a copy of a bundle whose linear layers multiply in 8 bits.

    Weights get a scale a column once, activations one a matrix as they come (dynamic
    quantisation; Krishnamoorthi 2018, section 3). Sums, softmax and norms stay in 32 bits.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    about = Bundle.open(bundle).about
    smaller.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.WARNING)  # it advises a preparation that changes nothing here
    try:
        quantize_dynamic(
            bundle / NETWORK,
            smaller / NETWORK,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["MatMul", "Gemm"],
        )
    finally:
        logging.disable(logging.NOTSET)
    for name in (TOKENS, CALIBRATION):
        shutil.copyfile(bundle / name, smaller / name)
    said = msgspec.structs.replace(about, precision="int8")
    (smaller / ABOUT).write_bytes(msgspec.json.encode(said))
    Bundle.open(smaller)
