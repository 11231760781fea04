"""Draws a report of exposure as one HTML page that needs nothing from outside."""

from collections.abc import Iterator
from pathlib import Path

from pipelines.reports import plots
from pipelines.reports.exposure_findings import LEAST_REQUESTS, ExposureReport, Group, Grouped
from pipelines.reports.findings import Range
from pipelines.reports.markup import MARKS, Markup, element, foreign, join, section, soft
from pipelines.reports.plots import Bars
from ranking.slate.exposure import RESAMPLES

FILES = Path(__file__).parent
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
NEW = "not shown before"
GONE = "not shown after"


def page(report: ExposureReport) -> str:
    """Return the whole page."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{' to '.join(report.runs)}: exposure"),
        element("style", Markup((FILES / "report.css").read_text("utf-8"))),
    )
    body = element(
        "body",
        element("header", _heading(report)),
        element(
            "main",
            *(_grouping(report, one) for one in report.groupings),
            _spread(report),
            _notes(report),
        ),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _heading(report: ExposureReport) -> Markup:
    first, second = (
        element("span", foreign(name), class_=f"mark {mark}")
        for name, mark in zip(report.runs, MARKS, strict=True)
    )
    told = (
        f"{report.num_requests:,} requests · first {report.k} products · release "
        f"{report.release}, which saw nothing from {report.cut} on"
    )
    return join(
        element("p", "Exposure", class_="kind"),
        element("h1", join(first, " before, ", second, " after")),
        element("p", told, class_="soft"),
        element("p", _verdict(report), class_="verdict"),
    )


def _verdict(report: ExposureReport) -> Markup:
    """Tell how much exposure went elsewhere, in each grouping."""
    parts = [
        join(element("b", f"{one.moved:.1%}"), f" by {one.title.lower()}")
        for one in report.groupings
    ]
    between = join(*(join(part, ", ") for part in parts[:-1]), parts[-1])
    return join("Of all exposure, so much went to another group: ", between, ".")


def _grouping(report: ExposureReport, one: Grouped) -> Markup:
    drawn = [Bars(group.name, _shares(group)) for group in one.groups]
    factors = [
        Bars(group.name, [group.ratio] if group.ratio else [], GONE if group.ratio else NEW)
        for group in one.groups
    ]
    return section(
        one.title,
        soft(one.definition),
        element("h3", "Share of exposure"),
        _figure(plots.bars(drawn, f"{one.name}-share"), _alt(report, one)),
        element("h3", "After over before"),
        _figure(
            plots.ratios(factors, f"{one.name}-ratio"),
            "; ".join(f"{group.name}: {_said(group)}" for group in one.groups),
        ),
        _table(report, one),
    )


def _table(report: ExposureReport, one: Grouped) -> Markup:
    marked = [
        element("th", foreign(name), scope="col", class_=f"mark {mark}")
        for name, mark in zip(report.runs, MARKS, strict=True)
    ]
    heads = [
        element("th", one.title.lower(), scope="col"),
        element("th", "of the catalogue", scope="col"),
        element("th", "of purchases", scope="col"),
        *marked,
        element("th", "ratio", scope="col"),
    ]
    lines = [
        element(
            "tr",
            element("th", foreign(group.name), element("small", _products(group)), scope="row"),
            *_cells(group),
        )
        for group in one.groups
    ]
    return element(
        "div",
        element("table", element("thead", element("tr", *heads)), element("tbody", *lines)),
        class_="wide",
    )


def _cells(group: Group) -> Iterator[Markup]:
    yield element("td", f"{group.catalogue:.1%}", data_label="of the catalogue")
    bought = "-" if group.purchases is None else f"{group.purchases:.1%}"
    yield element("td", bought, data_label="of purchases")
    for share, mark in zip((group.before, group.after), MARKS, strict=True):
        yield element("td", f"{share:.1%}", class_=f"of-{mark}")
    yield element("td", *_ratio(group), class_=_side(group.ratio), data_label="ratio")


def _ratio(group: Group) -> Iterator[Markup | str]:
    if group.ratio is None:
        yield NEW if group.after else "never shown"
        return
    yield f"{group.ratio.mean:.2f}"
    if group.ratio.low is not None and group.ratio.high is not None:
        yield element("small", f"{group.ratio.low:.2f} to {group.ratio.high:.2f}")
    else:
        yield element("small", "too few requests")


def _side(ratio: Range | None) -> str | None:
    """Return `gain` or `loss` where the interval leaves out 1, else None."""
    if ratio is None or ratio.low is None or ratio.high is None:
        return None
    return "gain" if ratio.low > 1 else "loss" if ratio.high < 1 else None


def _spread(report: ExposureReport) -> Markup:
    heads = [element("th", name, scope="col") for name in ("run", "products shown", "Gini")]
    lines = [
        element(
            "tr",
            element("th", element("span", foreign(run), class_=f"mark {mark}"), scope="row"),
            element(
                "td",
                f"{spread.shown:,}",
                element("small", f"{spread.coverage:.1%} of the catalogue"),
                data_label="products shown",
            ),
            element("td", f"{spread.gini:.3f}", data_label="Gini of exposure"),
        )
        for run, mark, spread in zip(report.runs, MARKS, report.spreads, strict=True)
    ]
    said = (
        f"How many of the {report.num_products:,} products are shown at all, and how unequally "
        "exposure falls on them: a Gini of 0 is the same for all, 1 is everything for one."
    )
    body = element("table", element("thead", element("tr", *heads)), element("tbody", *lines))
    return section("How few products are shown", soft(said), element("div", body, class_="wide"))


def _notes(report: ExposureReport) -> Markup:
    said = [
        "A product at a position has an exposure of 1 / log2(1 + position) (Singh and Joachims, "
        f"2018). Only the first {report.k} products of a request count.",
        f"Intervals hold 95 % of {RESAMPLES:,} bootstrap samples over requests, each request with "
        "both of its lists.",
        f"A group that fewer than {LEAST_REQUESTS} requests show, before or after, has no "
        "interval. Of twenty groups without any change, about one looks changed.",
        "Purchases are baskets before the cut. A group with more exposure than purchases is not "
        "wrong by that: exposure may be given on purpose, to what is new for example.",
        "The catalogue is every product of the release, those that no window shows included.",
    ]
    for run, alone in zip(report.runs, report.alone, strict=True):
        if alone:
            said.append(f"Requests only in {run}, which do not count: {alone:,}.")
    return section("How it was measured", element("ul", *(element("li", s) for s in said)))


def _figure(svg: str, alt: str) -> Markup:
    """Put a drawing of our own into the page, with its meaning in words."""
    return element("figure", Markup(svg), role="img", aria_label=alt)


def _shares(group: Group) -> list[Range]:
    return [Range(mean=group.before), Range(mean=group.after)]


def _alt(report: ExposureReport, one: Grouped) -> str:
    first, second = report.runs
    told = [f"{g.name}: {first} {g.before:.1%}, {second} {g.after:.1%}" for g in one.groups]
    return "; ".join(told)


def _products(group: Group) -> str:
    return f"{group.num_products:,} product{'' if group.num_products == 1 else 's'}"


def _said(group: Group) -> str:
    return NEW if group.ratio is None else f"{group.ratio.mean:.2f}"
