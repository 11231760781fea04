import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pipelines.config.sections import Config, EncodersConfig, ImageConfig, TextConfig
from pipelines.encoding.encoders import (
    Encoders,
    _text_entry,
    as_carried,
    carried,
    open_encoders,
    with_runtimes,
)
from pipelines.encoding.release_encoders import open_query_encoder, save_encoders
from pipelines.errors import ConfigError, ReleaseError
from retrieval.encoders.clip.opening import new_clip_model
from retrieval.encoders.clip.saved import DESCRIPTION
from retrieval.encoders.clip.saved import WEIGHTS as CLIP_WEIGHTS
from retrieval.encoders.image import ClipEncoder
from retrieval.encoders.networks.openvino_network import NETWORK, WEIGHTS, Network
from retrieval.encoders.networks.runtimes import (
    RECORD,
    RuntimeChoice,
    compiled_record,
    in_torch,
    read_record,
)
from retrieval.encoders.text import text_model_files
from retrieval.encoders.weights import EncoderError


class Written(Network):
    """A network that is only ever written."""

    def __init__(self) -> None:
        super().__init__(None)

    def save(self, folder: Path) -> None:
        for name in (NETWORK, WEIGHTS):
            (folder / name).write_bytes(b"numbers")


class WithForeignText(ClipEncoder):
    """An image encoder whose saved text side only open_clip reads."""

    def save(self, folder: Path) -> None:
        super().save(folder)
        described = json.loads((folder / DESCRIPTION).read_text())
        described["model_cfg"]["text_cfg"]["pool_type"] = "last"
        (folder / DESCRIPTION).write_text(json.dumps(described))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    ClipEncoder(new_clip_model("vetrina-small")).save(folder)
    return folder


@pytest.fixture(scope="module")
def config(model: Path) -> Config:
    return Config(encoders=EncodersConfig(image=ImageConfig(model=str(model))))


@pytest.fixture(scope="module")
def encoders(config: Config) -> Encoders:
    return open_encoders(config)


@pytest.fixture(autouse=True)
def a_machine_that_has_chosen_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VETRINA_RUNTIMES", str(tmp_path.with_name(f"{tmp_path.name}-runtimes")))


