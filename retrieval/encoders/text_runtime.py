"""Runs a text model on the fastest runtime here that gives the same vectors, by measurement."""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec
import numpy as np
import xxhash
from jaxtyping import Float32

from index import fit_vectors, may_have_gpu
from retrieval.encoders.openvino_network import (
    Inputs,
    Network,
    Runner,
    is_installed,
    precisions,
    trace,
)
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
from retrieval.encoders.text import SentenceEncoder, TextModelFiles
from retrieval.encoders.token_coverage import SAMPLED_TOKENS, sampled_texts, share_of
from retrieval.encoders.weights import UNFIT, EncoderError, first_line

UNDERSTOOD = ("Transformer", "Pooling", "Normalize", "Dense")  # modules, in any order
SAMPLE = 48  # texts that runtimes are compared on
CALIBRATION = 48  # other texts, from which the ranges of 8 bits are taken
TOKENS_PER_BATCH = 1024  # padding included
TEXTS_AT_ONCE = 4096  # that are tokenised together
TOKENIZER, READING = "tokenizer.json", "reading.json"  # beside the network

log = logging.getLogger(__name__)


class CompiledEncoder:
    """A sentence-transformers model in OpenVINO: its own tokenizer, pooling and normalisation."""

    def __init__(
        self, reader: "NetworkTokenizer", network: Network, record: RuntimeRecord, threads: int
    ) -> None:
        self._reader = reader
        self._runner: Runner = network.compiled(precision_of(record), threads)
        self.fingerprint = record.fingerprint
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

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Return the share of the tokens of a sample of these texts that the model lacks."""
        return self._reader.unknown_share(texts)

    def _part(self, texts: list[str]) -> Float32[np.ndarray, "n d"]:
        tokens = self._reader.tokens(texts)
        batches = list(in_batches([len(one) for one in tokens]))
        found = self._runner.run(self._reader.padded([tokens[i] for i in b]) for b in batches)
        vectors = np.empty((len(texts), found[0].shape[1]), np.float32)
        for places, rows in zip(batches, found, strict=True):
            vectors[places] = rows
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
        return np.asarray(vectors / lengths, np.float32)


Encoder = SentenceEncoder | CompiledEncoder


class Reading(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model reads texts, beside its vocabulary."""

    longest: int  # tokens of a text
    padding: int  # the token that fills a text up
    typed: bool  # whether the network takes a type a token
    unknown: int | None  # the token of what the vocabulary lacks
    tokenizer: str  # checksum of TOKENIZER


