"""The findings of a report on exposure, as data."""

from pipelines.reports.findings import Finding, Range
from pipelines.tables import table

LEAST_REQUESTS = 20  # that show a group, in each run; fewer give an interval that means nothing


class Group(Finding, frozen=True, kw_only=True):
    """One group of products: its shares, each of a total of 1, and the change of its exposure."""

    name: str
    num_products: int
    catalogue: float
    purchases: float | None  # of baskets before the cut; None where there are none
    before: float
    after: float
    ratio: Range | None  # after over before; None where there was none before


class Grouped(Finding, frozen=True, kw_only=True):
    """One way to group, and the share of exposure that went to another group of it."""

    name: str
    title: str
    definition: str
    moved: float
    groups: tuple[Group, ...]


class ExposureSpread(Finding, frozen=True, kw_only=True):
    """The number of products that a run shows, and the inequality of their exposure."""

    shown: int
    coverage: float
    gini: float


class ExposureReport(Finding, frozen=True, kw_only=True):
    """All findings of the table and the page."""

    runs: tuple[str, ...]  # names: before, after
    release: str
    cut: str
    k: int
    num_products: int
    num_requests: int  # in both runs
    alone: tuple[int, ...]  # requests of each run that the other lacks; they do not count
    spreads: tuple[ExposureSpread, ...]
    groupings: tuple[Grouped, ...]

    def table(self) -> str:
        """Write one line a group, then how few products each run shows."""
        parts = [_table(one) for one in self.groupings]
        return "\n".join([*parts, *self.notes()])

    def notes(self) -> list[str]:
        """Return what the numbers are, one sentence a line."""
        said = [
            f"{run}: {spread.shown:,} of {self.num_products:,} products shown "
            f"({spread.coverage:.1%}), Gini of exposure {spread.gini:.3f}"
            for run, spread in zip(self.runs, self.spreads, strict=True)
        ]
        said.append(
            f"exposure: 1 / log2(1 + position), of the first {self.k}, over "
            f"{self.num_requests:,} requests; ratio: its share after over before, with a 95 % "
            "bootstrap interval over requests"
        )
        for run, alone in zip(self.runs, self.alone, strict=True):
            if alone:
                said.append(f"requests only in {run}, which do not count: {alone:,}")
        return said


def _table(one: Grouped) -> str:
    heads = (one.title.lower(), "products", "catalogue", "purchases", "before", "after", "ratio")
    return table(heads, [_row(group) for group in one.groups])


def _row(group: Group) -> tuple[str, ...]:
    return (
        group.name,
        f"{group.num_products:,}",
        f"{group.catalogue:.1%}",
        "-" if group.purchases is None else f"{group.purchases:.1%}",
        f"{group.before:.1%}",
        f"{group.after:.1%}",
        _ratio(group.ratio),
    )


def _ratio(ratio: Range | None) -> str:
    if ratio is None:
        return "-"
    if ratio.low is None or ratio.high is None:
        return f"{ratio.mean:.2f}"
    return f"{ratio.mean:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"
