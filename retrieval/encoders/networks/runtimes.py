"""Chooses among the runtimes of a model by measured speed and checked vectors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Generic, TypeVar

import msgspec
import numpy as np
import xxhash
from jaxtyping import Float32

from index import UnfitVectors
from retrieval.encoders.networks.openvino_network import (
    NETWORK,
    PRECISIONS,
    WEIGHTS,
    Network,
    open_network,
    precisions,
)
from retrieval.encoders.weights import EncoderError, first_line

TORCH, OPENVINO = "torch", "openvino"
LEAST_COSINE = 0.99  # of every vector of the sample, to what torch makes of it
CLOSE_COSINE = 0.999
ROUGH = 0.5  # what speed counts where some vector is further away than that
REPEATS = 2  # of which the faster counts: whatever else runs on the machine only slows it down
RECORD = "runtime.json"
CHUNK_BYTES = 1 << 22
RUNTIMES = (TORCH, *(f"{OPENVINO} {precision}" for precision in PRECISIONS))

E = TypeVar("E")


class RuntimeRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model is run, and how that was chosen."""

    runtime: str  # "torch", "openvino bf16", "openvino int8" or "openvino f32"
    model: str  # the fingerprint of the model in torch
    fingerprint: str  # of the vectors
    wanted: str = "auto"  # what it was chosen for
    network: str = ""  # checksum of the network's files
    quantised_by: str = ""
    cosine_mean: float = 1.0  # to the vectors of torch, over a sample from the shop
    cosine_least: float = 1.0
    per_second: dict[str, float] = {}  # of each runtime that was tried
    refused: dict[str, str] = {}  # runtime: why it was not taken


@dataclass(frozen=True)
class RuntimeChoice(Generic[E]):
    """An encoder, how it came to be the one, and its network where it is not run in torch."""

    encoder: E
    record: RuntimeRecord
    network: Network | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)  # what is needed beside the network

    def save(self, folder: Path) -> None:
        """Write what `opened_network` reads again."""
        folder.mkdir(parents=True, exist_ok=True)
        record = self.record
        if self.network is not None:
            self.network.save(folder)
            record = msgspec.structs.replace(record, network=checksum(folder))
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        (folder / RECORD).write_bytes(msgspec.json.encode(record))


def in_torch(encoder: E, fingerprint: str, refused: str = "") -> RuntimeChoice[E]:
    """Return a choice that was not measured; `refused` says why OpenVINO was not tried."""
    reasons = {OPENVINO: refused} if refused else {}
    record = RuntimeRecord(
        runtime=TORCH, model=fingerprint, fingerprint=fingerprint, refused=reasons
    )
    return RuntimeChoice(encoder, record)


def compiled_record(model: str, precision: str, network: Network) -> RuntimeRecord:
    """Return the record of a network that is not measured yet."""
    runtime, made_by = f"{OPENVINO} {precision}", network.digest
    fingerprint = _fingerprint(model, runtime, made_by)
    return RuntimeRecord(
        runtime=runtime, model=model, fingerprint=fingerprint, quantised_by=made_by
    )


def precision_of(record: RuntimeRecord) -> str:
    """Return in which numbers a network computes; "" in torch."""
    return record.runtime.partition(" ")[2]


def is_native(record: RuntimeRecord) -> bool:
    """Tell whether this processor has instructions for what was chosen.

    OpenVINO computes bfloat16 elsewhere in full precision, or slowly, and does not say so.
    """
    return record.runtime == TORCH or precision_of(record) in precisions()


