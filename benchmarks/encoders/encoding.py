"""Speed of encoding texts and pictures, beside the libraries' own functions.

    python -m benchmarks encoding --data FOLDER [--texts 2000] [--pictures 96] [--only texts]

FOLDER holds home_depot/labels.parquet, fashion/styles.parquet and esci_us/products.parquet, whose
distinct titles are drawn by the seed, and fashion/images_224.parquet. Every repetition times each
way on the same fresh titles, one after the other, with the same number of threads; the ratio is
the median over repetitions, by the clock and by the seconds that the cores were busy with it,
which other work on the machine changes less. Image models have random weights, as no trained ones
are at hand; the pictures of 1,000 pixels are those of 224, enlarged.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from benchmarks.machine import run_benchmark
from pipelines.building.build import build
from pipelines.config.loading import load
from pipelines.config.sections import Config
from pipelines.encoding.encoders import open_encoders, with_runtimes
from pipelines.shop.writer import ShopWriter
from retrieval.encoders.clip.opening import new_clip_model
from retrieval.encoders.image import ClipEncoder
from retrieval.encoders.image_runtime import choose_image_runtime
from retrieval.encoders.networks.network_tokenizer import NetworkTokenizer
from retrieval.encoders.networks.openvino_network import Network, trace
from retrieval.encoders.networks.runtimes import RuntimeChoice, compiled_record
from retrieval.encoders.text import open_text_encoder
from retrieval.encoders.text_runtime import (
    CompiledEncoder,
    choose_runtime,
    sampled,
    traced,
)

T = TypeVar("T")
Times = tuple[float, float]  # seconds by the clock, and seconds of cores

TITLES = ("home_depot/labels.parquet", "fashion/styles.parquet", "esci_us/products.parquet")
LIKELY = ("title", "product_title", "productDisplayName", "display_name")
PICTURES = "fashion/images_224.parquet"
PEER_BATCH = 32  # the default of sentence-transformers
LARGE = 1_000  # pixels
QUERIES = 100
MODELS = ("vetrina-small", "ViT-B-32")
ROW = "{:44} {:>10} {:>10} {:>7} {:>7}  {}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=2_000, help="a repetition")
    parser.add_argument("--pictures", type=int, default=96, help="a repetition")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--only", choices=("texts", "pictures", "build", "quantisers"), action="append"
    )
    parser.add_argument("--model", action="append", help="of open_clip; by default two of them")
    asked = parser.parse_args()
    for name in (*TITLES, PICTURES):
        if not (asked.data / name).is_file():
            sys.exit(f"{asked.data / name} is missing; --data is the folder that holds {name}")
    torch.set_num_threads(asked.threads)
    for name, measure in MEASURES.items():
        if not asked.only or name in asked.only:
            measure(asked)


def texts(asked: argparse.Namespace) -> None:
    drawn = titles(asked.data, asked.texts * (asked.repetitions + 1), asked.seed)
    known, *fresh = (drawn[i : i + asked.texts] for i in range(0, len(drawn), asked.texts))
    plain = open_text_encoder("all-MiniLM-L6-v2", threads=asked.threads)
    chosen = choose_runtime(plain, "auto", known, asked.threads)
    library: Any = plain.model
    ours = chosen.encoder.encode

    def theirs(some: Sequence[str]) -> Any:
        return library.encode(list(some), batch_size=PEER_BATCH, show_progress_bar=False)

    print(f"texts: {asked.repetitions} repetitions of {asked.texts:,}, {asked.threads} threads")
    told(chosen)
    heading("texts a second", "default")
    report("sentence-transformers' encode", theirs, ours, fresh)
    heading("milliseconds a query, median", "default")
    queries = [" ".join(title.split()[:3]) for title in known[:QUERIES]]
    print(ROW.format("one query of three words", *latency(theirs, ours, queries)))


def pictures(asked: argparse.Namespace) -> None:
    column = pq.read_table(asked.data / PICTURES).column("jpeg")
    places = np.random.default_rng(asked.seed).permutation(len(column))[: asked.pictures]
    small = [column[int(place)].as_py() for place in places]
    sources = {"224": small, f"{LARGE:,}": [enlarged(one) for one in small]}
    print(f"\npictures: {asked.repetitions} repetitions of {asked.pictures}")
    for model in asked.model or MODELS:
        torch.manual_seed(asked.seed)
        clip = new_clip_model(model)
        plain = ClipEncoder(clip, threads=asked.threads)
        chosen = choose_image_runtime(plain, "auto", small)
        told(chosen, f"{model}: ")
        heading("pictures a second", "torch")
        for size, source in sources.items():
            for label, batch in (("one by one", 1), (f"batches of {PEER_BATCH}", PEER_BATCH)):
                report(
                    f"{model}, {size} px, {label}",
                    in_library(clip, batch),
                    seeing(chosen.encoder),
                    [source] * asked.repetitions,
                )


def builds(asked: argparse.Namespace) -> None:
    """Time the steps that encode in real builds, against the encoders called on the same."""
    words = titles(asked.data, asked.texts, asked.seed)
    column = pq.read_table(asked.data / PICTURES).column("jpeg")
    seen = [column[i].as_py() for i in range(min(len(column), 10 * asked.pictures, asked.texts))]
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        write_shop(root / "shop", words, seen)
        torch.manual_seed(asked.seed)
        ClipEncoder(new_clip_model(MODELS[0])).save(root / "clip")
        config = load(
            None,
            [
                f"encoders.image.model={root / 'clip'}",
                f"threads={asked.threads}",
                "ranking.train=false",
            ],
        )
        measured = [one_build(root, i, words, seen, config) for i in range(asked.repetitions)]
    print(f"\na build: {len(words):,} texts, {len(seen):,} pictures ({MODELS[0]}, 224 px)")
    heading("a second", "encoder")
    for label, count in (("encode texts", len(words)), ("encode pictures", len(seen))):
        step, direct = (
            np.array([one[way][label] for one in measured]) for way in ("step", "direct")
        )
        ratios = (f"{ratio:.2f}" for ratio in np.median(direct / step, axis=0))
        rates = (f"{count / np.median(times[:, 0]):,.0f}" for times in (direct, step))
        print(ROW.format(f"the step `{label}`", *rates, *ratios, ""))


def one_build(
    root: Path, number: int, words: list[str], seen: list[bytes], config: Config
) -> dict[str, dict[str, Times]]:
    releases = root / f"releases-{number}"
    encoders = with_runtimes(open_encoders(config), words, seen, config)
    assert encoders.image is not None
    direct = {
        "encode texts": timed(encoders.text.encode, words)[1],
        "encode pictures": timed(encoders.image.encode_images, seen)[1],
    }
    steps = Steps()
    build(root / "shop", releases, config, None, steps)
    return {"direct": direct, "step": steps.times}


def quantisers(asked: argparse.Namespace) -> None:
    """Compare our 8 bits of the text model with those of NNCF, which is no dependency."""
    if find_spec("nncf") is None:
        print("\nquantisers: NNCF is not installed, so ours has nothing to be compared with")
        return
    import nncf

    sample, others = sampled(titles(asked.data, asked.texts, asked.seed))
    plain = open_text_encoder("all-MiniLM-L6-v2", threads=asked.threads)
    reader = NetworkTokenizer.of_model(plain.model)
    network = trace(*traced(plain.model, reader))
    batches = [reader.padded([tokens]) for tokens in reader.tokens(others)]
    theirs = nncf.quantize(
        network.copied(),
        nncf.Dataset([dict(batch) for batch in batches]),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(batches),
    )
    expected = plain.encode(sample)
    print(f"\n8 bits of MiniLM, cosine to torch over {len(sample)} titles, odd ones among them")
    for label, made in (("ours", network.quantised(batches)), ("NNCF", Network(theirs, "nncf"))):
        record = compiled_record(plain.fingerprint, "int8", made)
        found = CompiledEncoder(reader, made, record, asked.threads).encode(sample)
        each = np.sum(found * expected, axis=1)
        print(f"{label}: mean {each.mean():.4f}, least {each.min():.4f}")


class Steps:
    """A track that remembers how long each step took."""

    def __init__(self) -> None:
        self.times: dict[str, Times] = {}

    def __call__(
        self,
        items: Iterable[T],
        label: str,
        total: int | None = None,
        most_seconds: float | None = None,
    ) -> Iterator[T]:
        start, busy = perf_counter(), process_time()
        yield from items
        self.times[label] = perf_counter() - start, process_time() - busy


def report(
    label: str,
    theirs: Callable[[Any], Any],
    ours: Callable[[Any], Any],
    repetitions: Sequence[Sequence[Any]],
) -> None:
    """Print the median rates, the median ratio and the cosines of all repetitions."""
    theirs(repetitions[0][:8])
    ours(repetitions[0][:8])
    times: tuple[list[Times], list[Times]] = [], []
    cosines = []
    for some in repetitions:
        vectors = []
        for way, kept in zip((theirs, ours), times, strict=True):
            found, took = timed(way, some)
            vectors.append(np.asarray(found))
            kept.append(took)
        cosines.append(np.sum(unit(vectors[0]) * unit(vectors[1]), axis=1))
    each = np.concatenate(cosines)
    wall, cores = np.moveaxis(np.array(times), 2, 0)  # [way, repetition]
    ratios = (f"{np.median(both[0] / both[1]):.2f}" for both in (wall, cores))
    rates = (f"{len(repetitions[0]) / np.median(kept):,.1f}" for kept in wall)
    cosine = f"cosine {each.mean():.5f}, least {each.min():.5f}"
    print(ROW.format(label, *rates, *ratios, cosine), flush=True)


def latency(
    theirs: Callable[[Any], Any], ours: Callable[[Any], Any], queries: Sequence[str]
) -> tuple[str, str, str, str, str]:
    times = np.array([[timed(way, [q])[1][0] for way in (theirs, ours)] for q in queries]) * 1_000
    default, here = np.median(times, axis=0)
    return f"{default:.2f}", f"{here:.2f}", f"{default / here:.2f}", "", ""


def seeing(encoder: ClipEncoder) -> Callable[[Sequence[bytes]], np.ndarray]:
    return lambda pictures: encoder.encode_images(pictures)[0]


def in_library(clip: Any, batch: int) -> Callable[[Sequence[bytes]], np.ndarray]:
    """Return open_clip's own way: decode whole, its transform, torch."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    transform = image_transform_v2(PreprocessCfg(**clip.network.visual.preprocess_cfg), False)

    def encode(pictures: Sequence[bytes]) -> np.ndarray:
        parts = []
        for start in range(0, len(pictures), batch):
            opened = [Image.open(io.BytesIO(one)) for one in pictures[start : start + batch]]
            with torch.inference_mode():
                pixels = torch.stack([transform(one.convert("RGB")) for one in opened])
                parts.append(clip.network.encode_image(pixels, normalize=True).numpy())
        return np.concatenate(parts)

    return encode


