"""The one module that knows Ray: encodes what the cache lacks, on one machine or on many.

It makes the very calls that one process would make, so on processors of one kind the vectors are
the same bit for bit.
"""

import logging
import os
import socket
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from pipelines.config.sections import Config
from pipelines.encoding.embedding_cache import EmbeddingCache, content_hash
from pipelines.encoding.encoders import Encoders, as_carried, carried, open_image, open_text
from pipelines.encoding.pictures import PICTURES_PER_CHUNK, picture_chunks
from pipelines.encoding.texts import text_chunks
from pipelines.errors import ConfigError, UserError, first_line
from pipelines.progress import Track
from pipelines.shop.reader import Shop
from retrieval.encoders.image_runtime import open_chosen_image
from retrieval.encoders.query import ImageEncoder
from retrieval.encoders.text import TextEncoder
from retrieval.encoders.text_runtime import open_chosen

LOCAL_STORE_BYTES = 256_000_000
KNOCK_SECONDS = 5.0
RESTARTS = {"max_restarts": 0, "max_task_retries": 0}  # what kills a worker once kills it again

Encode = Callable[[dict[str, Any]], tuple[list[bytes], Float32[np.ndarray, "n d"]]]


class EncodingSource(NamedTuple):
    """What is to be encoded."""

    shop: Shop
    product_ids: Sequence[str]
    texts: Sequence[str]


class RunnerError(UserError):
    """Ray does not answer, or a worker of its failed for good."""


class _Work(NamedTuple):
    kind: str  # one of OPENERS
    encoder: TextEncoder | ImageEncoder
    cache: EmbeddingCache
    calls: list[dict[str, Any]]
    network: dict[str, bytes]  # files that run the encoder; none: in torch


def fill(
    source: EncodingSource, encoders: Encoders, config: Config, embeddings: Path, track: Track
) -> None:
    """Put the vectors of all texts and readable pictures into the embedding cache.

    What is there already is not encoded again, and where nothing is missing Ray is not started.
    Broken pictures are left out; whoever reads the cache meets them and counts them.
    """
    if find_spec("ray") is None:
        raise ConfigError(
            "encoders.runner=ray needs the package ray, which is not installed; install the "
            "extra with `pip install 'vetrina[ray]'`, or leave encoders.runner at `process`"
        )
    work = [one for one in _work(source, encoders, embeddings) if one.calls]
    if not work:
        return
    folder = str(source.shop.folder.absolute())
    with _ray(config.encoders.ray_address, config.threads):
        for kind, encoder, cache, calls, network in work:
            opening = (_for_workers(config), folder, network)
            arguments = (kind, encoder.fingerprint, opening)
            answers = _answers(calls, arguments, config.threads)
            for answer in track(answers, f"encode {kind} on Ray", len(calls)):
                vectors = np.frombuffer(answer["vectors"], np.float32)
                cache.put(answer["hashes"], vectors.reshape(-1, encoder.dim))


def _work(source: EncodingSource, encoders: Encoders, embeddings: Path) -> Iterator[_Work]:
    cache = EmbeddingCache.of(encoders.text, embeddings)
    network = carried(encoders.text_choice)
    yield _Work("texts", encoders.text, cache, _text_calls(source.texts, cache), network)
    if encoders.image is not None:
        cache = EmbeddingCache.of(encoders.image, embeddings)
        network = carried(encoders.image_choice)
        yield _Work("pictures", encoders.image, cache, _picture_calls(source, cache), network)


def _for_workers(config: Config) -> dict[str, Any]:
    """Return the configuration with models in folders by their whole paths."""
    settings: dict[str, Any] = msgspec.to_builtins(config)
    for section, name in (("text", "model"), ("image", "model"), ("image", "pretrained")):
        given = settings["encoders"][section][name]
        if given and Path(given).exists():
            settings["encoders"][section][name] = str(Path(given).absolute())
    return settings


def _text_calls(texts: Sequence[str], cache: EmbeddingCache) -> list[dict[str, Any]]:
    distinct = list(dict.fromkeys(texts))
    calls = []
    for chunk in text_chunks(distinct):
        words = [distinct[i] for i in chunk]
        _, is_stored = cache.get([content_hash(text.encode()) for text in words])
        if not is_stored.all():
            calls.append({"texts": [words[i] for i in np.flatnonzero(~is_stored)]})
    return calls


def _picture_calls(source: EncodingSource, cache: EmbeddingCache) -> list[dict[str, Any]]:
    """Name pictures by their places in the file, which each worker reads for itself."""
    product_ids = set(source.product_ids)
    sent: set[str] = set()
    calls = []
    for number, (ids, pictures) in enumerate(picture_chunks(source.shop)):
        hashes = [content_hash(picture) for picture in pictures]
        _, is_stored = cache.get(hashes)
        places = []
        for place, product_id in enumerate(ids):
            if product_id in product_ids and not is_stored[place] and hashes[place] not in sent:
                sent.add(hashes[place])
                places.append(place)
        if places:
            calls.append({"start": number * PICTURES_PER_CHUNK, "places": places})
    return calls


