"""A machine that only answers has no torch, nor anything else of the extra `build`."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from msgspec.structs import replace

from pipelines.building.build import build
from pipelines.config.sections import Config
from pipelines.errors import BUILD_MODULES
from pipelines.progress import silent
from pipelines.release.store import current
from tests.conftest import UNTIL

ROOT = Path(__file__).parents[3]
# Run first in a process, this hides what is imported by these names, as if it was not installed.
HIDE = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in hidden:
            return self.finder.find_spec(name, path, target)

    def find_distributions(self, context):
        found = getattr(self.finder, "find_distributions", lambda _: ())(context)
        return (one for one in found if one.name.lower().replace("-", "_") not in hidden)

hidden = set(sys.argv.pop(1).split(","))
sys.meta_path[:] = map(Without, sys.meta_path)
"""
ASK = """
from io import BytesIO
from pathlib import Path
from PIL import Image
from pipelines.engine.engine import Engine
from pipelines.live.changes import Upsert
from retrieval import Product, Query

releases, live = map(Path, sys.argv[1:])
engine = Engine.open(releases, live=live, warm=True)
picture = BytesIO()
Image.new("RGB", (48, 48), (80, 175, 60)).save(picture, "PNG")
asked = (
    Query(text="rye bread", user="u1"),
    Query(user="u1"),
    Query(text="rye bread", user="u1", candidates=("p1", "p2", "p3")),
    Query(text="rye bread", cursor="*"),
    Query(image=picture.getvalue()),
    Query(liked={"p1": 1.0}, disliked={"p2": 1.0}),
)
for query in asked:
    slate = engine.answer(query)
    assert slate.products, query
    print(slate.stage)
[explained, *_] = engine.answer(Query(text="rye bread", user="u1", explain=True)).products
assert any(explained.moved.values()) and abs(sum(explained.attended.values()) - 1) < 1e-4
added = Product(id="new", title="Purple quinoa crackers", categories=("Food > Crackers",))
assert engine.change([Upsert(product=added)]).result() == [1]
[found, *_] = engine.answer(Query(text="purple quinoa crackers")).products
assert found.product.id == "new"
engine.close()
"""
OPEN_IN_TORCH = """
from pathlib import Path
from pipelines.errors import ReleaseError
from pipelines.release.parts import open_ranker

try:
    open_ranker(Path(sys.argv[1]))
except ReleaseError as e:
    print(e)
"""
VERB = """
from pipelines.cli.main import main

main()
"""


def run_without(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a script in a process that finds nothing of the extra `build`."""
    hidden = ",".join(BUILD_MODULES)
    return subprocess.run(
        [sys.executable, "-c", HIDE + script, hidden, *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
    )


@pytest.mark.slow
def test_search_recommendation_ranking_explanation_and_changes_need_nothing_of_a_build(
    shop: Path, config: Config, tmp_path: Path
) -> None:
    text = replace(config.encoders.text, runtime="auto")
    fast = replace(config, encoders=replace(config.encoders, text=text))
    build(shop, tmp_path / "releases", fast, UNTIL, silent)

    run = run_without(ASK, tmp_path / "releases", tmp_path / "live")

    assert run.returncode == 0, run.stderr
    assert "ranking" in run.stdout


@pytest.mark.parametrize(
    ("verb", "missing"), [("build", "ir_measures"), ("train", "torch"), ("demo", "ir_measures")]
)
def test_a_verb_that_builds_says_in_one_line_what_it_needs(
    shop: Path, tmp_path: Path, verb: str, missing: str
) -> None:
    arguments = {
        "build": ("--shop", shop, "--releases", tmp_path / "releases"),
        "train": ("clip", "--shop", shop, "--out", tmp_path / "clip"),
        "demo": ("--folder", tmp_path / "demo", "--no-serve"),
    }[verb]

    run = run_without(VERB, verb, *arguments)

    assert run.returncode == 2
    [*_, line] = run.stderr.splitlines()
    assert line.startswith(f"vetrina: {verb} needs {missing}, which is not installed: pip install")
    assert "Traceback" not in run.stderr
    assert not list(tmp_path.iterdir())


def test_a_ranker_that_only_torch_runs_is_refused_by_what_it_needs(releases: Path) -> None:
    run = run_without(OPEN_IN_TORCH, releases / current(releases))

    assert run.stdout == (
        f"release {current(releases)}: its ranker needs torch, which is not installed: "
        "pip install 'vetrina[cpu]', or 'vetrina[gpu]' with an NVIDIA GPU\n"
    ), run.stderr


def test_what_only_a_build_needs_is_named_by_the_modules_of_its_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = {
        _normal(re.split(r"[<>=; ]", one)[0]) for one in project["optional-dependencies"]["build"]
    }
    of_module = packages_distributions()

    named = {_normal(package) for module in BUILD_MODULES for package in of_module[module]}

    assert named - {"transformers"} == extra


def _normal(package: str) -> str:
    return package.lower().replace("_", "-")
