"""Encoding on a real Ray, started once for all of these tests; it takes half a minute."""

from collections.abc import Iterator
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from PIL import Image

from pipelines.building.build import build
from pipelines.config.loading import load
from pipelines.config.sections import Config
from pipelines.encoding.embedding_cache import FILE_NAME
from pipelines.encoding.encoders import Encoders, open_encoders, with_runtimes
from pipelines.encoding.pictures import Pictures, encode_pictures
from pipelines.encoding.ray_runner import EncodingSource, RunnerError, fill
from pipelines.encoding.texts import encode_texts
from pipelines.errors import ConfigError
from pipelines.progress import silent
from pipelines.shop.reader import Shop
from pipelines.shop.writer import ShopWriter

needs_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="ray is not installed; install the extra `ray`"
)
quietly = [  # Ray's own, none of which we can mend
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
pytestmark = quietly

TITLES = [f"{kind} {i % 30}" for i in range(60) for kind in ("Rye bread", "Oat milk, 1 l")]
TEXTS = [*TITLES, "", "  ", "红色连衣裙", "a long title of a product " * 20, "", "Rye bread 3"]


@pytest.fixture(scope="module")
def ray_here() -> Iterator[Any]:
    """A Ray with room for two workers, without dashboard or usage reports."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # workers give way to everybody else by default
        import ray

        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=100_000_000,
            log_to_driver=False,
            logging_level="CRITICAL",
        )
        yield ray
        ray.shutdown()


@pytest.fixture(scope="module")
def config(clip_folder: Path) -> Config:
    settings = [
        f"encoders.image.model={clip_folder}",
        "encoders.image.runtime=torch",
        "encoders.text.runtime=torch",
        "encoders.text.batch_size=16",
        "encoders.max_failed_share=1",
        "encoders.runner=ray",
        "ranking.train=false",
        "threads=1",
    ]
    return load(None, settings)


@pytest.fixture(scope="module")
def encoders(config: Config) -> Encoders:
    return open_encoders(config)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Products with a picture each: some equal, some odd, some no pictures at all."""
    folder = tmp_path_factory.mktemp("shops") / "shop"
    ids = [f"p{i}" for i in range(90)]
    pictures = [picture(i) for i in range(90)]
    with ShopWriter(folder, name="Ray", source="table") as writer:
        writer.add_products(pa.table({"id": ids[:85], "title": TITLES[:85]}))
        for start in (0, 40, 80):  # several row groups
            part = slice(start, start + 40)
            kinds = ["image/jpeg"] * len(ids[part])
            table = {"id": ids[part], "image": pictures[part], "media_type": kinds}
            writer.add_pictures(pa.table(table))
    return Shop(folder)


def picture(number: int) -> bytes:
    if number % 10 == 7:
        return b"no picture" + bytes([number % 20])
    page = BytesIO()
    colour = (number * 5 % 250, 90, 250 - number * 2) if number % 3 else (9, 9, 9)
    Image.new("RGB", (20 + number % 7, 30), colour).save(page, "PNG" if number % 2 else "JPEG")
    return page.getvalue() if number != 45 else page.getvalue()[:40]


def seen(shop: Shop, encoders: Encoders, embeddings: Path) -> Pictures:
    assert encoders.image is not None
    ids = [f"p{i}" for i in range(85)]
    return encode_pictures(ids, shop, encoders.image, embeddings, max_failed_share=1, track=silent)


@pytest.fixture
def in_small_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that there is more than one call to each encoder."""
    monkeypatch.setattr("pipelines.encoding.texts.TEXTS_PER_CHUNK", 25)
    monkeypatch.setattr("pipelines.encoding.pictures.PICTURES_PER_CHUNK", 16)
    monkeypatch.setattr("pipelines.encoding.ray_runner.PICTURES_PER_CHUNK", 16)


@pytest.mark.slow
@needs_ray
@pytest.mark.usefixtures("in_small_calls", "ray_here")
def test_the_vectors_are_those_of_one_process_bit_for_bit(
    shop: Shop, config: Config, encoders: Encoders, tmp_path: Path
) -> None:
    one, many = tmp_path / "one", tmp_path / "many"
    texts = encode_texts(TEXTS, encoders.text, one, silent)
    pictures = seen(shop, encoders, one)

    fill(EncodingSource(shop, [f"p{i}" for i in range(85)], TEXTS), encoders, config, many, silent)

    filled = {path: path.stat().st_size for path in many.rglob(FILE_NAME)}
    assert encode_texts(TEXTS, encoders.text, many, silent).tobytes() == texts.tobytes()
    assert seen(shop, encoders, many).vectors.tobytes() == pictures.vectors.tobytes()
    assert seen(shop, encoders, many).failures == pictures.failures != {}
    assert {path: path.stat().st_size for path in many.rglob(FILE_NAME)} == filled
    assert filled


@pytest.mark.slow
@needs_ray
@pytest.mark.usefixtures("in_small_calls", "ray_here")
def test_workers_run_the_network_that_the_build_chose(
    shop: Shop, config: Config, encoders: Encoders, tmp_path: Path
) -> None:
    one, many = tmp_path / "one", tmp_path / "many"
    text = msgspec.structs.replace(config.encoders.text, runtime="openvino")
    image = msgspec.structs.replace(config.encoders.image, runtime="openvino")
    wanted = msgspec.structs.replace(
        config, encoders=msgspec.structs.replace(config.encoders, text=text, image=image)
    )
    pictures = [picture(i) for i in range(8)]
    chosen = with_runtimes(encoders, TITLES, pictures, wanted)

    fill(EncodingSource(shop, [f"p{i}" for i in range(85)], TEXTS), chosen, wanted, many, silent)

    filled = {path: path.stat().st_size for path in many.rglob(FILE_NAME)}
    for found in (chosen.text_choice, chosen.image_choice):
        assert found is not None
        assert found.record.runtime.startswith("openvino")
    texts = [encode_texts(TEXTS, chosen.text, folder, silent).tobytes() for folder in (one, many)]
    assert texts[0] == texts[1]
    assert seen(shop, chosen, one).vectors.tobytes() == seen(shop, chosen, many).vectors.tobytes()
    assert {path: path.stat().st_size for path in many.rglob(FILE_NAME)} == filled


@pytest.mark.slow
@needs_ray
@pytest.mark.usefixtures("ray_here")
def test_a_worker_that_cannot_encode_is_one_clear_error(
    shop: Shop, config: Config, encoders: Encoders, tmp_path: Path, clip_folder: Path
) -> None:
    image = msgspec.structs.replace(config.encoders.image, model=str(tmp_path / "gone"))
    lost = msgspec.structs.replace(
        config, encoders=msgspec.structs.replace(config.encoders, image=image)
    )

    with pytest.raises(RunnerError, match=r"a Ray worker cannot encode pictures: .*gone"):
        fill(EncodingSource(shop, ["p1"], []), encoders, lost, tmp_path / "embeddings", silent)


@pytest.mark.slow
@needs_ray
@pytest.mark.usefixtures("ray_here")
def test_a_worker_with_another_model_is_refused(
    shop: Shop, config: Config, encoders: Encoders, tmp_path: Path
) -> None:
    text = msgspec.structs.replace(config.encoders.text, max_tokens=16)
    other = msgspec.structs.replace(
        config, encoders=msgspec.structs.replace(config.encoders, text=text)
    )

    with pytest.raises(RunnerError, match="bring the same model and the same version"):
        fill(EncodingSource(shop, [], ["tea"]), encoders, other, tmp_path / "embeddings", silent)


def test_a_build_asks_ray_before_it_encodes_what_is_left(
    shop: Shop, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[EncodingSource] = []

    def note(source: EncodingSource, *_: object) -> None:
        asked.append(source)

    monkeypatch.setattr("pipelines.building.steps.vectors.ray_runner.fill", note)
    build(shop.folder, tmp_path, config, None, silent)

    [source] = asked
    assert source.texts == TITLES[:85]
    assert source.product_ids == [f"p{i}" for i in range(85)]


def test_where_nothing_is_missing_ray_is_not_started(
    shop: Shop, config: Config, encoders: Encoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr("pipelines.encoding.ray_runner._ray", refuse)
    monkeypatch.setattr("pipelines.encoding.ray_runner.find_spec", lambda name: True)
    encode_texts(["tea"], encoders.text, tmp_path, silent)

    fill(EncodingSource(shop, [], ["tea"]), encoders, config, tmp_path, silent)


def test_without_the_package_the_error_names_the_extra(
    shop: Shop, config: Config, encoders: Encoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.encoding.ray_runner.find_spec", lambda name: None)

    with pytest.raises(ConfigError, match=r"not installed; install the extra .*vetrina\[ray\]"):
        fill(EncodingSource(shop, [], ["tea"]), encoders, config, tmp_path, silent)


def test_an_address_where_nobody_listens_is_told_at_once(
    shop: Shop, config: Config, encoders: Encoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = msgspec.structs.replace(config.encoders, ray_address="127.0.0.1:1")
    monkeypatch.setattr("pipelines.encoding.ray_runner.find_spec", lambda name: True)

    with pytest.raises(RunnerError, match=r"no Ray cluster answers at encoders\.ray_address='127"):
        fill(
            EncodingSource(shop, [], ["tea"]),
            encoders,
            msgspec.structs.replace(config, encoders=chosen),
            tmp_path,
            silent,
        )


@pytest.mark.parametrize(
    ("start", "count"), [(0, 5), (38, 4), (0, 90), (85, 20), (40, 40), (90, 1)]
)
def test_pictures_are_read_from_the_middle_of_the_file(shop: Shop, start: int, count: int) -> None:
    every = [i.as_py() for batch in shop.picture_batches() for i in batch["image"]]

    assert list(shop.pictures(start, count)) == every[start : start + count]