@contextmanager
def _ray(address: str, threads: int) -> Iterator[None]:
    """Join the cluster at `address`, or start one here that ends with the block; tell nobody."""
    _knock(address)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # after its import, which resets it
    if ray.is_initialized():  # by whoever called us
        yield
        return
    here = {
        "address": "local",
        "num_cpus": max(threads, os.cpu_count() or 1),
        "include_dashboard": False,
        "object_store_memory": LOCAL_STORE_BYTES,
    }
    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    try:
        ray.init(**({"address": address} if address else here), **quiet)
    except (ConnectionError, OSError, RuntimeError, ValueError, ray.exceptions.RayError) as e:
        raise _silent(address, e) from None
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Ray itself would try for minutes before it says that nobody is there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), KNOCK_SECONDS).close()
    except (OSError, OverflowError) as e:
        raise _silent(address, e) from None


def _silent(address: str, error: Exception) -> RunnerError:
    where = f"no Ray cluster answers at encoders.ray_address={address!r}"
    return RunnerError(
        f"{where if address else 'Ray does not start on this machine'}: {first_line(error)}; "
        "look at `ray status`, or set encoders.runner=process"
    )


def _answers(
    calls: Sequence[dict[str, Any]], arguments: tuple[Any, ...], threads: int
) -> Iterator[dict[str, Any]]:
    """Yield what workers answer, as they do; RunnerError where one of them failed."""
    import ray
    from ray import data

    room = int(ray.cluster_resources().get("CPU", 1)) // threads
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    table = pa.Table.from_pylist(list(calls))
    one_each = [table.slice(i, 1) for i in range(len(calls))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray has no other way to say how often to start again
        answers = data.from_arrow(one_each).map_batches(
            _Worker,
            batch_size=1,
            batch_format="pyarrow",
            compute=data.ActorPoolStrategy(size=min(max(room, 1), len(calls))),
            num_cpus=threads,
            fn_constructor_args=arguments,
            ray_remote_args_fn=lambda: RESTARTS,
        )
    try:
        for batch in answers.iter_batches(batch_size=1, batch_format="pyarrow"):
            [answer] = batch.to_pylist()
            if answer["failure"]:
                raise RunnerError(f"a Ray worker cannot encode {arguments[0]}: {answer['failure']}")
            yield answer
    except ray.exceptions.RayError as e:
        raise RunnerError(
            f"a Ray worker that encoded {arguments[0]} was lost: "
            f"{first_line(e)}; it may have had too little memory; what was encoded is kept, so "
            "build again to go on"
        ) from None


class _Worker:
    """One encoder in a process of its own, opened once; a failure is an answer, not a crash."""

    def __init__(
        self, kind: str, fingerprint: str, opening: tuple[dict[str, Any], str, dict[str, bytes]]
    ) -> None:
        self._failure = ""
        settings, folder, network = opening
        try:
            config = msgspec.convert(settings, Config)
            opened, self._encode = OPENERS[kind](config, Path(folder), network)
        except (ValueError, OSError) as e:
            self._failure = first_line(e)
            return
        if opened != fingerprint:
            self._failure = (
                f"its encoder is {opened}, and that of the build is {fingerprint}; bring the same "
                "model and the same version of vetrina to every machine"
            )

    def __call__(self, batch: pa.Table) -> pa.Table:
        [call] = batch.to_pylist()
        if self._failure:
            return _answer([], b"", self._failure)
        try:
            items, vectors = self._encode(call)
        except (ValueError, OSError, RuntimeError) as e:
            return _answer([], b"", first_line(e))
        hashes = [content_hash(item) for item in items]
        return _answer(hashes, np.ascontiguousarray(vectors, np.float32).tobytes(), "")


def _answer(hashes: list[str], vectors: bytes, failure: str) -> pa.Table:
    return pa.table(
        {
            "hashes": pa.array([hashes], pa.list_(pa.string())),
            "vectors": pa.array([vectors], pa.large_binary()),
            "failure": pa.array([failure], pa.string()),
        }
    )


def _open_texts(config: Config, _: Path, network: dict[str, bytes]) -> tuple[str, Encode]:
    encoder = as_carried(
        network, open_text(config), lambda plain, folder: open_chosen(plain, folder, config.threads)
    )

    def encode(call: dict[str, Any]) -> tuple[list[bytes], Float32[np.ndarray, "n d"]]:
        texts = call["texts"]
        return [text.encode() for text in texts], encoder.encode(texts)

    return encoder.fingerprint, encode


def _open_pictures(
    config: Config, shop_folder: Path, network: dict[str, bytes]
) -> tuple[str, Encode]:
    plain, shop = open_image(config), Shop(shop_folder)
    assert plain is not None, "pictures are only asked for where there is an image encoder"
    encoder = as_carried(network, plain, open_chosen_image)

    def encode(call: dict[str, Any]) -> tuple[list[bytes], Float32[np.ndarray, "n d"]]:
        wanted = set(call["places"])
        read = enumerate(shop.pictures(call["start"], max(wanted) + 1))
        pictures = [picture for place, picture in read if place in wanted]
        vectors, broken = encoder.encode_images(pictures)
        good = [i for i in range(len(pictures)) if i not in broken]
        return [pictures[i] for i in good], vectors[good]

    return encoder.fingerprint, encode


OPENERS: dict[str, Callable[[Config, Path, dict[str, bytes]], tuple[str, Encode]]] = {
    "texts": _open_texts,
    "pictures": _open_pictures,
}
