"""Draws a report as one HTML page that needs nothing from outside and no script to be read."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipelines.evaluation.evaluate import SMALLEST_P
from pipelines.metrics.intervals import LEVEL, RESAMPLES
from pipelines.reports import plots
from pipelines.reports.findings import Family, Figure, Range, Report, Slice
from pipelines.reports.markup import MARKS, Markup, counted, element, foreign, join, section, soft
from pipelines.reports.pages.worst_queries import worst_queries
from pipelines.reports.plots import Bars
from pipelines.reports.slices import LEAST_QUERIES, METRICS

FILES = Path(__file__).parent
TOLD_APART = 0.05  # p below which two runs differ
TOO_FEW = f"fewer than {LEAST_QUERIES} queries: too few to say anything"


def page(report: Report) -> str:
    """Return the whole page."""
    style, script = ((FILES / name).read_text("utf-8") for name in ("report.css", "report.js"))
    title = " against ".join(report.runs)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title}: evaluation"),
        element("style", Markup(style)),
    )
    body = element(
        "body",
        element("header", _heading(report)),
        element(
            "main",
            _metrics(report),
            *(_family(report, family) for family in report.families),
            _spread(report),
            worst_queries(report),
            _notes(report),
        ),
        element("script", Markup(script)),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _policy(script: str) -> str:
    """Let the browser run our script and our style, and fetch nothing."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def _heading(report: Report) -> Markup:
    told = [counted(report.num_queries, "judged ")]
    if report.release is not None:
        told.append(f"release {report.release}, which saw nothing from {report.cut} on")
    names = [
        element("span", foreign(name), class_=f"mark {mark}")
        for name, mark in zip(report.runs, MARKS, strict=False)
    ]
    return join(
        element("p", "Evaluation", class_="kind"),
        element("h1", join(names[0], *(join(" against ", name) for name in names[1:]))),
        element("p", " · ".join(told), class_="soft"),
        element("p", _verdict(report), class_="verdict"),
    )


def _verdict(report: Report) -> Markup:
    first = report.figures[0]
    told = join(f"{first.metric} is ", element("b", f"{first.run.mean:.3f}"), _ends(first.run))
    if first.difference is None or first.p_value is None:
        return join(told, ".")
    side, change = _side(first), first.difference
    said = {"gain": "above", "loss": "below"}.get(side or "", "not told apart from")
    by = _number(change.mean, "+", 3) if side is None else f"{abs(change.mean):.3f}"
    return join(
        told,
        f", {said} ",
        foreign(report.runs[1]),
        ": " if side is None else " by ",
        element("b", by),
        _ends(change, "+"),
        f", p {_p(first.p_value)}.",
    )


def _metrics(report: Report) -> Markup:
    drawn = [Bars(one.metric, _ranges(one)) for one in report.figures]
    return section(
        "Metrics",
        _figure(
            plots.bars(drawn, "metrics"),
            f"Every metric with its 95 % interval. {_alt(drawn, report.runs)}",
        ),
        _table("metric", report, [(one.metric, "", one) for one in report.figures]),
    )


def _family(report: Report, family: Family) -> Markup:
    """Draw the slices, or one sentence where all queries are in the same."""
    filled = [one for one in family.slices if one.num_queries]
    if len(filled) == 1 and filled[0].num_queries == report.num_queries and not family.left_out:
        said = f"All {report.num_queries:,} queries are in one slice, {filled[0].name!r}: as above."
        return section(family.title, soft(family.definition), soft(said))
    others = [join(element("h3", name), _slice_table(report, family, name)) for name in METRICS[1:]]
    drawn = [Bars(one.name, _ranges(_of(one, METRICS[0])), TOO_FEW) for one in filled]
    return section(
        family.title,
        soft(family.definition),
        _figure(
            plots.bars(drawn, family.name),
            f"{METRICS[0]} by slice. {_alt(drawn, report.runs)}",
        )
        if any(one.figures for one in filled)
        else None,
        _slice_table(report, family, METRICS[0]),
        element(
            "details",
            element("summary", f"{' and '.join(METRICS[1:])} of these slices"),
            *others,
        ),
        soft(family.left_out),
    )


def _slice_table(report: Report, family: Family, metric: str) -> Markup:
    rows = [
        (
            one.name,
            f"{counted(one.num_queries)}, {one.num_relevant:,} relevant",
            _of(one, metric) or (TOO_FEW if one.num_queries else "no such query"),
        )
        for one in family.slices
    ]
    return _table(metric, report, rows)


