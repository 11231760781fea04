"""Hashes over values, over our own code and over the libraries: what keys of steps are made of."""

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import xxhash

ROOT = Path(__file__).parents[2]  # where our packages stand
PACKAGES = ("index", "retrieval", "ranking", "pipelines")
LIBRARIES = (
    "faiss-cpu",
    "faiss-gpu",
    "numpy",
    "onnx",
    "open_clip_torch",
    "openvino",
    "pyarrow",
    "scalable-vs",
    "scipy",
    "sentence-transformers",
    "tantivy",
    "torch",
)


def digest_of(*values: Any) -> str:
    """Return a hash over values that msgspec can write."""
    return xxhash.xxh3_128_hexdigest(msgspec.json.encode(values, order="sorted"))


@cache
def code(root: Path = ROOT) -> str:
    """Return a hash over the modules of our packages: other code makes other keys."""
    digest = xxhash.xxh3_128()
    for path in sorted(path for name in PACKAGES for path in (root / name).rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


@cache
def libraries() -> str:
    """Return a hash over the versions of Python and of the libraries that do the work."""
    versions = {name: _version(name) for name in LIBRARIES}
    return digest_of(platform.python_version(), platform.machine(), versions)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