@pytest.fixture(autouse=True)
def query_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the tests that are not about it the seconds of exporting one."""
    if "exported" not in request.fixturenames:
        monkeypatch.setattr("pipelines.encoding.encoders._query_encoder", lambda *_: None)


@pytest.fixture
def exported() -> None:
    """Ask for a query network."""


@pytest.mark.usefixtures("exported")
def test_a_release_reads_queries_by_the_network_that_its_build_trained_with(
    tmp_path: Path,
) -> None:
    built = with_runtimes(open_encoders(Config()), ["tea", "rye bread"], [], Config())
    assert built.queries is not None
    save_encoders(built, tmp_path / "release")

    opened = open_query_encoder(tmp_path / "release", built.fingerprints(), Config())

    expected = built.queries.encode(["rye bread", "tea"])
    np.testing.assert_array_equal(opened.texts(["rye bread", "tea"]), expected)
    np.testing.assert_allclose(opened.titles(["tea"]), built.text.encode(["tea"]), atol=1e-5)
    again = with_runtimes(open_encoders(Config()), ["tea"], [], Config())
    assert again.fingerprints() == built.fingerprints()
    with pytest.raises(ReleaseError, match="the queries encoder none"):
        open_query_encoder(tmp_path / "release", {"text": built.text.fingerprint}, Config())


def entry() -> Path:
    """Where the choice for the default text model is remembered."""
    return _text_entry(text_model_files(Config().encoders.text.model), Config())


@pytest.fixture
def release(encoders: Encoders, tmp_path: Path) -> Path:
    save_encoders(encoders, tmp_path)
    return tmp_path


def test_a_release_needs_no_other_copy_of_the_image_encoder(
    encoders: Encoders, release: Path, config: Config
) -> None:
    elsewhere = msgspec.structs.replace(config.encoders, image=ImageConfig(model="/gone"))
    config = msgspec.structs.replace(config, encoders=elsewhere)

    opened = open_query_encoder(release, encoders.fingerprints(), config)

    vectors = opened.texts(["tea"])
    assert vectors.shape == (1, 384 + 128)
    np.testing.assert_allclose(np.linalg.norm(vectors), 1, atol=1e-5)


def test_without_pictures_there_is_only_text(tmp_path: Path) -> None:
    encoders = open_encoders(Config())
    save_encoders(encoders, tmp_path)

    opened = open_query_encoder(tmp_path, encoders.fingerprints(), Config())

    assert list(encoders.fingerprints()) == ["text"]
    assert list(tmp_path.iterdir()) == []
    assert opened.texts(["tea"]).shape == (1, 384)


def test_queries_never_meet_the_vectors_of_another_encoder(
    encoders: Encoders, release: Path, config: Config
) -> None:
    other = {**encoders.fingerprints(), "text": "f" * 32}

    with pytest.raises(ReleaseError, match=rf"text encoder {'f' * 32}, but the one here is"):
        open_query_encoder(release, other, config)


def test_a_release_that_lost_its_image_encoder_is_refused(
    encoders: Encoders, tmp_path: Path, config: Config
) -> None:
    with pytest.raises(ReleaseError, match=r"image encoder .* but the one here is none"):
        open_query_encoder(tmp_path, encoders.fingerprints(), config)


def test_a_damaged_image_encoder_is_refused_by_the_name_of_its_release(
    encoders: Encoders, release: Path, config: Config
) -> None:
    (release / "image_encoder" / CLIP_WEIGHTS).write_bytes(b"torn")

    with pytest.raises(ReleaseError, match=rf"^{release.name}: .*cannot be opened"):
        open_query_encoder(release, encoders.fingerprints(), config)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (EncodersConfig(text=TextConfig(model="./no/model")), "there is no such folder"),
        (EncodersConfig(image=ImageConfig(model="no-such")), "choose vetrina-medium"),
        (EncodersConfig(image=ImageConfig(model="vetrina-small")), "without weights"),
    ],
)
def test_an_encoder_that_cannot_be_opened_is_a_wrong_configuration(
    section: EncodersConfig, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        open_encoders(Config(encoders=section))


def compiled(plain: Any) -> RuntimeChoice[Any]:
    """A choice of OpenVINO, as far as it is looked at before the network runs."""
    network = Written()
    record = compiled_record(plain.fingerprint, "f32", network)
    return RuntimeChoice(plain.under(record.fingerprint), record, network)


def test_a_machine_without_openvino_reads_queries_of_a_release_that_was_built_with_it(
    encoders: Encoders, tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, image = compiled(encoders.text), compiled(encoders.image)
    built = Encoders(text.encoder, image.encoder, text, image)
    save_encoders(built, tmp_path)
    for module in ("text_runtime", "image_runtime"):
        monkeypatch.setattr(f"retrieval.encoders.{module}.is_installed", lambda: False)

    opened = open_query_encoder(tmp_path, built.fingerprints(), config)

    assert built.fingerprints() != encoders.fingerprints()
    assert opened.texts(["tea"]).shape == (1, 384 + 128)


def test_a_process_that_cannot_run_what_was_chosen_says_so(encoders: Encoders) -> None:
    chosen = compiled(encoders.text)
    files = carried(chosen)

    with pytest.raises(EncoderError, match=r"run in openvino f32, .*with openvino on each"):
        as_carried(files, encoders.text, lambda *_: replace(chosen, network=None))

    assert set(files) == {NETWORK, WEIGHTS, RECORD}
    assert carried(in_torch(encoders.text, "f")) == carried(None) == {}


def test_a_compiled_encoder_of_another_model_is_refused_by_the_name_of_its_release(
    encoders: Encoders, tmp_path: Path, config: Config
) -> None:
    text = compiled(encoders.text)
    other = replace(text, record=msgspec.structs.replace(text.record, model="f" * 32))
    built = encoders._replace(text_choice=other)
    save_encoders(built, tmp_path)

    with pytest.raises(ReleaseError, match=rf"^{tmp_path.name}: the compiled encoder"):
        open_query_encoder(tmp_path, built.fingerprints(), config)


def measured_torch(plain: Any, wanted: str, **_: Any) -> RuntimeChoice[Any]:
    chosen = in_torch(plain, plain.fingerprint)
    record = msgspec.structs.replace(chosen.record, per_second={"torch": 10.0})
    return replace(chosen, record=record)


@pytest.mark.parametrize(("then", "measured"), [("auto", 1), ("openvino", 2), ("torch", 2)])
def test_a_measured_choice_is_kept_while_it_is_what_is_wanted(
    then: Any, measured: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def choose(plain: Any, wanted: str, **options: Any) -> RuntimeChoice[Any]:
        calls.append(wanted)
        return measured_torch(plain, wanted)

    monkeypatch.setattr("pipelines.encoding.encoders.choose_runtime", choose)
    first, second = (
        Config(encoders=EncodersConfig(text=TextConfig(runtime=wanted)))
        for wanted in ("auto", then)
    )
    plain = open_encoders(first)

    with_runtimes(plain, ["tea"], [], first)
    found = with_runtimes(plain, ["tea"], [], second)

    assert len(calls) == measured
    assert found.runtimes()["text_runtime"]["runtime"] == "torch"


def test_two_wishes_do_not_take_turns_in_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def choose(plain: Any, wanted: str, **_: Any) -> RuntimeChoice[Any]:
        calls.append(wanted)
        chosen = measured_torch(plain, wanted)
        return replace(chosen, record=msgspec.structs.replace(chosen.record, wanted=wanted))

    monkeypatch.setattr("pipelines.encoding.encoders.choose_runtime", choose)
    configs = [
        Config(encoders=EncodersConfig(text=TextConfig(runtime=wanted)))
        for wanted in ("auto", "openvino", "auto", "openvino")
    ]
    plain = open_encoders(configs[0])

    for config in configs:
        with_runtimes(plain, ["tea"], [], config)

    assert calls == ["auto", "openvino"]


def test_auto_does_not_keep_what_was_forced_and_nobody_what_is_not_native(
    encoders: Encoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = encoders._replace(image=None)
    kept = compiled(plain.text)
    monkeypatch.setattr("pipelines.encoding.encoders.open_chosen", lambda *_, **__: kept)
    monkeypatch.setattr("pipelines.encoding.encoders.answers_as_chosen", lambda *_: True)
    calls: list[str] = []

    def choose(plain: Any, wanted: str, **_: Any) -> RuntimeChoice[Any]:
        calls.append(wanted)
        return measured_torch(plain, wanted)

    monkeypatch.setattr("pipelines.encoding.encoders.choose_runtime", choose)

    def build(record: Any, native: tuple[str, ...]) -> int:
        nonlocal kept
        kept = replace(kept, record=record)
        entry().mkdir(parents=True, exist_ok=True)
        monkeypatch.setattr("retrieval.encoders.networks.runtimes.precisions", lambda: native)
        calls.clear()
        with_runtimes(plain, ["tea"], [], Config())
        return len(calls)

    forced = msgspec.structs.replace(kept.record, wanted="openvino")
    assert build(kept.record, ("f32",)) == 0
    assert build(forced, ("f32",)) == 1
    assert build(msgspec.structs.replace(forced, wanted="auto"), ()) == 1


def test_a_choice_that_was_half_written_is_made_again(
    encoders: Encoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = encoders._replace(image=None)
    folder = entry()
    compiled(plain.text).save(folder)
    (folder / RECORD).unlink()
    monkeypatch.setattr("pipelines.encoding.encoders.choose_runtime", measured_torch)

    found = with_runtimes(plain, ["tea"], [], Config())

    assert found.text.fingerprint == plain.text.fingerprint
    assert read_record(folder, plain.text.fingerprint).runtime == "torch"


def test_a_choice_whose_vectors_are_no_longer_right_is_made_again(
    encoders: Encoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = encoders._replace(image=None)
    kept = compiled(plain.text)
    kept.save(entry())

    def reopen(plain: Any, folder: Path, **_: Any) -> RuntimeChoice[Any]:
        record = read_record(folder, plain.fingerprint)
        return kept if record.runtime == kept.record.runtime else RuntimeChoice(plain, record)

    monkeypatch.setattr("pipelines.encoding.encoders.open_chosen", reopen)
    monkeypatch.setattr("pipelines.encoding.encoders.choose_runtime", measured_torch)

    found = []
    for right in (True, False):
        monkeypatch.setattr(
            "pipelines.encoding.encoders.answers_as_chosen", lambda *_, right=right: right
        )
        found.append(with_runtimes(plain, ["tea"], [], Config()).text.fingerprint)

    assert found == [kept.record.fingerprint, plain.text.fingerprint]


@pytest.mark.parametrize(("kind", "sides"), [(WithForeignText, 0), (ClipEncoder, 2)])
def test_the_sides_of_an_image_encoder_are_written_where_texts_are_read_without_open_clip(
    encoders: Encoders, tmp_path: Path, kind: type[ClipEncoder], sides: int
) -> None:
    assert encoders.image is not None

    save_encoders(Encoders(encoders.text, kind(encoders.image.clip)), tmp_path)

    assert len(list((tmp_path / "image_encoder").glob("*_side"))) == sides
