import os
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from ranking.bundle import ABOUT, NETWORK, TOKENS, Bundle, UnknownBundle
from ranking.calibration.calibration import KINDS, SIGMOID, head_name
from ranking.compression.export import export
from ranking.compression.quantisation import quantise
from ranking.features.context import Context
from ranking.features.definitions import NAMES
from ranking.network.examples import RankedProducts
from ranking.network.files import save
from ranking.network.model import Model, RankerSettings
from ranking.network.training import TrainedRanker
from ranking.ranker import Ranker, UnfitLogits
from retrieval.context_facts import FACT_BUCKETS, MAX_FACTS

ROOT = Path(__file__).parents[2]
VECTOR_DIM, NUM_PRODUCTS = 6, 30


@pytest.fixture(scope="module")
def ranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ranker of random weights."""
    random = np.random.default_rng(0)
    products = RankedProducts(
        random.normal(size=(NUM_PRODUCTS, VECTOR_DIM)).astype(np.float32),
        np.arange(NUM_PRODUCTS, dtype=np.int32) % 3,
    )
    torch.manual_seed(0)
    settings = RankerSettings(dim=8, heads=2, layers=1, points=3, epochs=1, learning_rate=1e-3)
    model = Model(settings, products).eval()
    for weights in model.parameters():
        torch.nn.init.normal_(weights, std=0.3)
    folder = tmp_path_factory.mktemp("rankers") / "ranker"
    save(TrainedRanker(model, "purchase", ()), products, ("search",), HEADS, folder)
    return folder


@pytest.fixture(scope="module")
def bundle(ranker: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    export(ranker, folder)
    return folder


@pytest.fixture
def copied(bundle: Path, tmp_path: Path) -> Path:
    for name in bundle.iterdir():
        (tmp_path / name.name).write_bytes(name.read_bytes())
    return tmp_path


HEADS = {head_name(kind, "purchase"): SIGMOID for kind in KINDS}


def asked(
    seed: int, count: int, num_recent: int, num_facts: int
) -> tuple[np.ndarray, np.ndarray, Context]:
    """A request; every second one was asked in words."""
    random = np.random.default_rng(seed)
    recent = np.full(num_recent + 2, -1)
    recent[:num_recent] = random.choice(NUM_PRODUCTS, num_recent, replace=False)
    recent_facts = np.zeros((num_recent + 2, 2), np.float32)
    recent_facts[:num_recent] = random.random((num_recent, 2))
    facts = np.zeros(MAX_FACTS, np.int64)
    facts[:num_facts] = random.integers(1, FACT_BUCKETS, num_facts)
    query = random.normal(size=VECTOR_DIM).astype(np.float32) if seed % 2 else None
    return (
        random.choice(NUM_PRODUCTS, count, replace=False),
        random.normal(size=(count, len(NAMES))).astype(np.float32),
        Context(query, recent, recent_facts, facts),
    )


def test_a_bundle_leaves_out_a_fact_that_it_never_learnt(bundle: Path, ranker: Path) -> None:
    rows, features, context = asked(1, 9, 4, 3)
    strange = context._replace(facts=np.where(context.facts > 0, context.facts + (1 << 50), 0))
    silent = context._replace(facts=np.zeros_like(context.facts))

    for one in (Bundle.open(bundle), Ranker.open(ranker)):
        found, expected = (one.rank(rows, features, c).logits for c in (strange, silent))

        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


LENGTHS = [(1, 0, 1), (2, 1, 0), (9, 4, 3), (30, 7, 12)]


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_bundle_scores_as_the_ranker_does(
    ranker: Path, bundle: Path, lengths: tuple[int, int, int], seed: int
) -> None:
    request = asked(seed, *lengths)

    expected = Ranker.open(ranker).rank(*request)
    found = Bundle.open(bundle).rank(*request)

    np.testing.assert_allclose(found.logits, expected.logits, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        found.probabilities["purchase"], expected.probabilities["purchase"], atol=1e-4
    )


def test_a_bundle_knows_where_it_was_better(bundle: Path) -> None:
    assert Bundle.open(bundle).is_better("search")
    assert not Bundle.open(bundle).is_better("recommendation")


def test_a_bundle_ranks_in_a_process_without_torch(bundle: Path, tmp_path: Path) -> None:
    rows, features, context = asked(1, 9, 4, 3)
    np.savez(tmp_path / "asked.npz", rows=rows, features=features, **context._asdict())
    code = f"""
