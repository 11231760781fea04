"""Writes the picture side of an image-text model as a network for ONNX Runtime."""

import logging
import shutil
from pathlib import Path

import numpy as np
import torch

from retrieval.encoders.clip.model import Clip
from retrieval.encoders.clip.picture_reader import NETWORK
from retrieval.encoders.networks.onnx_export import OPSET, quiet_export
from retrieval.encoders.networks.onnx_network import OnnxNetwork
from retrieval.encoders.networks.runtimes import LEAST_COSINE

SAMPLE = 3  # random pictures that both networks are compared on

log = logging.getLogger(__name__)


def write_picture_side(clip: Clip, folder: Path) -> None:
    """Write what `PictureReader` opens; nothing where its vectors would not be those of torch.

    A model that ONNX cannot express is opened whole by whoever asks with a picture.
    """
    height, width = clip.resizing.target
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (SAMPLE, 3, height, width), generator=generator).to(torch.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    tower = clip.vision_tower().eval()
    device = clip.device
    try:
        with quiet_export():
            tower.cpu()
            torch.onnx.export(
                tower,
                (pixels[:2],),
                folder / NETWORK,
                input_names=["pixels"],
                output_names=["vectors"],
                dynamic_axes={"pixels": {0: "pictures"}, "vectors": {0: "pictures"}},
                opset_version=OPSET,
                dynamo=False,
            )
            expected = tower(pixels).numpy()
        found = OnnxNetwork.open(folder / NETWORK).run({"pixels": pixels.numpy()})
        least = float(np.sum(found * expected, axis=1).min())
        if not least >= LEAST_COSINE:
            raise ValueError(f"its vectors have a cosine of {least:.4f} with those of torch")
    except Exception as e:  # those of an exporter have no kind in common
        log.warning("a picture in a request will need torch: %s", str(e).partition("\n")[0][:200])
        shutil.rmtree(folder)
    finally:
        tower.to(device)
