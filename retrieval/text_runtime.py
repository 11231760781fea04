"""Runs a text model on the fastest runtime here that gives the same vectors, by measurement."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import msgspec
import numpy as np
import xxhash
from jaxtyping import Float32

from index import fit_vectors
from retrieval.openvino_network import (
    NETWORK,
    WEIGHTS,
    Inputs,
    Network,
    Runner,
    is_installed,
    open_network,
    precisions,
    trace,
)
from retrieval.text_encoder import SentenceEncoder
from retrieval.weights import UNFIT, EncoderError, first_line

UNDERSTOOD = ("Transformer", "Pooling", "Normalize", "Dense")  # modules, in any order
LEAST_COSINE = 0.99  # of every text of the sample, to what torch makes of it
SAMPLE = 128  # texts that runtimes are compared on
CALIBRATION = 96  # other texts, from which the ranges of 8 bits are taken
CLOSE_COSINE = 0.999
ROUGH = 0.8  # what speed counts where some vector is further away than that
REPEATS = 3
TOKENS_PER_BATCH = 1024  # padding included
TEXTS_AT_ONCE = 4096  # that are tokenised together
RECORD = "runtime.json"
TORCH = "torch"

log = logging.getLogger(__name__)


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a text model is run, and how that was chosen."""

    runtime: str  # "torch", "openvino bf16", "openvino int8" or "openvino f32"
    model: str  # the fingerprint of the model in torch
    fingerprint: str  # of the vectors
    network: str = ""  # checksum of the network's files
    quantised_by: str = ""
    cosine_mean: float = 1.0  # to the vectors of torch, over a sample of the shop's texts
    cosine_least: float = 1.0
    texts_per_second: dict[str, float] = {}  # of each runtime that was tried
    refused: dict[str, str] = {}  # runtime: why it was not taken


class CompiledEncoder:
    """A sentence-transformers model in OpenVINO: its own tokenizer, pooling and normalisation."""

    def __init__(
        self, reader: "Reader", network: Network, precision: str, fingerprint: str, threads: int
    ) -> None:
        self._reader = reader
        self._network = network
        self._runner: Runner = network.compiled(precision, threads)
        self.fingerprint = fingerprint
        self.dim = int(self.encode(["vetrina"]).shape[1])

    def encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """Return one unit vector a text, in order; UnfitVectors where the model is broken."""
        if not len(texts):
            return np.zeros((0, self.dim), np.float32)
        parts = [
            self._part(list(texts[start : start + TEXTS_AT_ONCE]))
            for start in range(0, len(texts), TEXTS_AT_ONCE)
        ]
        return fit_vectors(np.concatenate(parts), "text embeddings")

    def _part(self, texts: list[str]) -> Float32[np.ndarray, "n d"]:
        tokens = self._reader.tokens(texts)
        batches = list(in_batches([len(one) for one in tokens]))
        found = self._runner.run(self._reader.padded([tokens[i] for i in b]) for b in batches)
        vectors = np.empty((len(texts), found[0].shape[1]), np.float32)
        for places, rows in zip(batches, found, strict=True):
            vectors[places] = rows
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
        return np.asarray(vectors / lengths, np.float32)

    def save(self, folder: Path) -> None:
        """Write the network into a folder."""
        self._network.save(folder)

    @property
    def quantised_by(self) -> str:
        """Return the digest of the ranges of 8 bits, if there are any."""
        return self._network.digest


class Reader:
    """The tokenizer of a model: texts in, what its network reads out."""

    def __init__(self, model: Any) -> None:
        self._tokenizer = model.tokenizer
        self._longest = int(model.max_seq_length)
        self._padding = int(self._tokenizer.pad_token_id)
        self._typed = "token_type_ids" in self._tokenizer.model_input_names

    def tokens(self, texts: list[str]) -> list[list[int]]:
        """Return the numbers of each text, cut where the model's reading ends."""
        found: list[list[int]] = self._tokenizer(
            texts, truncation=True, max_length=self._longest, return_attention_mask=False
        )["input_ids"]
        return found

    def padded(self, tokens: Sequence[Sequence[int]]) -> Inputs:
        """Return one batch, each row filled up to the longest."""
        shape = len(tokens), max(map(len, tokens))
        numbers = np.full(shape, self._padding, np.int64)
        mask = np.zeros(shape, np.int64)
        for row, one in enumerate(tokens):
            numbers[row, : len(one)] = one
            mask[row, : len(one)] = 1
        kinds = {"token_type_ids": np.zeros(shape, np.int64)} if self._typed else {}
        return {"input_ids": numbers, "attention_mask": mask, **kinds}


