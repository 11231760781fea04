import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

import retrieval.encoders.networks.openvino_network as openvino_network
import retrieval.encoders.networks.runtimes as runtimes
import retrieval.encoders.text_runtime as text_runtime
from index import UnfitVectors
from retrieval.encoders.networks.network_tokenizer import READING, TOKENIZER, NetworkTokenizer
from retrieval.encoders.networks.openvino_network import NETWORK, WEIGHTS, precisions, trace
from retrieval.encoders.networks.runtimes import (
    RECORD,
    RuntimeChoice,
    compiled_record,
    is_native,
    read_record,
)
from retrieval.encoders.text import (
    SentenceEncoder,
    TextEncoder,
    open_text_encoder,
    text_model_files,
)
from retrieval.encoders.text_runtime import (
    TOKENS_PER_BATCH,
    CompiledEncoder,
    choose_runtime,
    in_batches,
    open_chosen,
    open_without_model,
    still_true,
)
from retrieval.encoders.weights import EncoderError
from tests.assertions import every

KINDS = ("rye bread", "oat milk", "garden hose", "men's running shoe", "LED bulb", "bath towel")
TITLES = [f"{kind}, size {size}" + " in blue" * (size % 4) for kind in KINDS for size in range(8)]
TEXTS = ["tea", "", "  ", "🍞", "a" * 3_000, "pane di segale\0\n", "long title " * 60, *TITLES]


@pytest.fixture(scope="module")
def plain() -> SentenceEncoder:
    return open_text_encoder("all-MiniLM-L6-v2")


@pytest.fixture(scope="module")
def chosen(plain: SentenceEncoder) -> RuntimeChoice:
    return choose_runtime(plain, "openvino", TITLES, 2)


