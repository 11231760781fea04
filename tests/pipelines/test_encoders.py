from pathlib import Path

import msgspec
import numpy as np
import pytest

from pipelines.config import Config, ConfigError, EncodersConfig, ImageConfig, TextConfig
from pipelines.encoders import Encoders, open_encoders, open_query_encoder, save_encoders
from pipelines.errors import ReleaseError
from retrieval.clip import WEIGHTS, new_clip_model
from retrieval.image_encoder import ClipEncoder


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
    (release / "image_encoder" / WEIGHTS).write_bytes(b"torn")

    with pytest.raises(ReleaseError, match=rf"^{release.name}: .*cannot be opened"):
        open_query_encoder(release, encoders.fingerprints(), config)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (EncodersConfig(text=TextConfig(model="./no/model")), "there is no such folder"),
        (EncodersConfig(image=ImageConfig(model="no-such")), "choose vetrina-minilm"),
        (EncodersConfig(image=ImageConfig(model="vetrina-small")), "without weights"),
    ],
)
def test_an_encoder_that_cannot_be_opened_is_a_wrong_configuration(
    section: EncodersConfig, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        open_encoders(Config(encoders=section))