def _table(what: str, report: Report, rows: Sequence[tuple[str, str, Figure | str]]) -> Markup:
    """Write one line a metric or slice: each run and the difference, or why there is none."""
    paired = len(report.runs) > 1
    heads = [
        element("th", foreign(name), scope="col", class_=f"mark {mark}")
        for name, mark in zip(report.runs, MARKS, strict=False)
    ]
    if paired:
        heads += [element("th", "difference", scope="col"), element("th", "p", scope="col")]
    first = element("th", what, scope="col")
    lines = [
        element(
            "tr",
            element("th", name, element("small", note) if note else None, scope="row"),
            *_cells(figure, len(heads)),
        )
        for name, note, figure in rows
    ]
    return element(
        "div",
        element(
            "table",
            element("thead", element("tr", first, *heads)),
            element("tbody", *lines),
        ),
        class_="wide",
    )


def _cells(figure: Figure | str, count: int) -> Iterator[Markup]:
    if isinstance(figure, str):
        yield element("td", figure, colspan=count, class_="soft few")
        return
    for one, mark in zip(_ranges(figure), MARKS, strict=False):
        yield element("td", _number(one.mean), _small_ends(one), class_=f"of-{mark}")
    if figure.difference is not None and figure.p_value is not None:
        difference = figure.difference
        yield element(
            "td",
            _number(difference.mean, "+"),
            _small_ends(difference, "+"),
            class_=_side(figure),
            data_label="difference",
        )
        yield element("td", _p(figure.p_value), data_label="p")


def _side(figure: Figure) -> str | None:
    """Return `gain` or `loss` where interval and p both tell the runs apart, else None."""
    change, p = figure.difference, figure.p_value
    if change is None or change.low is None or change.high is None or p is None:
        return None
    if p >= TOLD_APART or change.low <= 0 <= change.high:
        return None
    return "gain" if change.low > 0 else "loss"


def _spread(report: Report) -> Markup:
    values = report.per_query
    if values.against is None:
        zero, one = (sum(value == end for value in values.run) for end in (0, 1))
        told = (
            f"Of {report.num_queries:,} queries, {zero:,} have {values.metric} 0, "
            f"and {one:,} have 1."
        )
        drawn = plots.levels(values.run, "spread")
    else:
        changes = [a - b for a, b in zip(values.run, values.against, strict=True)]
        gained, lost = sum(c > 0 for c in changes), sum(c < 0 for c in changes)
        told = (
            f"Of {report.num_queries:,} queries, {gained:,} are better by {values.metric}, "
            f"{lost:,} worse, and {len(changes) - gained - lost:,} the same, which is not drawn."
        )
        drawn = plots.differences(changes, "spread")
    return section("Query by query", _figure(drawn, told), soft(told))


def _notes(report: Report) -> Markup:
    said = [
        f"Intervals hold {LEVEL * 100:.0f} % of {RESAMPLES:,} bootstrap samples over queries.",
        f"Slices with fewer than {LEAST_QUERIES} queries are not measured.",
    ]
    if len(report.runs) > 1:
        said.append(
            "p is that of a two-sided paired randomisation test, query by query. It is not "
            "corrected for how many slices are looked at: of twenty slices without any "
            "difference, about one looks like one at 0.05."
        )
    for name, unanswered, unjudged in zip(
        report.runs, report.unanswered, report.unjudged, strict=True
    ):
        if unanswered:
            said.append(f"Judged, but not in {name}, and counted as 0: {counted(unanswered)}.")
        if unjudged:
            said.append(f"In {name}, but not judged, and not counted: {counted(unjudged)}.")
    if report.hopeless:
        said.append(f"Without a relevant product, counted as 0: {counted(report.hopeless)}.")
    return section(
        "How it was measured", element("ul", *(element("li", s) for s in [*said, *report.lacks]))
    )


def _figure(svg: str, alt: str) -> Markup:
    """Put a drawing of our own into the page, with its meaning in words."""
    return element("figure", Markup(svg), role="img", aria_label=alt)


def _alt(drawn: Sequence[Bars], runs: Sequence[str]) -> str:
    told = []
    for one in drawn:
        values = [f"{name} {r.mean:.3f}" for name, r in zip(runs, one.ranges, strict=False)]
        told.append(f"{one.label}: {', '.join(values) or one.note}")
    return "; ".join(told)


def _of(one: Slice, metric: str) -> Figure | None:
    return next((figure for figure in one.figures if figure.metric == metric), None)


def _ranges(figure: Figure | None) -> list[Range]:
    found = () if figure is None else (figure.run, figure.against)
    return [one for one in found if one is not None]


def _ends(one: Range, sign: str = "") -> str:
    if one.low is None or one.high is None:
        return ""
    return f" ({_number(one.low, sign, 3)} to {_number(one.high, sign, 3)})"


def _small_ends(one: Range, sign: str = "") -> Markup | None:
    if one.low is None or one.high is None:
        return None
    return element("small", f"{_number(one.low, sign)} to {_number(one.high, sign)}")


def _number(value: float, sign: str = "", digits: int = 4) -> str:
    return f"{value:{sign}.{digits}f}".replace("-", "\u2212")


def _p(value: float) -> str:
    return f"< {SMALLEST_P:.4f}" if value <= SMALLEST_P else f"{value:.4f}"
