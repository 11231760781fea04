"""An answer as a table for a terminal."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.tables import table
from retrieval import Query, Slate
from retrieval.types import FacetValue, Filtered, Matched

if TYPE_CHECKING:
    from pipelines.engine.engine import Engine


def answer_table(releases: Path, query: Query) -> str:
    """Answer one request from the current release and write the slate as a table."""
    return slate_table(open_engine(releases).answer(query))


def open_engine(releases: Path) -> "Engine":
    """Open the current release, its files checked while the engine and torch are imported."""
    from pipelines.release.manifest import config_of
    from pipelines.release.store import open_release

    with ThreadPoolExecutor(2) as pool:
        checking = pool.submit(open_release, releases)
        from pipelines.engine.engine import Engine
        from pipelines.engine.stages.stages import import_torch

        pool.submit(import_torch, releases)
        release = checking.result()
        return Engine(release, config_of(release.manifest))


def slate_table(slate: Slate) -> str:
    """Write a slate: one line a product, then the stage and what each step cost."""
    rows = [
        (
            str(p.position),
            p.product.id,
            p.product.title,
            f"{p.product.price:.2f}" if p.product.price is not None else "",
            f"{p.score:.3f}",
            "; ".join(p.why),
        )
        for p in slate.products
    ]
    text = table(("", "id", "title", "price", "score", "why"), rows)
    for p in slate.products:
        numbers = {**p.channels, **p.features}
        if numbers:
            text += f"{p.position}. " + ", ".join(f"{n} {v:.3g}" for n, v in numbers.items()) + "\n"
        if p.moved:
            text += (
                f"   moved {_most(p.moved, '{:+.2f}')}; looked at {_most(p.attended, '{:.0%}')}\n"
            )
    if slate.matched is not None:
        text += f"{matched_lines(slate.matched)}\n"
    if slate.missing:
        text += f"this release lacks {', '.join(slate.missing)}\n"
    if slate.cursor:
        text += f"next page: --cursor {slate.cursor}\n"
    if slate.filtered:
        text += f"{filtered_line(slate.filtered)}\n"
    for reading in slate.readings:
        text += f"{reading.asked} ({reading.why}) is read as {', '.join(reading.read_as)}\n"
    spent = ", ".join(f"{name} {ms:.1f} ms" for name, ms in slate.timings_ms.items())
    return f"{text}release {slate.release}, stage {slate.stage}: {spent}"


def matched_lines(matched: Matched) -> str:
    """Write how long a list is, and what was counted in it, a line a field."""
    return "\n".join(
        [
            f"{matched.total:,} in the list, of {matched.of:,} products, "
            f"{'all that match' if matched.exact else 'there may be more'}",
            *(f"{one.field}: {', '.join(map(_counted, one.values))}" for one in matched.facets),
        ]
    )


def _counted(value: FacetValue) -> str:
    if value.interval is None:
        return f"{value.value} {value.count:,}"
    low, high = ("*" if end is None else f"{end:g}" for end in value.interval)
    return f"{low}-{high} {value.count:,}"


def filtered_line(filtered: Filtered) -> str:
    """Write how many products passed the filter and how each channel searched among them."""
    ways = [
        f"{name} by {searched.way}, exactness {searched.exactness:.2f}"
        for name, searched in filtered.channels.items()
    ]
    passed = f"{filtered.passed:,} of {filtered.of:,} products pass the filter"
    return "; ".join([passed, *ways])


def _most(named: dict[str, float], shape: str) -> str:
    """Write the first three of what is named, the largest first."""
    return ", ".join(f"{name} {shape.format(value)}" for name, value in list(named.items())[:3])
