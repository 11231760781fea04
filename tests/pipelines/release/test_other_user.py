"""A release is served by a user who did not build it, and who may only read it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BUILDER = 65_534
# root without these capabilities is, to files of another user, as any other user
COMMAND = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner")
ANSWER = """
import sys
from pathlib import Path
from pipelines.engine.engine import Engine
from retrieval import Query

releases = Path(sys.argv[1])
try:
    (releases / "mine").touch()
except PermissionError:
    print("may not write")
engine = Engine.open(releases)
print(len(engine.answer(Query(text="rye bread", user="u1", k=5, deadline_ms=60_000)).products))
"""


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="needs root and setpriv, to read files as another user than their owner",
)
def test_a_release_answers_for_another_user_than_its_builder(
    quick_releases: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(quick_releases, tmp_path / "releases", symlinks=True)
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, BUILDER, BUILDER)

    answer = subprocess.run(
        [*COMMAND, sys.executable, "-c", ANSWER, str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert answer.stdout.splitlines() == ["may not write", "5"], answer.stderr