def fastest(
    plain: RuntimeChoice[E],
    others: Mapping[str, Callable[[], RuntimeChoice[E]]],
    encode: Callable[[E], Float32[np.ndarray, "n d"]],
    wanted: str,
) -> RuntimeChoice[E]:
    """Return the fastest whose vectors are nearly those of torch; torch, where no other will do.

    `others` make the choices beside it, by the names of their runtimes, and `encode` the vectors
    of the sample. Torch itself is taken only if `wanted` is `auto`, or if nothing else is left.
    """
    refused = dict(plain.record.refused)
    try:
        expected = encode(plain.encoder)
    except UnfitVectors as e:
        refused[OPENVINO] = f"torch cannot encode the sample: {first_line(e)}"
        return replace(plain, record=msgspec.structs.replace(plain.record, refused=refused))
    found = {TORCH: plain}
    for name, make in others.items():
        try:
            other = make()
            mean, least = cosines(encode(other.encoder), expected)
        except (EncoderError, UnfitVectors, RuntimeError) as e:
            refused[name] = first_line(e)
            continue
        if not least >= LEAST_COSINE:
            refused[name] = f"cosine {least:.4f} is below {LEAST_COSINE}"
            continue
        record = msgspec.structs.replace(other.record, cosine_mean=mean, cosine_least=least)
        found[name] = replace(other, record=record)
    speeds = {name: _speed(encode, one.encoder, len(expected)) for name, one in found.items()}
    worth = {name: speed * _closeness(found[name].record) for name, speed in speeds.items()}
    best = found[max(found, key=lambda name: (wanted == "auto" or name != TORCH, worth[name]))]
    told = msgspec.structs.replace(best.record, wanted=wanted, per_second=speeds, refused=refused)
    return replace(best, record=told)


def cosines(
    found: Float32[np.ndarray, "n d"], expected: Float32[np.ndarray, "n d"]
) -> tuple[float, float]:
    """Return the mean and the least."""
    each = np.sum(found * expected, axis=1)
    return round(float(each.mean()), 5), round(float(each.min()), 5)


def read_record(folder: Path, model: str) -> RuntimeRecord:
    """Return what was chosen for this model; EncoderError where it was for another.

    A record that no build writes is refused as well: its fingerprint is what vectors are
    remembered by.
    """
    try:
        record = msgspec.json.decode((folder / RECORD).read_bytes(), type=RuntimeRecord)
    except (OSError, msgspec.DecodeError) as e:
        raise EncoderError(f"{folder.name}/{RECORD} cannot be read: {first_line(e)}") from None
    if record.model != model:
        raise EncoderError(
            f"the compiled encoder in {folder.name} was made from the model {record.model}, but "
            f"the one here is {model}; bring back the encoders of the build, or build again"
        )
    right = _fingerprint(model, record.runtime, record.quantised_by)
    if record.runtime not in RUNTIMES or record.fingerprint != right:
        raise EncoderError(
            f"{folder.name}/{RECORD} is of no build: runtime {record.runtime!r}, fingerprint "
            f"{record.fingerprint!r}; build again"
        )
    return record


def opened_network(folder: Path, record: RuntimeRecord) -> Network:
    """Open the network of a choice; EncoderError where its files are not what was written."""
    if not record.network or checksum(folder) != record.network:
        raise EncoderError(f"{folder.name} is damaged: its checksum differs; build again")
    return open_network(folder, record.quantised_by)


def _fingerprint(model: str, runtime: str, quantised_by: str) -> str:
    """Return what vectors of a model in a runtime are remembered by."""
    if runtime == TORCH:
        return model
    return xxhash.xxh3_128_hexdigest("\0".join((model, runtime, quantised_by)).encode())


def _closeness(record: RuntimeRecord) -> float:
    return 1.0 if record.cosine_least >= CLOSE_COSINE else ROUGH


def _speed(encode: Callable[[E], np.ndarray], encoder: E, count: int) -> float:
    seconds = []
    for _ in range(REPEATS):
        start = perf_counter()
        encode(encoder)
        seconds.append(perf_counter() - start)
    return round(count / min(seconds), 1)


def checksum(folder: Path) -> str:
    """Return what a record says of the network's files; "" where one is missing."""
    digest = xxhash.xxh3_128()
    for name in (NETWORK, WEIGHTS):
        if not (folder / name).is_file():
            return ""
        with (folder / name).open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