def titles(data: Path, count: int, seed: int) -> list[str]:
    found: set[str] = set()
    for name in TITLES:
        table = pq.read_table(data / name)
        [column] = [one for one in LIKELY if one in table.column_names][:1]
        found |= {title for title in table[column].to_pylist() if title}
    ordered = sorted(found)
    return [ordered[i] for i in np.random.default_rng(seed).permutation(len(ordered))[:count]]


def write_shop(folder: Path, words: list[str], seen: list[bytes]) -> None:
    ids = [f"p{i}" for i in range(len(words))]
    with ShopWriter(folder, name="Benchmark", source="table") as writer:
        writer.add_products(pa.table({"id": ids, "title": words}))
        kinds = ["image/jpeg"] * len(seen)
        writer.add_pictures(pa.table({"id": ids[: len(seen)], "image": seen, "media_type": kinds}))


def enlarged(picture: bytes) -> bytes:
    content = io.BytesIO()
    large = Image.open(io.BytesIO(picture)).convert("RGB").resize((LARGE, LARGE))
    large.save(content, "JPEG", quality=90)
    return content.getvalue()


def timed(way: Callable[[Any], Any], some: Any) -> tuple[Any, Times]:
    start, busy = perf_counter(), process_time()
    found = way(some)
    return found, (perf_counter() - start, process_time() - busy)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def told(chosen: RuntimeChoice[Any], before: str = "") -> None:
    record = chosen.record
    speeds = ", ".join(f"{name} {rate:,.0f}/s" for name, rate in record.per_second.items())
    print(f"{before}chosen: {record.runtime} ({speeds}); refused: {record.refused or 'none'}")


def heading(unit_of: str, peer: str) -> None:
    print(ROW.format(unit_of, peer, "ours", "ratio", "cores", "").rstrip())


MEASURES = {"texts": texts, "pictures": pictures, "build": builds, "quantisers": quantisers}

if __name__ == "__main__":
    run_benchmark(main)