@pytest.fixture
def traced_before(chosen: RuntimeChoice, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network of `chosen` in place of another conversion of the same model."""
    monkeypatch.setattr(text_runtime, "trace", lambda *_: chosen.network)


@pytest.fixture
def folder(chosen: RuntimeChoice, tmp_path: Path) -> Path:
    chosen.save(tmp_path / "text")
    return tmp_path / "text"


def cosines(one: TextEncoder, other: TextEncoder, texts: Sequence[str]) -> np.ndarray:
    return np.sum(one.encode(texts) * other.encode(texts), axis=1)


def test_the_vectors_are_nearly_those_of_torch_and_the_record_says_how_nearly(
    chosen: RuntimeChoice, plain: SentenceEncoder
) -> None:
    found = cosines(chosen.encoder, plain, TEXTS)

    assert isinstance(chosen.encoder, CompiledEncoder)
    assert isinstance(chosen.encoder, TextEncoder)
    assert chosen.encoder.dim == plain.dim
    assert found.min() > 0.98
    assert 0.99 <= chosen.record.cosine_least <= chosen.record.cosine_mean <= 1.0001
    assert set(chosen.record.per_second) >= {"torch", chosen.record.runtime}


def test_a_vector_does_not_depend_on_its_company(chosen: RuntimeChoice) -> None:
    together = chosen.encoder.encode(TEXTS)
    alone = np.concatenate([chosen.encoder.encode([text]) for text in TEXTS])

    assert together.dtype == np.float32
    np.testing.assert_allclose(np.sum(together * alone, axis=1), 1, atol=1e-3)
    assert chosen.encoder.encode([]).shape == (0, 384)


def test_another_runtime_is_another_fingerprint(
    chosen: RuntimeChoice, plain: SentenceEncoder
) -> None:
    assert chosen.encoder.fingerprint != plain.fingerprint
    assert chosen.record.fingerprint == chosen.encoder.fingerprint
    assert chosen.record.model == plain.fingerprint


def test_what_was_chosen_opens_again_as_the_same(
    chosen: RuntimeChoice, plain: SentenceEncoder, folder: Path
) -> None:
    opened = open_chosen(plain, folder, 2)

    assert opened.encoder.fingerprint == chosen.encoder.fingerprint
    np.testing.assert_allclose(
        opened.encoder.encode(TITLES), chosen.encoder.encode(TITLES), atol=1e-4
    )
    assert still_true(opened, plain, TITLES)


def test_a_choice_opens_without_the_model_and_gives_the_same_vectors(
    chosen: RuntimeChoice, folder: Path
) -> None:
    opened = open_without_model(text_model_files("all-MiniLM-L6-v2"), folder, 128, 2)

    assert opened is not None
    assert opened.encoder.fingerprint == chosen.encoder.fingerprint
    np.testing.assert_allclose(
        opened.encoder.encode(TEXTS), chosen.encoder.encode(TEXTS), atol=1e-4
    )
    assert opened.encoder.unknown_share(TEXTS) == chosen.encoder.unknown_share(TEXTS)


def test_it_reads_the_tokens_that_the_model_reads(plain: SentenceEncoder) -> None:
    reader = NetworkTokenizer.of_model(plain.model)

    expected = plain.model.tokenizer(TEXTS, truncation=True, max_length=128)["input_ids"]

    assert reader.tokens(TEXTS) == expected
    assert reader.unknown_share(TEXTS) == plain.unknown_share(TEXTS)


@pytest.mark.parametrize("max_tokens", [16, 128])
def test_a_choice_of_another_model_or_length_is_not_opened_without_it(
    folder: Path, max_tokens: int
) -> None:
    files = text_model_files("all-MiniLM-L6-v2")
    if max_tokens == 128:
        files.digest.update(b"another")

    with pytest.raises(EncoderError, match="made from the model"):
        open_without_model(files, folder, max_tokens, 2)


@pytest.mark.parametrize("name", [TOKENIZER, READING, NETWORK, WEIGHTS])
def test_a_damaged_choice_is_not_opened_without_the_model(folder: Path, name: str) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:-1] + b"?")

    with pytest.raises(EncoderError, match=r"damaged|cannot be read"):
        open_without_model(text_model_files("all-MiniLM-L6-v2"), folder, 128, 2)


@pytest.mark.parametrize("missing", ["is_installed", "may_have_gpu"])
def test_where_the_model_itself_is_needed_nothing_is_opened_without_it(
    folder: Path, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_runtime, missing, lambda: missing == "may_have_gpu")

    assert open_without_model(text_model_files("all-MiniLM-L6-v2"), folder, 128, 2) is None


def test_where_openvino_is_missing_torch_stands_in_and_says_so(
    chosen: RuntimeChoice,
    plain: SentenceEncoder,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(text_runtime, "is_installed", lambda: False)

    opened = open_chosen(plain, folder, 2)

    assert isinstance(opened.encoder, SentenceEncoder)
    assert opened.encoder.fingerprint == chosen.encoder.fingerprint
    assert "openvino is not installed, so torch stands in" in caplog.text
    assert cosines(opened.encoder, chosen.encoder, TITLES).min() > 0.99


def test_the_network_of_another_model_is_refused(plain: SentenceEncoder, folder: Path) -> None:
    with pytest.raises(EncoderError, match=r"made from the model .* but the one here"):
        open_chosen(plain.under("f" * 32), folder, 2)


@pytest.mark.parametrize("name", [NETWORK, WEIGHTS, RECORD])
def test_a_damaged_network_is_never_run(plain: SentenceEncoder, folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1] + b"?")

    with pytest.raises(EncoderError, match=r"damaged|cannot be read"):
        open_chosen(plain, folder, 2)


@pytest.mark.usefixtures("traced_before")
def test_a_runtime_whose_vectors_are_others_is_refused_with_its_cosine(
    plain: SentenceEncoder, chosen: RuntimeChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong(CompiledEncoder):
        def __init__(self) -> None:
            self.fingerprint = "wrong"

        def encode(self, texts: Sequence[str]) -> np.ndarray:
            return np.roll(chosen.encoder.encode(texts), 1, axis=1)

    network = chosen.network
    assert network is not None
    wrong = RuntimeChoice(Wrong(), compiled_record(plain.fingerprint, "f32", network), network)
    monkeypatch.setattr(text_runtime, "_candidates", lambda *_: {"openvino f32": lambda: wrong})

    found = choose_runtime(plain, "openvino", TITLES, 2)

    assert found.encoder is plain
    assert found.record.runtime == "torch"
    assert "is below 0.99" in found.record.refused["openvino f32"]


@pytest.mark.parametrize(
    "error", [EncoderError("cannot compile"), UnfitVectors("not finite"), RuntimeError("shape")]
)
@pytest.mark.usefixtures("traced_before")
def test_a_runtime_that_fails_is_refused_and_the_others_are_tried(
    plain: SentenceEncoder, chosen: RuntimeChoice, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail() -> RuntimeChoice:
        raise error

    failing = "openvino f32" if chosen.record.runtime == "openvino int8" else "openvino int8"
    tried = {failing: fail, chosen.record.runtime: lambda: chosen}
    monkeypatch.setattr(text_runtime, "_candidates", lambda *_: tried)

    found = choose_runtime(plain, "openvino", TITLES, 2)

    assert found.record.runtime == chosen.record.runtime
    assert found.record.refused[failing] == str(error)


def test_a_module_that_openvino_cannot_convert_is_one_error() -> None:
    class Odd(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.svdvals(x)

    with pytest.raises(EncoderError, match="OpenVINO cannot convert the model"):
        trace(Odd(), {"x": torch.eye(3)})


def test_a_model_without_a_vector_for_odd_texts_stays_in_torch(
    plain: SentenceEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode(texts: Sequence[str]) -> np.ndarray:
        raise UnfitVectors("a vector is zero")

    odd = plain.under(plain.fingerprint)
    monkeypatch.setattr(odd, "encode", encode)

    found = choose_runtime(odd, "auto", TITLES, 2)

    assert found.encoder is odd
    assert "a vector is zero" in found.record.refused["openvino"]


def test_openvino_tells_nobody(chosen: RuntimeChoice) -> None:
    assert chosen.network is not None
    assert "openvino" in sys.modules
    assert "openvino_telemetry.main" not in sys.modules


def test_a_processor_without_such_instructions_says_so(
    plain: SentenceEncoder,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(runtimes, "precisions", lambda: ())

    opened = open_chosen(plain, folder, 2)

    assert not is_native(opened.record)
    assert "no instructions for openvino" in caplog.text


@pytest.mark.parametrize(
    "change", [{"runtime": "openvino f16"}, {"fingerprint": "0" * 32}, {"runtime": "torch"}]
)
def test_a_record_that_no_build_writes_is_refused(
    plain: SentenceEncoder, folder: Path, change: dict[str, str]
) -> None:
    record = msgspec.structs.replace(read_record(folder, plain.fingerprint), **change)
    (folder / RECORD).write_bytes(msgspec.json.encode(record))

    with pytest.raises(EncoderError, match="is of no build"):
        open_chosen(plain, folder, 2)


def test_a_network_that_this_openvino_cannot_read_is_one_error(
    plain: SentenceEncoder, folder: Path
) -> None:
    (folder / NETWORK).write_text("<net/>")
    record = read_record(folder, plain.fingerprint)
    known = msgspec.structs.replace(record, network=runtimes.checksum(folder))
    (folder / RECORD).write_bytes(msgspec.json.encode(known))

    with pytest.raises(EncoderError, match="OpenVINO cannot read the network"):
        open_chosen(plain, folder, 2)


def test_torch_is_taken_without_measuring_where_it_is_asked_for(plain: SentenceEncoder) -> None:
    found = choose_runtime(plain, "torch", TITLES, 2)

    assert found.encoder is plain
    assert found.record.per_second == {}


class Whitening:
    """A module that nobody but its library knows."""


class Model(list[Any]):
    """As much of a SentenceTransformer as is looked at before it is converted."""

    device = "cpu"
    default_prompt_name: str | None = None
    tokenizer = type("Tokenizer", (), {"padding_side": "right", "pad_token_id": 0})()

    def encode(self, texts: list[str], **options: Any) -> np.ndarray:
        return np.tile(np.float32([1, 0]), (len(texts), 1))


def with_prompt() -> Model:
    model = Model()
    model.default_prompt_name = "query"
    return model


@pytest.mark.parametrize(
    ("model", "reason"),
    [(Model([Whitening()]), "module that only torch runs (Whitening)"), (with_prompt(), "prompt")],
)
def test_a_model_that_is_not_understood_stays_on_torch_and_says_why(
    model: Model, reason: str
) -> None:
    odd = SentenceEncoder(model, "f" * 32, batch_size=8)

    found = choose_runtime(odd, "auto", TITLES, 2)

    assert found.encoder is odd
    assert reason in found.record.refused["openvino"]


def test_batches_hold_each_text_once_alike_in_length_and_bounded() -> None:
    lengths = np.random.default_rng(0).integers(2, 128, 500).tolist()

    batches = list(in_batches(lengths))

    assert sorted(place for batch in batches for place in batch) == list(range(500))
    assert every(len(b) * max(lengths[i] for i in b) <= TOKENS_PER_BATCH for b in batches)
    flat = [lengths[place] for batch in batches for place in batch]
    assert flat == sorted(flat)


def test_a_text_longer_than_a_batch_is_a_batch_of_its_own() -> None:
    assert list(in_batches([5_000, 3, 5_000])) == [[1], [0], [2]]


def test_an_output_that_is_no_vector_is_refused(
    chosen: RuntimeChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def run(self, batches: Any) -> list[np.ndarray]:
            return [np.full((len(b["input_ids"]), 384), np.nan, np.float32) for b in batches]

    monkeypatch.setattr(chosen.encoder, "_runner", Broken())

    with pytest.raises(UnfitVectors, match="text embeddings"):
        chosen.encoder.encode(["tea"])


def test_the_record_names_every_runtime_that_was_tried(
    plain: SentenceEncoder, folder: Path
) -> None:
    record = read_record(folder, plain.fingerprint)

    assert record.network
    tried = {f"openvino {precision}" for precision in precisions()}
    assert tried <= {*record.per_second, *record.refused}


def test_eight_bits_are_tried_only_where_the_processor_multiplies_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_network, "CPU_INFO", tmp_path / "cpuinfo")
    tried = {}
    for flags in ("avx2 fma", "avx2 avx_vnni"):
        (tmp_path / "cpuinfo").write_text(f"flags\t: fpu {flags}\n")
        tried[flags] = "int8" in precisions()

    assert tried == {"avx2 fma": False, "avx2 avx_vnni": True}
