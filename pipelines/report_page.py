"""Draws a report as one HTML page that needs nothing from outside and no script to be read."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipelines import plots
from pipelines.evaluate import SMALLEST_P
from pipelines.explorer import LOSS, LOWEST, MOST_PRODUCTS, brief
from pipelines.findings import Family, Figure, Range, Report, SeenProduct, SeenQuery, Slice
from pipelines.markup import Markup, Piece, element, foreign, join
from pipelines.plots import Bars
from pipelines.slices import LEAST_QUERIES, METRICS

FILES = Path(__file__).parent / "page"
MARKS = ("run", "against")  # classes of the two runs, which give them their colours
CHOSEN = {LOWEST: "among the lowest", LOSS: "among the greatest losses"}
ORDERS = {  # what the explorer can be sorted by, where there is a script
    "place": "as listed",
    "run": "lowest first",
    "change": "greatest loss first",
    "words": "shortest text first",
}
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
            _explorer(report),
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
    told = [f"{report.num_queries:,} judged queries"]
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
    return _section(
        "Metrics",
        _figure(
            plots.bars(drawn, "metrics"),
            f"Every metric with its 95 % interval. {_alt(drawn, report.runs)}",
        ),
        _table("metric", report, [(one.metric, "", one) for one in report.figures]),
    )


def _family(report: Report, family: Family) -> Markup:
    others = [join(element("h3", name), _slice_table(report, family, name)) for name in METRICS[1:]]
    drawn = [Bars(s.name, _ranges(_of(s, METRICS[0])), TOO_FEW) for s in family.slices]
    return _section(
        family.title,
        element("p", family.definition, class_="soft"),
        _figure(
            plots.bars(drawn, family.name),
            f"{METRICS[0]} by slice. {_alt(drawn, report.runs)}",
        ),
        _slice_table(report, family, METRICS[0]),
        element(
            "details",
            element("summary", f"{' and '.join(METRICS[1:])} of these slices"),
            *others,
        ),
        element("p", family.left_out, class_="soft") if family.left_out else None,
    )


def _slice_table(report: Report, family: Family, metric: str) -> Markup:
    rows = [
        (s.name, f"{s.num_queries:,} queries, {s.num_relevant:,} relevant", _of(s, metric))
        for s in family.slices
    ]
    return _table(metric, report, rows)


def _table(what: str, report: Report, rows: Sequence[tuple[str, str, Figure | None]]) -> Markup:
    """Write one line a metric or slice: each run, and the paired difference."""
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


def _cells(figure: Figure | None, count: int) -> Iterator[Markup]:
    if figure is None:
        yield element("td", TOO_FEW, colspan=count, class_="soft few")
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
        told = f"{zero:,} queries have {values.metric} 0, {one:,} have 1."
        drawn = plots.levels(values.run, "spread")
    else:
        changes = [a - b for a, b in zip(values.run, values.against, strict=True)]
        gained, lost = sum(c > 0 for c in changes), sum(c < 0 for c in changes)
        told = (
            f"{gained:,} queries are better by {values.metric}, {lost:,} are worse, and "
            f"{len(changes) - gained - lost:,} are the same and not drawn."
        )
        drawn = plots.differences(changes, "spread")
    return _section("Query by query", _figure(drawn, told), element("p", told, class_="soft"))


def _explorer(report: Report) -> Markup:
    shown = report.explorer
    if not shown:
        return _section("Worst queries", element("p", "Every query is answered perfectly."))
    buttons = [
        element("button", label, type="button", data_order=order, aria_pressed=f"{not i}".lower())
        for i, (order, label) in enumerate(ORDERS.items())
        if order != "change" or len(report.runs) > 1
    ]
    return _section(
        "Worst queries",
        element(
            "p",
            f"{len(shown):,} of {report.num_queries:,} queries: ",
            "the greatest losses and the lowest" if len(report.runs) > 1 else "the lowest",
            f" by {report.per_query.metric}. Open one to see what was right and what came on top, "
            f"up to {MOST_PRODUCTS} products each.",
            class_="soft",
        ),
        element("div", *buttons, class_="orders", role="group", aria_label="Order", hidden=True),
        element("div", *(_query(report, i, query) for i, query in enumerate(shown)), id="queries"),
    )


def _query(report: Report, place: int, query: SeenQuery) -> Markup:
    change = query.values[0] - query.values[-1]
    values = [
        element("span", f"{value:.3f}", class_=f"mark {mark}")
        for value, mark in zip(query.values, MARKS, strict=False)
    ]
    summary = element(
        "summary",
        element("span", _question(query), class_="question"),
        element("span", *values, class_="values"),
    )
    lists = [
        _products(f"On top: {name}", [_topped(place, run, query, product) for product in top])
        for run, (name, top) in enumerate(zip(report.runs, query.top, strict=True))
    ]
    more = query.num_relevant - len(query.relevant)
    relevant = [_wanted(report, place, query, number) for number in range(len(query.relevant))]
    return element(
        "details",
        summary,
        element("p", join(*_circumstances(query)), class_="soft"),
        element(
            "div",
            _products(
                f"Relevant: {query.num_relevant:,}", relevant, f"and {more:,} more" if more else ""
            ),
            *lists,
            class_="lists",
        ),
        class_="query",
        id=f"q{place}",
        data_place=place,
        data_run=f"{query.values[0]:.6f}",
        data_change=f"{change:.6f}",
        data_words=len(query.text.split()),
    )


def _question(query: SeenQuery) -> Markup:
    if query.text.strip():
        return foreign(query.text)
    if query.picture:
        return join("a picture, query ", foreign(brief(query.id)))
    if query.user:
        return join("shopper ", foreign(query.user))
    return join("query ", foreign(brief(query.id)))


def _circumstances(query: SeenQuery) -> Iterator[Piece]:
    """Yield what was asked, as far as the heading does not say it."""
    yield join("Query ", foreign(brief(query.id)), ", ", CHOSEN[query.chosen])
    told = {"user": query.user, "at": query.at, "filter": query.filter}
    for name, text in told.items():
        if text:
            yield join(f" · {name} ", foreign(text))
    if query.num_candidates is not None:
        yield f" · ranks {query.num_candidates:,} given candidates"
    if query.bought:
        yield " · bought last: "
        for number, title in enumerate(query.bought):
            yield join("; " if number else None, foreign(title))


def _products(heading: str, lines: Sequence[Markup], more: str = "") -> Markup:
    return element(
        "div",
        element("h4", foreign(heading)),
        element("ol", *lines) if lines else element("p", "nothing", class_="soft"),
        element("p", more, class_="soft") if more else None,
    )


def _wanted(report: Report, place: int, query: SeenQuery, number: int) -> Markup:
    product = query.relevant[number]
    positions = [
        element("span", _position(place, run, product, query), class_=f"mark {mark}")
        for run, mark in zip(range(len(report.runs)), MARKS, strict=False)
    ]
    return element(
        "li",
        _named(product),
        element("small", f"grade {product.gain:g}, at ", join(*positions)),
        id=f"q{place}-w{number}",
    )


def _position(place: int, run: int, product: SeenProduct, query: SeenQuery) -> Markup:
    position = product.positions[run]
    if position is None:
        return Markup("not there")
    if position > len(query.top[run]):
        return join(f"{position:,}")
    return element("a", f"{position:,}", href=f"#q{place}-r{run}-{position}")


def _topped(place: int, run: int, query: SeenQuery, product: SeenProduct) -> Markup:
    right = product.gain is not None and product.gain > 0
    number = next((n for n, one in enumerate(query.relevant) if one.id == product.id), None)
    grade = "not judged" if product.gain is None else f"grade {product.gain:g}"
    return element(
        "li",
        _named(product),
        element(
            "small",
            element("a", f"relevant, {grade}", href=f"#q{place}-w{number}")
            if number is not None
            else (f"relevant, {grade}" if right else grade),
        ),
        id=f"q{place}-r{run}-{product.positions[run]}",
        class_="right" if right else None,
    )


def _named(product: SeenProduct) -> Markup:
    name = brief(product.id)
    if not product.title:
        return element("span", foreign(name))
    return element("span", foreign(product.title), title=name)


def _notes(report: Report) -> Markup:
    said = [
        "Intervals hold 95 % of 10,000 bootstrap samples over queries.",
        f"Slices with fewer than {LEAST_QUERIES} queries are not measured.",
    ]
    if len(report.runs) > 1:
        said.append(
            "p is that of a two-sided paired randomisation test, query by query. It is not "
            "corrected for how many slices are looked at: of twenty slices without any "
            "difference, one will look like one at 0.05."
        )
    for name, unanswered, unjudged in zip(
        report.runs, report.unanswered, report.unjudged, strict=True
    ):
        if unanswered:
            said.append(f"{unanswered:,} judged queries are not in {name} and count as 0.")
        if unjudged:
            said.append(f"{unjudged:,} queries of {name} are not judged and do not count.")
    if report.hopeless:
        said.append(f"{report.hopeless:,} queries have no relevant product and count as 0.")
    return _section(
        "How it was measured", element("ul", *(element("li", s) for s in [*said, *report.lacks]))
    )


def _section(title: str, *pieces: Piece) -> Markup:
    return element("section", element("h2", title), *pieces)


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
