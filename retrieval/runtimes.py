"""Chooses among the runtimes of a model by measured speed and checked vectors."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Generic, TypeVar

import msgspec
import numpy as np
import xxhash
from jaxtyping import Float32

from retrieval.openvino_network import NETWORK, WEIGHTS, Network, open_network
from retrieval.weights import EncoderError, first_line

TORCH = "torch"
LEAST_COSINE = 0.99  # of every vector of the sample, to what torch makes of it
CLOSE_COSINE = 0.999
ROUGH = 0.5  # what speed counts where some vector is further away than that
REPEATS = 3
RECORD = "runtime.json"
CHUNK_BYTES = 1 << 22

E = TypeVar("E")


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model is run, and how that was chosen."""

    runtime: str  # "torch", "openvino bf16", "openvino int8" or "openvino f32"
    model: str  # the fingerprint of the model in torch
    fingerprint: str  # of the vectors
    network: str = ""  # checksum of the network's files
    quantised_by: str = ""
    cosine_mean: float = 1.0  # to the vectors of torch, over a sample from the shop
    cosine_least: float = 1.0
    per_second: dict[str, float] = {}  # of each runtime that was tried
    refused: dict[str, str] = {}  # runtime: why it was not taken


@dataclass(frozen=True)
class Chosen(Generic[E]):
    """An encoder, how it came to be the one, and its network where it is not run in torch."""

    encoder: E
    record: Record
    network: Network | None = None

    def save(self, folder: Path) -> None:
        """Write what `opened_network` reads again."""
        folder.mkdir(parents=True, exist_ok=True)
        record = self.record
        if self.network is not None:
            self.network.save(folder)
            record = msgspec.structs.replace(record, network=_checksum(folder))
        (folder / RECORD).write_bytes(msgspec.json.encode(record))


def in_torch(encoder: E, fingerprint: str, refused: str = "") -> Chosen[E]:
    """Return a choice that was not measured; `refused` says why OpenVINO was not tried."""
    reasons = {"openvino": refused} if refused else {}
    record = Record(runtime=TORCH, model=fingerprint, fingerprint=fingerprint, refused=reasons)
    return Chosen(encoder, record)


def compiled_record(model: str, precision: str, network: Network) -> Record:
    """Return the record of a network that is not measured yet."""
    runtime = f"openvino {precision}"
    whole = "\0".join((model, runtime, network.digest)).encode()
    return Record(
        runtime=runtime,
        model=model,
        fingerprint=xxhash.xxh3_128_hexdigest(whole),
        quantised_by=network.digest,
    )


def fastest(
    plain: Chosen[E],
    others: Iterable[Chosen[E]],
    encode: Callable[[E], Float32[np.ndarray, "n d"]],
    wanted: str,
) -> Chosen[E]:
    """Return the fastest whose vectors are those of torch; torch, where no other will do.

    `encode` makes the vectors of the sample. Torch itself is taken only if `wanted` is `auto`, or
    if nothing else is left.
    """
    expected = encode(plain.encoder)
    found = {TORCH: plain}
    refused = dict(plain.record.refused)
    for other in others:
        name = other.record.runtime
        mean, least = cosines(encode(other.encoder), expected)
        if not least >= LEAST_COSINE:
            refused[name] = f"cosine {least:.4f} is below {LEAST_COSINE}"
            continue
        record = msgspec.structs.replace(other.record, cosine_mean=mean, cosine_least=least)
        found[name] = replace(other, record=record)
    speeds = {name: _speed(encode, one.encoder, len(expected)) for name, one in found.items()}
    worth = {name: speed * _closeness(found[name].record) for name, speed in speeds.items()}
    best = found[max(found, key=lambda name: (wanted == "auto" or name != TORCH, worth[name]))]
    told = msgspec.structs.replace(best.record, per_second=speeds, refused=refused)
    return replace(best, record=told)


def cosines(
    found: Float32[np.ndarray, "n d"], expected: Float32[np.ndarray, "n d"]
) -> tuple[float, float]:
    """Return the mean and the least."""
    each = np.sum(found * expected, axis=1)
    return round(float(each.mean()), 5), round(float(each.min()), 5)


def read_record(folder: Path, model: str) -> Record:
    """Return what was chosen for this model; EncoderError where it was for another."""
    try:
        record = msgspec.json.decode((folder / RECORD).read_bytes(), type=Record)
    except (OSError, msgspec.DecodeError) as e:
        raise EncoderError(f"{folder.name}/{RECORD} cannot be read: {first_line(e)}") from None
    if record.model != model:
        raise EncoderError(
            f"the compiled encoder in {folder.name} was made from the model {record.model}, but "
            f"the one here is {model}; bring back the encoders of the build, or build again"
        )
    return record


def opened_network(folder: Path, record: Record) -> Network:
    """Open the network of a choice; EncoderError where its files are not what was written."""
    if _checksum(folder) != record.network:
        raise EncoderError(f"{folder.name} is damaged: its checksum differs; build again")
    return open_network(folder, record.quantised_by)


def _closeness(record: Record) -> float:
    return 1.0 if record.cosine_least >= CLOSE_COSINE else ROUGH


def _speed(encode: Callable[[E], np.ndarray], encoder: E, count: int) -> float:
    seconds = []
    for _ in range(REPEATS):
        start = perf_counter()
        encode(encoder)
        seconds.append(perf_counter() - start)
    return round(count / float(np.median(seconds)), 1)


def _checksum(folder: Path) -> str:
    digest = xxhash.xxh3_128()
    for name in (NETWORK, WEIGHTS):
        if not (folder / name).is_file():
            return ""
        with (folder / name).open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