class NetworkTokenizer:
    """The tokenizer of a model: texts in, what its network reads out."""

    def __init__(self, vocabulary: bytes, reading: Reading) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_buffer(vocabulary)
        self._tokenizer.no_padding()
        self._vocabulary, self._reading = vocabulary, reading
        self._lock = Lock()  # how much is read of a text is set for one call at a time

    @classmethod
    def of_model(cls, model: Any) -> "NetworkTokenizer":
        """Return the tokenizer of a sentence-transformers model."""
        tokenizer = model.tokenizer
        vocabulary = tokenizer.backend_tokenizer.to_str().encode()
        reading = Reading(
            longest=int(model.max_seq_length),
            padding=int(tokenizer.pad_token_id),
            typed="token_type_ids" in tokenizer.model_input_names,
            unknown=tokenizer.unk_token_id,
            tokenizer=xxhash.xxh3_128_hexdigest(vocabulary),
        )
        return cls(vocabulary, reading)

    @classmethod
    def open(cls, folder: Path) -> "NetworkTokenizer":
        """Open what `files` gave; EncoderError where it is damaged."""
        try:
            reading = msgspec.json.decode((folder / READING).read_bytes(), type=Reading)
            vocabulary = (folder / TOKENIZER).read_bytes()
        except (OSError, msgspec.DecodeError) as e:
            raise EncoderError(
                f"{folder.name}: its tokenizer cannot be read: {first_line(e)}"
            ) from None
        if xxhash.xxh3_128_hexdigest(vocabulary) != reading.tokenizer:
            raise EncoderError(f"{folder.name}/{TOKENIZER} is damaged: its checksum differs")
        return cls(vocabulary, reading)

    @property
    def files(self) -> dict[str, bytes]:
        """Return the files that this tokenizer is opened from again, by name."""
        return {TOKENIZER: self._vocabulary, READING: msgspec.json.encode(self._reading)}

    @property
    def longest(self) -> int:
        """Return how many tokens of a text are read."""
        return self._reading.longest

    def tokens(self, texts: list[str]) -> list[list[int]]:
        """Return the numbers of each text, cut where the model's reading ends."""
        return self._read(texts, self._reading.longest, marks=True)

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Return the share of the tokens of a sample of these texts that the tokenizer lacks."""
        unknown, sample = self._reading.unknown, sampled_texts(texts)
        if unknown is None or not sample:
            return 0.0
        return share_of(unknown, self._read(sample, SAMPLED_TOKENS, marks=False))

    def _read(self, texts: list[str], longest: int, *, marks: bool) -> list[list[int]]:
        with self._lock:
            self._tokenizer.enable_truncation(longest)
            read = self._tokenizer.encode_batch_fast(texts, add_special_tokens=marks)
        return [one.ids for one in read]

    def padded(self, tokens: Sequence[Sequence[int]]) -> Inputs:
        """Return one batch, each row filled up to the longest."""
        shape = len(tokens), max(map(len, tokens))
        numbers = np.full(shape, self._reading.padding, np.int64)
        mask = np.zeros(shape, np.int64)
        for row, one in enumerate(tokens):
            numbers[row, : len(one)] = one
            mask[row, : len(one)] = 1
        kinds = {"token_type_ids": np.zeros(shape, np.int64)} if self._reading.typed else {}
        return {"input_ids": numbers, "attention_mask": mask, **kinds}


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
) -> RuntimeChoice[Encoder]:
    """Return the fastest encoder of those wanted whose vectors of these texts are nearly the same.

    `auto` compares all; `openvino` takes torch only where nothing else will do.
    """
    reason = "" if wanted == TORCH else why_torch(plain)
    in_use: RuntimeChoice[Encoder] = in_torch(plain, plain.fingerprint, reason)
    if wanted == TORCH or reason:
        return in_use
    sample, others = sampled(texts)
    try:
        network = trace(*traced(plain.model, NetworkTokenizer.of_model(plain.model)))
    except UNFIT as e:
        return in_torch(plain, plain.fingerprint, first_line(e))
    tried = _candidates(plain, network, others, threads)
    return fastest(in_use, tried, lambda encoder: encoder.encode(sample), wanted)


def why_torch(plain: SentenceEncoder) -> str:
    """Return why a model stays on torch whatever is faster; "" where it need not."""
    if not is_installed():
        return "openvino is not installed"
    return _not_understood(plain.model)


def open_chosen(plain: SentenceEncoder, folder: Path, threads: int) -> RuntimeChoice[Encoder]:
    """Open what a choice wrote, for the same model; EncoderError where it is another's.

    Where OpenVINO is missing, or a GPU is there, torch stands in: its vectors are the same but
    for the cosine that the record tells.
    """
    record = read_record(folder, plain.fingerprint)
    if record.runtime == TORCH:
        return RuntimeChoice(plain, record)
    if reason := why_torch(plain):
        log.warning("%s, so torch stands in for %s", reason, record.runtime)
        return RuntimeChoice(plain.under(record.fingerprint), record)
    if not is_native(record):
        log.warning("this processor has no instructions for %s: it may be slow", record.runtime)
    reader = NetworkTokenizer.of_model(plain.model)
    return _compiled(reader, opened_network(folder, record), record, threads)


def open_without_model(
    files: TextModelFiles, folder: Path, max_tokens: int, threads: int
) -> RuntimeChoice[CompiledEncoder] | None:
    """Open what a choice wrote from its own files, without torch and without the model.

    None where the model itself is needed: for torch, where there may be a GPU, without OpenVINO,
    and for a choice of an older version. EncoderError where the choice is damaged or of another
    model.
    """
    if not is_installed() or may_have_gpu() or not (folder / READING).is_file():
        return None
    reader = NetworkTokenizer.open(folder)
    record = read_record(folder, files.fingerprint(min(reader.longest, max_tokens)))
    if not is_native(record):
        log.warning("this processor has no instructions for %s: it may be slow", record.runtime)
    encoder = CompiledEncoder(reader, network := opened_network(folder, record), record, threads)
    return RuntimeChoice(encoder, record, network, reader.files)


def still_true(
    chosen: RuntimeChoice[Encoder], plain: SentenceEncoder, texts: Sequence[str]
) -> bool:
    """Tell whether what was chosen another day gives the vectors of torch for these texts."""
    sample, _ = sampled(texts)
    _, least = cosines(chosen.encoder.encode(sample), plain.encode(sample))
    return least >= LEAST_COSINE


def _compiled(
    reader: NetworkTokenizer, network: Network, record: RuntimeRecord, threads: int
) -> RuntimeChoice[Encoder]:
    encoder = CompiledEncoder(reader, network, record, threads)
    return RuntimeChoice(encoder, record, network, reader.files)


def _candidates(
    plain: SentenceEncoder, network: Network, calibration: Sequence[str], threads: int
) -> dict[str, Callable[[], RuntimeChoice[Encoder]]]:
    reader = NetworkTokenizer.of_model(plain.model)

    def make(precision: str) -> RuntimeChoice[Encoder]:
        made = network
        if precision == "int8":
            made = network.quantised([reader.padded([t]) for t in reader.tokens([*calibration])])
        record = compiled_record(plain.fingerprint, precision, made)
        return _compiled(reader, made, record, threads)

    return {f"{OPENVINO} {precision}": partial(make, precision) for precision in precisions()}


def traced(model: Any, reader: NetworkTokenizer) -> tuple[Any, dict[str, Any]]:
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
        return "torch has a GPU here"
    kinds = [type(module).__name__ for module in model]
    if strange := [kind for kind in kinds if kind not in UNDERSTOOD]:
        return f"the model has a module that only torch runs ({strange[0]})"
    if getattr(model, "default_prompt_name", None):
        return "the model puts a prompt before each text"
    sides = {
        getattr(model.tokenizer, f"{name}_side", "right") for name in ("padding", "truncation")
    }
    if sides != {"right"}:
        return "the tokenizer of the model does not fill up and cut on the right"
    if getattr(model.tokenizer, "backend_tokenizer", None) is None:
        return "the tokenizer of the model is written in Python"
    if getattr(model.tokenizer, "pad_token_id", None) is None:
        return "the tokenizer of the model has no padding"
    return ""


def sampled(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return texts to compare on, and others where there are enough, evenly spread.

    To both come what shops and shoppers also write: nothing, one word, one sign, very much.
    """
    distinct = list(dict.fromkeys(texts)) or ["vetrina"]
    places = np.linspace(0, len(distinct) - 1, min(SAMPLE + CALIBRATION, len(distinct)))
    drawn = [distinct[int(place)] for place in places]
    if len(drawn) < SAMPLE + CALIBRATION:
        return _with_edges(drawn[:SAMPLE]), _with_edges(drawn[:CALIBRATION])
    share = len(drawn) / SAMPLE
    compared = {int(i * share) for i in range(SAMPLE)}
    others = [text for i, text in enumerate(drawn) if i not in compared]
    return _with_edges([drawn[i] for i in sorted(compared)]), _with_edges(others)


def _with_edges(texts: list[str]) -> list[str]:
    words = [word for text in texts[:4] for word in text.split()[-1:]]
    half = " ".join(texts[: len(texts) // 2])
    return [*texts, "", *words, "?", "\N{BREAD}", f"{texts[0]} " * 40, half, half[::-1]]
