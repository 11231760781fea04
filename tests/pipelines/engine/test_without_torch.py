import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from pipelines.building.build import build
from pipelines.config.sections import Config
from pipelines.progress import silent
from tests.conftest import UNTIL

ASK = """
import sys
from pathlib import Path
from pipelines.engine.engine import Engine
from retrieval import Query, Scene

engine = Engine.open(Path(sys.argv[1]), warm=False)
for query in (Query(text="rye bread", user="u1"), Query(user="u1"), Query(text="tea")):
    slate = engine.answer(query)
    assert slate.products, query
    print(slate.stage)
loaded = {"torch", "open_clip", "sentence_transformers", "transformers"} & set(sys.modules)
assert not loaded, loaded
explained = engine.answer(Query(text="rye bread", user="u1", explain=True))
assert explained.products[0].moved
assert "torch" in sys.modules
"""


@pytest.mark.slow
def test_a_process_that_searches_and_recommends_loads_torch_for_explanations_alone(
    shop: Path, config: Config, tmp_path: Path
) -> None:
    text = replace(config.encoders.text, runtime="auto")
    fast = replace(
        config,
        encoders=replace(config.encoders, text=text),
        towers=replace(config.towers, train=False),  # they are read by torch
    )
    build(shop, tmp_path / "releases", fast, UNTIL, silent)

    run = subprocess.run(
        [sys.executable, "-c", ASK, str(tmp_path / "releases")],
        capture_output=True,
        check=False,
        text=True,
    )

    assert run.returncode == 0, run.stderr
    assert "ranking" in run.stdout
