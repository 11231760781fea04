"""What the verbs that answer import: each library that is not needed takes seconds."""

import os
import subprocess
import sys
from pathlib import Path

from PIL import Image

from pipelines.building.build import build
from pipelines.config.loading import load
from pipelines.config.sections import Config
from pipelines.progress import silent
from tests.conftest import UNTIL, write_shop

HEAVY = (
    "torch", "open_clip", "torchvision", "timm", "transformers", "sentence_transformers",
    "torch._dynamo", "pandas", "accelerate", "matplotlib", "litestar", "optuna",
)  # fmt: skip
ENDS_AT_ONCE = (  # of a server: a person presses Ctrl-C when it answers
    "import os, signal\n"
    "from pipelines.serving.console import Console\n"
    "Console.answers = lambda *_: os.kill(os.getpid(), signal.SIGINT)\n"
)
WORDS_ALONE = ["ranking.train=false", "encoders.text.runtime=openvino"]


def built(folder: Path, config: Config, *, pictures: bool) -> Path:
    shop = write_shop(folder / "shop", pictures=pictures)
    build(shop, folder / "releases", config, UNTIL, silent)
    return folder / "releases"


def imported_by(*verb: str, before: str = "") -> set[str]:
    """Run a verb in a process of its own; return which of the heavy modules it imported.

    `before` is what that process does first.
    """
    code = before + (
        f"import sys; sys.argv = ['vetrina', *{verb!r}]\n"
        "from pipelines.cli.main import main\n"
        "main()\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules], sep='\\n')"
    )
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=path
    )
    return set(done.stdout.splitlines()) & set(HEAVY)


def test_words_are_searched_without_torch(tmp_path: Path) -> None:
    releases = str(built(tmp_path, load(None, WORDS_ALONE), pictures=False))
    requests, out = tmp_path / "requests.jsonl", tmp_path / "run.trec"
    requests.write_text('{"id": "1", "text": "rye bread"}\n')

    assert imported_by("search", "rye bread", "--releases", releases) == set()
    assert imported_by("recommend", "--user", "u1", "--releases", releases) == set()
    assert imported_by("run", str(requests), "--releases", releases, "--out", str(out)) == set()


def test_a_server_in_one_process_answers_without_pandas_and_torch(tmp_path: Path) -> None:
    releases = str(built(tmp_path, load(None, WORDS_ALONE), pictures=False))
    verb = ("serve", "--releases", releases, "--port", "0", "--live", str(tmp_path / "live"))

    assert imported_by(*verb, before=ENDS_AT_ONCE) == {"litestar"}


def test_words_and_pictures_are_searched_without_torch_and_open_clip(
    tmp_path: Path, clip_folder: Path
) -> None:
    config = load(None, [*WORDS_ALONE, f"encoders.image.model={clip_folder}"])
    releases = str(built(tmp_path, config, pictures=True))
    picture = tmp_path / "tan.png"
    Image.new("RGB", (9, 9), "tan").save(picture)

    assert imported_by("search", "rye bread", "--releases", releases) == set()
    assert imported_by("search", "--image", str(picture), "--releases", releases) == set()
