"""Writes the files of a report whole or not at all, and never over its own sources."""

from collections.abc import Collection
from pathlib import Path

from pipelines.durable.files import replaced_file
from pipelines.evaluation.trec_files import EvaluationError

NAME = "report.html"
SUFFIXES = (".html", ".htm")


def page_file(out: Path) -> Path:
    """Return the file to write: the one named, or `report.html` in a folder."""
    return out if out.suffix.lower() in SUFFIXES and not out.is_dir() else out / NAME


def refuse_to_overwrite(sources: Collection[Path | None], outs: list[Path]) -> None:
    """Raise EvaluationError where an output would replace what it is made from."""
    for out in outs:
        for source in (path for path in sources if path is not None):
            if out.exists() and source.exists() and out.samefile(source):
                raise EvaluationError(f"{out} is what the report is made from; choose another name")


def write(out: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with replaced_file(out) as draft:
            draft.write_bytes(content)
    except OSError as e:
        raise EvaluationError(f"{out}: {e.strerror}; no report was written there") from None
