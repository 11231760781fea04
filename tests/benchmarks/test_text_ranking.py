from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.ranking.text_ranking import crowdflower, esci, positions
from ranking.features.catalogue_words import ProductText


def test_a_product_that_is_judged_twice_gets_the_better_gain_of_esci(tmp_path: Path) -> None:
    products = {
        "asin": ["1", "2", "3"],
        "title": ["rye bread", "oat milk", "oat milk"],
        "bullet_points": ["dark", None, None],
        "description": ["loaf", None, None],
        "brand": [None, "Oat", "Oat"],
    }
    judged = {"query": ["bread"] * 3, "asin": ["1", "2", "3"], "esci_label": ["E", "I", "S"]}
    pq.write_table(pa.table(products), tmp_path / "products.parquet")
    pq.write_table(pa.table(judged), tmp_path / "judgments.parquet")

    found = esci(tmp_path)

    bread, milk = ProductText("rye bread", "dark\nloaf"), ProductText("oat milk", brand="Oat")
    assert found == {"bread": {bread: 1.0, milk: 0.1}}


def test_crowdflower_is_read_as_shares_and_a_product_twice_gets_the_mean(tmp_path: Path) -> None:
    rows = {
        "query": ["bread", "bread ", "milk"],
        "product_title": ["rye", " rye", "oat"],
        "product_description": [None, "", "of oats"],
        "median_relevance": [1, 4, 4],
    }
    pq.write_table(pa.table(rows), tmp_path / "labels.parquet")

    found = crowdflower(tmp_path / "labels.parquet")

    assert found == {
        "bread": {ProductText("rye"): 0.5},
        "milk": {ProductText("oat", "of oats"): 1.0},
    }


def test_equal_scores_share_the_better_position() -> None:
    assert positions(np.array([0.2, 0.9, 0.2, 0.1])).tolist() == [2, 1, 2, 4]
