import numpy as np
import pytest

from index import FaissIndex, num_cards

on_a_card = pytest.mark.skipif(not num_cards(), reason="FAISS sees no card here")


@pytest.mark.gpu
@on_a_card
@pytest.mark.parametrize("factory", ["Flat", "IVF16,Flat", "HNSW16"])
def test_an_index_built_on_a_card_is_served_on_the_processor(factory: str) -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(2_000, 32)).astype("float32")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    index = FaissIndex.build(vectors, factory)
    index.effort = index.most_effort

    answers = index.search(vectors[:50], k=1)
    assert [hits.rows[0] for hits in answers] == list(range(50))


def test_without_a_card_there_are_none() -> None:
    import faiss

    if hasattr(faiss, "get_num_gpus"):
        assert num_cards() == faiss.get_num_gpus()
    else:
        assert num_cards() == 0
