"""Releases, their quality and their verdicts as tables for a terminal."""

from pathlib import Path
from typing import Any

from pipelines.errors import ReleaseError
from pipelines.release.manifest import Manifest, read_manifest
from pipelines.release.store import Release, current, names
from pipelines.release.verdict import Check, Verdict
from pipelines.tables import table

OF_INDEXES = ("_curve", "_choices", "_learnt_cells")  # `vetrina index plan` shows more


def releases_table(releases: Path) -> str:
    """Write the releases of a folder, newest first, the current one marked."""
    all_names = names(releases)
    if not all_names:
        raise ReleaseError(f"{releases} holds no published release; run `vetrina build` first")
    live = _served(releases)
    rows = []
    for name in all_names:
        manifest = read_manifest(releases / name)
        size = sum(file.bytes for file in manifest.files.values()) / 1e6
        dark = Release(releases / name, manifest).dark
        rows.append(
            (
                "current" if name == live else "dark" if dark else "",
                name,
                str(manifest.shop.get("name", "")),
                manifest.until or "all",
                f"{size:,.0f} MB",
            )
        )
    return table(("", "release", "shop", "until", "size"), rows)


def _served(releases: Path) -> str | None:
    """Return the name of the current release; None where every release is dark."""
    try:
        return current(releases)
    except ReleaseError:
        return None


def verdict_table(verdict: Verdict) -> str:
    """Write what the gate found: each figure, its limit, and whether it is met."""
    rows = [
        (
            one.name,
            f"{one.value:.4g}",
            f"{'at least' if one.least else 'at most'} {one.limit:g}",
            _met(one, forced=verdict.forced),
            one.told,
        )
        for one in verdict.checks
    ]
    against = verdict.against or f"nothing: {verdict.note}"
    return table(("gate", "value", "limit", "", ""), rows) + f"compared with {against}"


def _met(check: Check, *, forced: bool) -> str:
    if check.passed:
        return "passed"
    return "FAILED, forced" if forced else "FAILED"


def quality_table(manifest: Manifest) -> str:
    """Write what was measured while a release was built."""
    rows = [("release", manifest.name), ("shop", str(manifest.shop.get("name", "")))]
    rows += [("until", manifest.until or "the end of the log")]
    figures = {n: v for n, v in manifest.quality.items() if not n.endswith(OF_INDEXES)}
    rows += [(name.replace("_", " "), _brief(value)) for name, value in figures.items()]
    return table(("measured", ""), rows)


def _brief(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) < 200 else f"{text[:200]}…"
