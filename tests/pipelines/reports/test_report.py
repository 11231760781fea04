"""The report of a run: the same figures as `vetrina evaluate`, in slices, as a page and as data."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, sync_playwright

from pipelines.evaluation.evaluate import evaluate
from pipelines.evaluation.trec_files import EvaluationError
from pipelines.reports.evidence import ReportSources, gather
from pipelines.reports.findings import Report, figures
from pipelines.reports.pages.report import page
from pipelines.reports.report import evaluate_and_report, findings, measured
from pipelines.reports.worst_queries import MOST_PRODUCTS, MOST_QUERIES
from tests.pipelines.reports.test_markup import Reader

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)>\"'&"
NUM_QUERIES = 70


@pytest.fixture
def sources(tmp_path: Path) -> ReportSources:
    """Seventy judged searches and recommendations with two runs; of the last one nothing is known.

    Texts are hostile, and so are the id of a product, those of the queries, and a run's name.
    """
    rng = random.Random(3)
    requests, qrels = [], []
    runs: dict[str, list[str]] = {"good": [], "<b>poor": []}
    for number in range(NUM_QUERIES):
        query = f"q<b>{number}"
        text = " ".join(["oat", "milk", HOSTILE, "tea", "x", "y"][: number % 6])
        requests.append({"id": query, "text": text, "user": f"u{number % 40}"})
        relevant = [f"p{rng.randrange(40)}", "<i>gone"]
        qrels += [f"{query} 0 {product} {gain}" for gain, product in enumerate(set(relevant), 1)]
        if number == NUM_QUERIES - 1:
            continue
        for name, lines in runs.items():
            products = rng.sample([f"p{i}" for i in range(45)], 30 if name == "good" else 10)
            products += ["<i>gone"] if name == "good" else []
            lines += [f"{query} Q0 {p} 1 {-place} t" for place, p in enumerate(products)]
    return ReportSources(
        run=write(tmp_path / "good.trec", runs["good"]),
        qrels=write(tmp_path / "qrels", qrels),
        against=write(tmp_path / "<b>poor.trec", runs["<b>poor"]),
        requests=write(tmp_path / "requests.jsonl", map(json.dumps, requests)),
    )


@pytest.fixture
def complete(sources: ReportSources, releases: Path) -> ReportSources:
    """The same, with a release that knows the products."""
    return sources._replace(releases=releases)


def write(path: Path, lines: Any) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def report_of(sources: ReportSources) -> Report:
    evidence = gather(sources)
    return findings(evidence, measured(evidence))


def test_the_figures_are_those_that_evaluate_prints(complete: ReportSources) -> None:
    printed = evaluate(complete.run, complete.qrels, complete.against)

    report = report_of(complete)

    assert report.figures == figures(printed.rows)
    assert (report.num_queries, report.unanswered) == (NUM_QUERIES, (1, 1))
    assert report.per_query.run[report.per_query.queries.index(f"q<b>{NUM_QUERIES - 1}")] == 0


def test_the_order_of_the_lines_changes_nothing(complete: ReportSources) -> None:
    before = report_of(complete)

    for path in (complete.run, complete.qrels, complete.against, complete.requests):
        assert path is not None
        lines = path.read_text().splitlines()
        write(path, random.Random(5).sample(lines, len(lines)))

    assert report_of(complete) == before


def test_side_by_side_is_what_two_single_reports_say(complete: ReportSources) -> None:
    assert complete.against is not None

    both = report_of(complete)
    first = report_of(complete._replace(against=None))
    second = report_of(complete._replace(run=complete.against, against=None))

    def told(report: Report, side: str) -> list[Any]:
        slices = [one for family in report.families for one in family.slices]
        rows = [*report.figures, *(figure for one in slices for figure in one.figures)]
        return [(row.metric, getattr(row, side)) for row in rows]

    assert told(both, "run") == told(first, "run")
    assert told(both, "against") == told(second, "run")
    assert len(told(both, "run")) > 15


def test_what_was_not_given_is_told_and_the_rest_is_there(sources: ReportSources) -> None:
    report = report_of(sources._replace(requests=None))

    assert report.families == ()
    assert [text.partition(" (")[0] for text in report.lacks] == [
        "The requests were not given",
        "No release was given",
    ]
    assert report.explorer[0].relevant[0].title == ""
    assert "No release was given" in Reader(page(report)).text


def test_no_text_from_outside_becomes_markup(complete: ReportSources) -> None:
    report = report_of(complete)
    assert any(query.text.endswith(HOSTILE) for query in report.explorer)
    hostile = msgspec.convert(
        msgspec.json.decode(msgspec.json.encode(report).replace(b"North Rye", b"<script>Rye")),
        Report,
    )

    read = Reader(page(hostile))

    assert read.tags.count("script") == 1
    assert not {"img", "i", "link", "iframe"} & set(read.tags)
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    for text in (HOSTILE, "<script>Rye", "<i>gone", "<b>poor", "Query q<b>"):
        assert text in read.text


def test_the_page_fetches_nothing_and_every_link_leads_somewhere_on_it(
    complete: ReportSources,
) -> None:
    read = Reader(page(report_of(complete)))

    links = {value for name, value in read.attributes if name in ("href", "xlink:href", "src")}
    ids = [value for name, value in read.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {link for link in links if link and not link.startswith("#")} == set()
    assert {link[1:] for link in links if link} <= set(ids)
    assert len(links) > 50


def test_every_figure_says_in_words_what_it_shows(complete: ReportSources) -> None:
    report = report_of(complete)

    told = [value or "" for name, value in Reader(page(report)).attributes if name == "aria-label"]

    mean = report.figures[0].run.mean
    assert len([text for text in told if text != "Order"]) == 5
    assert f"nDCG@10: good {mean:.3f}, <b>poor " in told[0]


def test_a_slice_with_too_few_queries_says_so(complete: ReportSources) -> None:
    text = Reader(page(report_of(complete))).text

    assert "fewer than 20 queries: too few to say anything" in text
    assert "cold0 queries, 0 relevantno such query" in text


def test_where_all_queries_are_in_one_slice_a_sentence_takes_the_place_of_a_table(
    tmp_path: Path,
) -> None:
    numbers = range(NUM_QUERIES)
    sources = ReportSources(
        run=write(tmp_path / "run", [f"q{n} Q0 a 1 1 t" for n in numbers]),
        qrels=write(tmp_path / "qrels", [f"q{n} 0 a 1" for n in numbers]),
        requests=write(
            tmp_path / "requests", [f'{{"id": "q{n}", "text": "tea"}}' for n in numbers]
        ),
    )

    text = Reader(page(report_of(sources))).text

    assert "All 70 queries are in one slice, '1 word': as above." in text
    assert "no such query" not in text
    assert "Every query is answered perfectly." in text


def test_the_explorer_shows_the_worst_bounded_and_with_titles(complete: ReportSources) -> None:
    report = report_of(complete)

    shown = report.explorer
    losses = [query for query in shown if query.chosen == "loss"]
    lowest = [query.values[0] for query in shown if query.chosen == "lowest"]
    changes = [query.values[0] - query.values[1] for query in losses]
    assert len(shown) == len({query.id for query in shown}) == MOST_QUERIES
    assert max(len(products) for query in shown for products in query.top) == MOST_PRODUCTS
    assert changes == sorted(changes)
    assert changes[-1] < 0
    assert lowest == sorted(lowest)
    assert {p.title.split()[0] for query in shown for p in query.top[0] if p.title} == {
        "North", "South", "East", "West",
    }  # fmt: skip
    assert any(query.bought for query in shown)


def test_a_product_says_where_each_run_has_it(tmp_path: Path) -> None:
    qrels = write(tmp_path / "qrels", ["q 0 a 2", "q 0 b 1", "q 0 c 0"])
    run = write(tmp_path / "run", ["q Q0 x 1 3 t", "q Q0 c 2 2 t", "q Q0 b 3 1 t"])
    other = write(tmp_path / "other", ["q Q0 a 1 3 t"])

    [query] = report_of(ReportSources(run, qrels, other)).explorer

    assert [(p.id, p.gain, p.positions) for p in query.relevant] == [
        ("a", 2, (None, 1)),
        ("b", 1, (3, None)),
    ]
    assert [(p.id, p.gain) for p in query.top[0]] == [("x", None), ("c", 0), ("b", 1)]


def test_the_data_is_what_the_page_is_drawn_from(complete: ReportSources, tmp_path: Path) -> None:
    written = evaluate_and_report(complete, tmp_path / "out", tmp_path / "data.json")

    read = msgspec.json.decode((tmp_path / "data.json").read_bytes(), type=Report)
    assert written.files == (tmp_path / "out/report.html", tmp_path / "data.json")
    assert (tmp_path / "out/report.html").read_text() == page(read)


BAD_REQUESTS = {
    "no JSON": ('{"id": "q1"}\nnot json\n', "requests.jsonl, line 2: "),
    "an unknown key": ('{"id": "q1", "texts": "a"}\n', "line 1: line: Object contains unknown"),
    "an id twice": ('{"id": "q1"}\n\n{"id": "q1"}\n', "line 3: the id 'q1' stands on line 1"),
    "one endless line": ("x" * 17_000_000, "line 1: line: is longer than 16,000,000 bytes"),
    "other requests": ('{"id": "z"}\n', "holds no request that is judged (its first id is 'z')"),
    "nothing": ("", "holds no request that is judged"),
}


@pytest.mark.parametrize(("content", "says"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_requests_that_cannot_be_read_say_why(
    sources: ReportSources, content: str, says: str
) -> None:
    assert sources.requests is not None
    sources.requests.write_text(content)

    with pytest.raises(EvaluationError) as error:
        gather(sources)

    assert says in str(error.value)
    assert "requests.jsonl" in str(error.value)


def test_a_report_never_replaces_what_it_is_made_from(sources: ReportSources) -> None:
    before = sources.run.read_bytes()

    with pytest.raises(EvaluationError, match="is what the report is made from"):
        evaluate_and_report(sources, None, sources.run)

    assert sources.run.read_bytes() == before


def test_a_place_that_cannot_be_written_is_named(sources: ReportSources) -> None:
    with pytest.raises(EvaluationError, match="no report was written there"):
        evaluate_and_report(sources, sources.run / "deep", None)


def test_matplotlib_is_loaded_only_for_a_page(sources: ReportSources, tmp_path: Path) -> None:
    def loaded(*more: str) -> bool:
        words = ["evaluate", str(sources.run), "--qrels", str(sources.qrels), *more]
        program = (
            f"import sys; sys.argv = ['vetrina', *{words!r}]\n"
            "from pipelines.cli.main import main\n"
            "main(); print('matplotlib' in sys.modules)"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True, text=True, check=True, env=environment,
        )  # fmt: skip
        return done.stdout.endswith("True\n")

    assert not loaded()
    assert not loaded("--json", str(tmp_path / "data.json"))
    assert loaded("--report", str(tmp_path))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (.ci/run installs it)")
@pytest.mark.parametrize("width", [360, 1200])
def test_a_browser_shows_it_at_any_width_sorts_and_asks_nobody(
    complete: ReportSources, tmp_path: Path, browser: Browser, width: int
) -> None:
    evaluate_and_report(complete, tmp_path, None)
    context = browser.new_context(viewport={"width": width, "height": 900})
    shown = context.new_page()
    said: list[str] = []
    shown.on("console", lambda line: said.append(line.text))
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.on("request", lambda request: said.append(request.url))

    shown.goto((tmp_path / "report.html").as_uri())
    shown.get_by_role("button", name="lowest first").click()

    values = shown.locator(".query").evaluate_all("all => all.map(q => Number(q.dataset.run))")
    assert values == sorted(values)
    assert len(said) == 1  # the page itself
    assert shown.evaluate("document.documentElement.scrollWidth") == width
    assert re.fullmatch("good against <b>poor: evaluation", shown.title())
    context.close()
