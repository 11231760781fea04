"""The retriever of a release: which parts it opens."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.release.layout import SEARCH
from pipelines.release.manifest import config_of
from pipelines.release.parts import open_parts
from pipelines.release.retriever import retriever
from pipelines.release.store import open_release


def test_towers_that_help_no_request_are_not_opened(releases: Path, tmp_path: Path) -> None:
    release = open_release(releases)
    parts, config = open_parts(release.path), config_of(release.manifest)
    assert parts.trained is not None
    idle = replace(parts.trained, folder=tmp_path, request_kinds=())

    found = retriever(parts._replace(trained=idle), parts.behaviour, config)

    assert "towers" not in found.channels(searching=False)
    asked = replace(idle, request_kinds=(SEARCH,))
    with pytest.raises(FileNotFoundError):
        retriever(parts._replace(trained=asked), parts.behaviour, config)