import sys
from pathlib import Path
from typing import NamedTuple
for heavy in ("torch", "faiss", "openvino", "tantivy", "pyarrow"):
    sys.modules[heavy] = None
import numpy as np
from ranking.bundle import Bundle

class Asked(NamedTuple):
    query: np.ndarray
    recent: np.ndarray
    recent_facts: np.ndarray
    facts: np.ndarray

held = np.load({str(tmp_path / "asked.npz")!r})
asked = Asked(*(held[name] for name in Asked._fields))
found = Bundle.open(Path({str(bundle)!r})).rank(held["rows"], held["features"], asked)
print(*found.logits.tolist())
print([m for m, v in sys.modules.items() if m.split(".")[0] == "torch" and v is not None])
"""

    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    assert done.returncode == 0, done.stderr
    scores, torch_modules = done.stdout.splitlines()
    expected = Bundle.open(bundle).rank(rows, features, context).logits
    np.testing.assert_allclose(np.array(scores.split(), np.float32), expected, rtol=1e-5)
    assert torch_modules == "[]"


def test_a_bundle_that_answers_nan_is_caught(bundle: Path) -> None:
    rows, features, context = asked(1, 8, 2, 2)
    features[2, 0] = np.nan

    with pytest.raises(UnfitLogits, match="of 8 logits"):
        Bundle.open(bundle).rank(rows, features, context)


@pytest.mark.parametrize("name", [ABOUT, NETWORK, TOKENS, "calibration.json"])
def test_a_bundle_with_a_file_missing_linked_or_damaged_is_refused_by_name(
    copied: Path, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = (copied / name).read_bytes()
    (copied / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(UnknownBundle, match=name):
        Bundle.open(copied)

    (copied / name).unlink()
    with pytest.raises(UnknownBundle, match=f"{name}.*run `vetrina export` again"):
        Bundle.open(copied)

    elsewhere = tmp_path_factory.mktemp("elsewhere") / name
    elsewhere.write_bytes(content)
    (copied / name).symlink_to(elsewhere)
    with pytest.raises(UnknownBundle, match=f"{name} is not a plain file"):
        Bundle.open(copied)


def test_objects_in_place_of_tokens_are_refused(copied: Path) -> None:
    np.save(copied / TOKENS, np.array([{"a": 1}]), allow_pickle=True)

    with pytest.raises(UnknownBundle, match=r"tokens\.npy is not an array"):
        Bundle.open(copied)


def test_tokens_of_another_width_are_refused(copied: Path) -> None:
    np.save(copied / TOKENS, np.zeros((4, 9), np.float16))

    with pytest.raises(UnknownBundle, match=r"float16 \[4, 9\], float16 \[products, 8\]"):
        Bundle.open(copied)


@pytest.mark.parametrize(
    ("key", "value"),
    [("format", 2), ("outcome", "love"), ("dim", 10**9), ("vector_dim", 7), ("surprise", 1)],
)
def test_a_bundle_that_says_something_else_of_itself_is_refused(
    copied: Path, key: str, value: object
) -> None:
    about = msgspec.json.decode((copied / ABOUT).read_bytes())
    (copied / ABOUT).write_bytes(msgspec.json.encode({**about, key: value}))

    with pytest.raises(UnknownBundle, match="is no bundle of this version"):
        Bundle.open(copied)


def test_a_huge_description_is_not_read(copied: Path) -> None:
    (copied / ABOUT).write_bytes(b" " * 100_000)

    with pytest.raises(UnknownBundle, match="has 100,000 bytes, at most 64,000"):
        Bundle.open(copied)


def test_a_network_that_names_another_file_is_refused(copied: Path) -> None:
    import onnx

    network = onnx.load(copied / NETWORK)
    onnx.save_model(
        network,
        copied / NETWORK,
        save_as_external_data=True,
        location="weights",
        size_threshold=0,
    )

    with pytest.raises(UnknownBundle, match="reads another file"):
        Bundle.open(copied)


def test_a_bundle_in_8_bits_scores_nearly_as_the_ranker_does(
    ranker: Path, bundle: Path, tmp_path: Path
) -> None:
    quantise(bundle, tmp_path / "smaller")
    request = asked(1, 30, 7, 12)

    expected = Ranker.open(ranker).rank(*request).logits
    found = Bundle.open(tmp_path / "smaller").rank(*request).logits

    assert Bundle.open(tmp_path / "smaller").about.precision == "int8"
    assert np.corrcoef(found, expected)[0, 1] > 0.99
    assert (found != expected).any()
