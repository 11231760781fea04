"""Encodes the texts of queries by a network in 8 bits, without torch: what a server runs."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import xxhash
from jaxtyping import Float32

from index import fit_vectors, map_array
from retrieval.encoders.networks.network_tokenizer import NetworkTokenizer
from retrieval.encoders.networks.onnx_network import OnnxNetwork
from retrieval.encoders.weights import EncoderError, first_line

NETWORK, ABOUT = "queries.onnx", "queries.json"
TOKEN_VECTORS = "token_vectors.npy"  # [tokens d]: what the network begins with, mapped into memory
TOKEN_INPUT = "token_vectors"  # of the network: the rows of TOKEN_VECTORS


class QueryNetworkRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which model a query network is, and how near it comes to it."""

    model: str  # the fingerprint of the model in torch
    fingerprint: str  # of the network's file: what ties vectors to it
    cosine_mean: float  # of its vectors with those of torch, over texts it was not calibrated on
    cosine_least: float


class QueryTextEncoder:
    """A text model in 8 bits, for one query at a time.

    Activations are scaled by the largest number of a call, so that each text is run alone: its
    vector is the same whatever else is encoded, in training and in serving.
    """

    def __init__(self, folder: Path, record: QueryNetworkRecord) -> None:
        self._tokenizer = NetworkTokenizer.open(folder)
        self._network = OnnxNetwork.open(folder / NETWORK)
        table = folder / TOKEN_VECTORS
        self._token_vectors = map_array(table) if table.exists() else None
        self._folder = folder
        self.record = record
        self.fingerprint = record.fingerprint

    @classmethod
    def open(cls, folder: Path, model: Callable[[int], str] | None) -> "QueryTextEncoder":
        """Open what `write_query_network` wrote; EncoderError where it is of another model.

        `model` gives the fingerprint of the model where it reads texts up to so many tokens; None
        where this machine has no files of a model to compare with.
        """
        try:
            record = msgspec.json.decode((folder / ABOUT).read_bytes(), type=QueryNetworkRecord)
            fingerprint = fingerprint_of(folder)
        except (OSError, ValueError) as e:  # a DecodeError is a ValueError, an empty map too
            raise EncoderError(f"{folder.name} cannot be read: {first_line(e)}") from None
        if fingerprint != record.fingerprint:
            raise EncoderError(f"{folder.name} is damaged: its checksum differs; build again")
        encoder = cls(folder, record)
        if model is not None and record.model != (here := model(encoder.longest)):
            raise EncoderError(
                f"{folder.name} was made from the model {record.model}, but the one here is "
                f"{here}; bring back the encoder of the build, or build again"
            )
        return encoder

    @property
    def longest(self) -> int:
        """How many tokens of a text are read."""
        return self._tokenizer.longest

    def encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """Return one unit vector a text, in order; UnfitVectors where the model is broken."""
        tokens = self._tokenizer.tokens([*texts] or [""])
        vectors = [self._network.run(self._inputs(one))[0] for one in tokens]
        stacked = fit_vectors(np.stack(vectors)[: len(texts)], "text embeddings")
        lengths = np.linalg.norm(stacked, axis=1, keepdims=True).clip(1e-12)
        return np.asarray(stacked / lengths, np.float32)

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Return the share of the tokens of these texts that the model lacks."""
        return self._tokenizer.unknown_share(texts)

    def _inputs(self, tokens: Sequence[int]) -> dict[str, np.ndarray]:
        """Return what the network reads for one text."""
        inputs = {**self._tokenizer.padded([tokens])}
        if self._token_vectors is not None:
            inputs[TOKEN_INPUT] = self._token_vectors[inputs["input_ids"]]
        return {name: inputs[name] for name in self._network.inputs}

    def save(self, folder: Path) -> None:
        """Copy the files into a folder, which is made."""
        shutil.copytree(self._folder, folder, copy_function=shutil.copyfile)


def fingerprint_of(folder: Path) -> str:
    """Return the checksum of a network and of its token vectors, where they stand beside it."""
    files = [path for path in (folder / NETWORK, folder / TOKEN_VECTORS) if path.exists()]
    digest = xxhash.xxh3_128()
    for path in files:
        digest.update(np.memmap(path, np.uint8, "r").data)
    return digest.hexdigest()
