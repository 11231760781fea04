"""Draws the worst queries of a report: what was asked, what was right, and what came on top."""

from collections.abc import Iterator, Sequence

from pipelines.reports.findings import Report, SeenProduct, SeenQuery
from pipelines.reports.markup import MARKS, Markup, Piece, element, foreign, join, section, soft
from pipelines.reports.worst_queries import LOSS, LOWEST, MOST_PRODUCTS, brief

CHOSEN = {LOWEST: "among the lowest", LOSS: "among the greatest losses"}
ORDERS = {  # what the explorer can be sorted by, where there is a script
    "place": "as listed",
    "run": "lowest first",
    "change": "greatest loss first",
    "words": "shortest text first",
}


def worst_queries(report: Report) -> Markup:
    """Return the section, each query closed; a script may sort them, and is not needed."""
    shown = report.explorer
    if not shown:
        return section("Worst queries", element("p", "Every query is answered perfectly."))
    buttons = [
        element("button", label, type="button", data_order=order, aria_pressed=f"{not i}".lower())
        for i, (order, label) in enumerate(ORDERS.items())
        if order != "change" or len(report.runs) > 1
    ]
    return section(
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
        soft(more),
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
