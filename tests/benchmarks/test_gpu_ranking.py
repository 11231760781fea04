import subprocess
import sys
from pathlib import Path

from benchmarks.ranking.gpu_ranking import MOST_FACTS, NUM_PRODUCTS, RECENT, SHAPE, call
from pipelines.config.sections import Config
from pipelines.training.ranker.setup import training_settings
from ranking.network.model import shape_of
from retrieval.context_facts import MAX_FACTS

ROOT = Path(__file__).parents[2]


def test_the_measured_shape_is_that_of_the_defaults() -> None:
    shape = shape_of(training_settings(Config()), SHAPE.vector_dim)

    assert shape._replace(dropout=0.0) == SHAPE
    assert Config().ranking.recent_products == RECENT
    assert MAX_FACTS == MOST_FACTS


def test_a_request_is_of_distinct_products() -> None:
    asked = call(0, 200)

    assert len(set(asked.rows.tolist())) == 200
    assert asked.rows.max() < NUM_PRODUCTS


def test_it_runs_where_only_torch_and_its_like_are_installed() -> None:
    code = """
import sys
for other in ("faiss", "scipy", "msgspec", "pyarrow", "holidays", "tantivy", "onnxruntime"):
    sys.modules[other] = None
sys.argv[1:] = ["--calls", "1", "--candidates", "3", "--requests", "1", "--threads", "1"]
from benchmarks.ranking.gpu_ranking import main
main()
"""

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "processor" in done.stdout
