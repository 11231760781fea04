"""Runs a text model on the fastest runtime here that gives the same vectors, by measurement."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from index import fit_vectors, may_have_gpu
from retrieval.encoders.networks.choosing import (
    choose,
    in_each_precision,
    open_choice,
    warn_where_slow,
)
from retrieval.encoders.networks.network_tokenizer import READING, NetworkTokenizer
from retrieval.encoders.networks.openvino_network import (
    Network,
    Runner,
    is_installed,
    trace,
)
from retrieval.encoders.networks.runtimes import (
    LEAST_COSINE,
    RuntimeChoice,
    RuntimeRecord,
    cosines,
    opened_network,
    precision_of,
    read_record,
)
from retrieval.encoders.text import SentenceEncoder, TextModelFiles

UNDERSTOOD = ("Transformer", "Pooling", "Normalize", "Dense")  # modules, in any order
SAMPLE = 48  # texts that runtimes are compared on
CALIBRATION = 48  # other texts, from which the ranges of 8 bits are taken
TOKENS_PER_BATCH = 1024  # padding included
TEXTS_AT_ONCE = 4096  # that are tokenised together


class CompiledEncoder:
    """A sentence-transformers model in OpenVINO: its own tokenizer, pooling and normalisation."""

    def __init__(
        self, reader: NetworkTokenizer, network: Network, record: RuntimeRecord, threads: int
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
    """Return the fastest encoder of those wanted whose vectors are nearly the same."""
    sample, others = sampled(texts)

    def candidates() -> dict[str, Callable[[], RuntimeChoice[Encoder]]]:
        network = trace(*traced(plain.model, NetworkTokenizer.of_model(plain.model)))
        return _candidates(plain, network, others, threads)

    def encode(encoder: Encoder) -> Float32[np.ndarray, "n d"]:
        return encoder.encode(sample)

    return choose(plain, wanted, lambda: why_torch(plain), candidates, encode)


def why_torch(plain: SentenceEncoder) -> str:
    """Return why a model stays on torch whatever is faster; "" where it need not."""
    if not is_installed():
        return "openvino is not installed"
    return not_understood(plain.model)


def open_chosen(plain: SentenceEncoder, folder: Path, threads: int) -> RuntimeChoice[Encoder]:
    """Open what a choice wrote, for the same model; EncoderError where it is another's."""

    def run(network: Network, record: RuntimeRecord) -> RuntimeChoice[Encoder]:
        return _compiled(NetworkTokenizer.of_model(plain.model), network, record, threads)

    return open_choice(plain, folder, lambda: why_torch(plain), run)


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
    warn_where_slow(record)
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

    def quantise() -> Network:
        return network.quantised([reader.padded([t]) for t in reader.tokens([*calibration])])

    def run(network: Network, record: RuntimeRecord) -> RuntimeChoice[Encoder]:
        return _compiled(reader, network, record, threads)

    return in_each_precision(plain.fingerprint, network, quantise, run)


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


def not_understood(model: Any) -> str:
    """Return why nothing but torch can run a sentence-transformers model; "" where it can."""
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