class Chosen(NamedTuple):
    """An encoder, and how it came to be the one."""

    encoder: SentenceEncoder | CompiledEncoder
    record: Record

    def save(self, folder: Path) -> None:
        """Write what `open_chosen` opens again beside the same model."""
        folder.mkdir(parents=True, exist_ok=True)
        record = self.record
        if isinstance(self.encoder, CompiledEncoder):
            self.encoder.save(folder)
            record = msgspec.structs.replace(record, network=_checksum(folder))
        (folder / RECORD).write_bytes(msgspec.json.encode(record))


def in_batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield places of texts, alike in length, up to TOKENS_PER_BATCH with their padding."""
    batch: list[int] = []
    for place in np.argsort(lengths, kind="stable").tolist():
        if batch and (len(batch) + 1) * lengths[place] > TOKENS_PER_BATCH:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def choose_runtime(
    plain: SentenceEncoder, wanted: str, texts: Sequence[str], threads: int
) -> Chosen:
    """Return the fastest encoder of those wanted whose vectors of these texts are the same.

    `auto` compares all; `openvino` takes torch only where nothing else will do. The record says
    how fast each was, and why some were refused.
    """
    if wanted == TORCH:
        return Chosen(plain, _in_torch(plain))
    if reason := why_torch(plain):
        return Chosen(plain, _in_torch(plain, refused={"openvino": reason}))
    sample, others = _sample(texts)
    expected = plain.encode(sample)
    found = {TORCH: Chosen(plain, _in_torch(plain))}
    refused: dict[str, str] = {}
    for name, encoder in _candidates(plain, others, threads, refused):
        mean, least = _cosines(encoder.encode(sample), expected)
        if not least >= LEAST_COSINE:
            refused[name] = f"cosine {least:.4f} is below {LEAST_COSINE}"
            continue
        record = Record(
            runtime=name,
            model=plain.fingerprint,
            fingerprint=encoder.fingerprint,
            quantised_by=encoder.quantised_by,
            cosine_mean=mean,
            cosine_least=least,
        )
        found[name] = Chosen(encoder, record)
    speeds = {name: _speed(one.encoder.encode, sample) for name, one in found.items()}
    worth = {
        name: speeds[name] * (1 if _is_close(one.record) else ROUGH) for name, one in found.items()
    }
    best = max(found, key=lambda name: (wanted == "auto" or name != TORCH, worth[name]))
    told = msgspec.structs.replace(found[best].record, texts_per_second=speeds, refused=refused)
    return Chosen(found[best].encoder, told)


def why_torch(plain: SentenceEncoder) -> str:
    """Return why a model stays on torch whatever is faster; "" where it need not."""
    if not is_installed():
        return "openvino is not installed"
    return _not_understood(plain.model)


def open_chosen(plain: SentenceEncoder, folder: Path, threads: int) -> Chosen:
    """Open what a choice wrote, for the same model; EncoderError where it is another's.

    Where OpenVINO is missing, torch stands in: its vectors are the same but for the cosine that
    the record tells.
    """
    record = read_record(folder)
    if record.model != plain.fingerprint:
        raise EncoderError(
            f"the compiled text encoder was made from the model {record.model}, but the one here "
            f"is {plain.fingerprint}; bring back encoders.text of the build, or build again"
        )
    if record.runtime == TORCH:
        return Chosen(plain, record)
    if reason := why_torch(plain):
        log.warning("%s, so torch stands in for %s, and is slower", reason, record.runtime)
        return Chosen(plain.under(record.fingerprint), record)
    if _checksum(folder) != record.network:
        raise EncoderError(f"{folder.name} is damaged: its checksum differs; build again")
    network = open_network(folder, record.quantised_by)
    precision = record.runtime.partition(" ")[2]
    compiled = CompiledEncoder(Reader(plain.model), network, precision, record.fingerprint, threads)
    return Chosen(compiled, record)


def read_record(folder: Path) -> Record:
    """Return what `save` wrote about a choice."""
    try:
        return msgspec.json.decode((folder / RECORD).read_bytes(), type=Record)
    except (OSError, msgspec.DecodeError) as e:
        raise EncoderError(f"{folder.name}/{RECORD} cannot be read: {first_line(e)}") from None


def still_true(chosen: Chosen, plain: SentenceEncoder, texts: Sequence[str]) -> bool:
    """Tell whether what was chosen another day gives the vectors of torch for these texts."""
    sample, _ = _sample(texts)
    _, least = _cosines(chosen.encoder.encode(sample), plain.encode(sample))
    return least >= LEAST_COSINE


def _is_close(record: Record) -> bool:
    return record.cosine_least >= CLOSE_COSINE


def _in_torch(plain: SentenceEncoder, refused: dict[str, str] | None = None) -> Record:
    return Record(
        runtime=TORCH,
        model=plain.fingerprint,
        fingerprint=plain.fingerprint,
        refused=refused or {},
    )


def _cosines(
    found: Float32[np.ndarray, "n d"], expected: Float32[np.ndarray, "n d"]
) -> tuple[float, float]:
    """Return the mean and the least."""
    cosines = np.sum(found * expected, axis=1)
    return round(float(cosines.mean()), 5), round(float(cosines.min()), 5)


def _candidates(
    plain: SentenceEncoder, calibration: Sequence[str], threads: int, refused: dict[str, str]
) -> Iterator[tuple[str, CompiledEncoder]]:
    """Yield what can be tried; a network that cannot be had is refused with its reason."""
    reader = Reader(plain.model)
    try:
        network = trace(*_traced(plain.model, reader))
    except UNFIT as e:
        refused["openvino"] = f"the model cannot be converted: {first_line(e)}"
        return
    for precision in precisions():
        name = f"openvino {precision}"
        made = network
        if precision == "int8":
            made = network.quantised([reader.padded([t]) for t in reader.tokens([*calibration])])
        fingerprint = _mixed(plain.fingerprint, name, made.digest)
        yield name, CompiledEncoder(reader, made, precision, fingerprint, threads)


def _traced(model: Any, reader: Reader) -> tuple[Any, dict[str, Any]]:
    """Return the whole model as a function of tokens, and an example of them."""
    import torch

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None) -> Any:
            read = {"input_ids": input_ids, "attention_mask": attention_mask}
            if token_type_ids is not None:
                read["token_type_ids"] = token_type_ids
            return self.model(read)["sentence_embedding"]

    example = reader.padded(reader.tokens(["shop", "a shop window with rye bread"]))
    return Whole().eval(), {name: torch.from_numpy(one) for name, one in example.items()}


def _not_understood(model: Any) -> str:
    if str(getattr(model, "device", "cpu")) != "cpu":
        return "torch has a card here"
    kinds = [type(module).__name__ for module in model]
    if strange := [kind for kind in kinds if kind not in UNDERSTOOD]:
        return f"the model has a module that only torch runs ({strange[0]})"
    if getattr(model, "default_prompt_name", None):
        return "the model puts a prompt before each text"
    if getattr(model.tokenizer, "padding_side", "") != "right":
        return "the tokenizer of the model does not fill up on the right"
    if getattr(model.tokenizer, "pad_token_id", None) is None:
        return "the tokenizer of the model has no padding"
    return ""


def _sample(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return texts to compare on, and others where there are enough, evenly spread."""
    distinct = list(dict.fromkeys(texts)) or ["vetrina"]
    places = np.linspace(0, len(distinct) - 1, min(SAMPLE + CALIBRATION, len(distinct)))
    drawn = [distinct[int(place)] for place in places]
    if len(drawn) < SAMPLE + CALIBRATION:
        return drawn[:SAMPLE], drawn[:CALIBRATION]
    share = len(drawn) / SAMPLE
    compared = {int(i * share) for i in range(SAMPLE)}
    return [drawn[i] for i in sorted(compared)], [
        text for i, text in enumerate(drawn) if i not in compared
    ]


def _speed(encode: Callable[[Sequence[str]], Any], texts: Sequence[str]) -> float:
    seconds = []
    for _ in range(REPEATS):
        start = perf_counter()
        encode(texts)
        seconds.append(perf_counter() - start)
    return round(len(texts) / float(np.median(seconds)), 1)


def _mixed(*parts: str) -> str:
    return xxhash.xxh3_128_hexdigest("\0".join(parts).encode())


def _checksum(folder: Path) -> str:
    digest = xxhash.xxh3_128()
    for name in (NETWORK, WEIGHTS):
        with (folder / name).open("rb") as file:
            while chunk := file.read(1 << 22):
                digest.update(chunk)
    return digest.hexdigest()
