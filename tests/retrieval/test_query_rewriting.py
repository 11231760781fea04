import numpy as np
import pytest

from index import QueryRewrite
from retrieval.query_rewriting import encoded_texts, mean_direction


def test_a_misspelt_word_is_encoded_as_it_was_read() -> None:
    rewrites = [QueryRewrite("mayonaise", ("mayonnaise",), "misspelt")]

    assert encoded_texts("Mayonaise light", rewrites) == ["mayonnaise light"]


def test_a_phrase_with_synonyms_is_encoded_as_each_of_the_first_ones() -> None:
    rewrites = [QueryRewrite("loo roll", ("bath tissue", "toilet tissue"), "synonym")]

    texts = encoded_texts("cheap loo roll", rewrites)

    assert texts == ["cheap loo roll", "cheap bath tissue", "cheap toilet tissue"]


def test_a_query_that_is_read_as_written_is_encoded_as_written() -> None:
    assert encoded_texts("oat  milk", []) == ["oat milk"]


def test_synonyms_together_count_as_much_as_the_words_that_were_typed() -> None:
    vectors = np.eye(3, dtype=np.float32)

    mean = mean_direction(vectors)

    assert np.linalg.norm(mean) == pytest.approx(1)
    assert mean[0] == pytest.approx(2 * mean[1])
