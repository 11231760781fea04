from pathlib import Path

import numpy as np
import pytest
import torch

from retrieval.behaviour.purchases import History
from retrieval.encoded_query import EncodedQuery
from retrieval.towers.model import Towers, interests
from retrieval.towers.query_export import write_query_network
from retrieval.towers.query_network import NETWORK, QueryNetwork
from retrieval.towers.shape import TowerShape, UnknownTowers
from tests.assertions import each

DIM, TEXT, PICTURE, PRODUCTS = 16, 12, 5, 30
HISTORY = History(np.array([2, 7, 2], np.int32), np.array([0, 10, 20]), np.array([0, 1, 2]))


def towers() -> Towers:
    """Towers of random weights."""
    torch.manual_seed(0)
    made = Towers(
        TowerShape(
            widths={"title": TEXT},
            text_dim=TEXT,
            picture_dim=PICTURE,
            num_own=PRODUCTS,
            num_popularity=2,
            dim=DIM,
            width=8,
            facts=(70, 80, 90),
        )
    ).eval()
    for name, weights in made.named_parameters():
        if not name.endswith("bias"):  # so that a request without tokens has no vector
            torch.nn.init.normal_(weights, std=0.3)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("towers") / "towers"
    towers().save(folder)
    write_query_network(towers(), folder)
    return folder


def asked(name: str) -> EncodedQuery:
    random = np.random.default_rng(1)
    words = random.normal(size=TEXT).astype(np.float32)
    shopper = EncodedQuery(history=HISTORY, at_seconds=100, facts=np.array([70, 0, 90]))
    marked = {"marked": np.array([4, 9, 5]), "marks": np.array([1, -0.5, 0.2], np.float32)}
    return {
        "stranger": EncodedQuery(),
        "scene": EncodedQuery(facts=np.array([80, 0])),
        "shopper": shopper,
        "words": EncodedQuery(joined_vector=words),
        "words of a shopper": shopper._replace(joined_vector=words),
        "picture": shopper._replace(image_vector=words[:PICTURE]),
        "marked": shopper._replace(**marked),
        "all": shopper._replace(**marked, joined_vector=words, image_vector=words[:PICTURE]),
    }[name]


def test_on_onnx_runtime_a_request_has_the_vectors_that_it_has_in_torch(folder: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(PRODUCTS, DIM)).astype(np.float32)
    network, made = QueryNetwork.open(folder), towers()
    names = ("scene", "shopper", "words", "words of a shopper", "picture", "marked", "all")

    for name in each(names):
        expected = interests(made, asked(name), vectors)
        assert len(expected)
        found = network.interests(asked(name), vectors)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_stranger_of_whom_nothing_is_known_has_no_vector(folder: Path) -> None:
    vectors = np.zeros((PRODUCTS, DIM), np.float32)

    assert QueryNetwork.open(folder).interests(asked("stranger"), vectors).shape == (0, DIM)


@pytest.mark.parametrize("network", [None, b"", b"no network"])
def test_towers_without_a_network_that_runs_are_refused(
    tmp_path: Path, network: bytes | None
) -> None:
    towers().save(tmp_path)
    if network is not None:
        (tmp_path / NETWORK).write_bytes(network)

    with pytest.raises(UnknownTowers, match="build again"):
        QueryNetwork.open(tmp_path)
