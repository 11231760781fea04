from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.search.text_relevance import esci


def test_the_gains_of_esci_are_read_by_title_and_a_title_twice_gets_the_better(
    tmp_path: Path,
) -> None:
    products = {"asin": ["1", "2", "3"], "title": ["rye bread", "oat milk", "oat milk"]}
    judged = {"query": ["bread"] * 3, "asin": ["1", "2", "3"], "esci_label": ["E", "I", "S"]}
    pq.write_table(pa.table(products), tmp_path / "products.parquet")
    pq.write_table(pa.table(judged), tmp_path / "judgments.parquet")

    lists = esci(tmp_path)

    assert lists == {"bread": {"rye bread": 1.0, "oat milk": 0.1}}
