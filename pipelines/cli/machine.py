"""What this machine has that builds and answers depend on."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from pipelines.tables import table

TELLING = (
    "torch",
    "onnxruntime",
    "faiss-cpu",
    "faiss-gpu",
    "scalable-vs",
    "open_clip_torch",
    "sentence-transformers",
)


def machine_table() -> str:
    """Write what this machine has that answers or builds depend on."""
    from index import num_gpus

    installed = [(name, _version(name)) for name in TELLING]
    rows = [
        ("python", platform.python_version()),
        ("cores", str(len(os.sched_getaffinity(0)))),
        *((name, found) for name, found in installed if found),
        ("cards that torch sees", _cards_of_torch()),
        ("cards that faiss sees", str(num_gpus())),
    ]
    return table(("this machine", ""), rows)


def _cards_of_torch() -> str:
    """Return how many cards torch sees; where it is not installed, that it is not."""
    if not _version("torch"):
        return "torch is not installed: this machine answers, and builds nothing"
    import torch

    return str(torch.cuda.device_count())


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
