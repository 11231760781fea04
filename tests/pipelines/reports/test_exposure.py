"""Exposure of groups of products in two runs, against one real release of 48 products."""

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipelines.evaluation.trec_files import EvaluationError
from pipelines.reports import exposure as module
from pipelines.reports.evidence import ReleaseHistory, open_history
from pipelines.reports.exposure import exposure
from pipelines.reports.exposure_findings import LEAST_REQUESTS, ExposureReport, Grouped
from pipelines.reports.product_groups import (
    AGES,
    MOST_GROUPS,
    NEVER_BOUGHT,
    by_price,
    groupings,
    label,
    largest,
)
from retrieval.behaviour.purchases import DAY
from tests.assertions import each, every
from tests.conftest import BRANDS, NUM_PRODUCTS
from tests.pipelines.cli.test_cli import Call, call  # noqa: F401 - a fixture
from tests.pipelines.reports.test_markup import Reader

NUM_REQUESTS = 40


@pytest.fixture(scope="module")
def known(releases: Path) -> ReleaseHistory:
    return open_history(releases)


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """Every product in some order, for each request."""
    rng = random.Random(2)
    lists = [rng.sample(range(NUM_PRODUCTS), NUM_PRODUCTS) for _ in range(NUM_REQUESTS)]
    return write(tmp_path / "before.trec", lists)


@pytest.fixture
def after(before: Path) -> Path:
    """The same, with the brand East first."""
    east = BRANDS.index("East")
    lists = [sorted(one, key=lambda p: p % 4 != east) for one in read(before)]
    return write(before.with_name("after.trec"), lists)


def write(path: Path, lists: list[list[int]], first: int = 0) -> Path:
    lines = [
        f"q{number} Q0 p{product} {place} {-place} t\n"
        for number, products in enumerate(lists, start=first)
        for place, product in enumerate(products, start=1)
    ]
    path.write_text("".join(lines))
    return path


def read(path: Path) -> list[list[int]]:
    lists: dict[str, list[int]] = {}
    for line in path.read_text().splitlines():
        lists.setdefault(line.split()[0], []).append(int(line.split()[2][1:]))
    return list(lists.values())


def ratios_of(grouped: Grouped) -> dict[str, float]:
    return {group.name: group.ratio.mean for group in grouped.groups if group.ratio}


def every_share(report: ExposureReport) -> Iterator[list[float]]:
    for one in report.groupings:
        for side in ("catalogue", "purchases", "before", "after"):
            yield [getattr(group, side) for group in one.groups]


def test_the_shares_of_every_grouping_are_one_together(
    before: Path, after: Path, releases: Path
) -> None:
    report = exposure(before, after, releases)

    assert [one.name for one in report.groupings] == ["brand", "category", "price", "age"]
    assert [sum(shares) for shares in every_share(report)] == pytest.approx([1] * 16)
    for one in report.groupings:
        assert sum(group.num_products for group in one.groups) == NUM_PRODUCTS


def test_a_brand_that_goes_to_the_top_gains_and_the_others_lose(
    before: Path, after: Path, releases: Path
) -> None:
    brands = exposure(before, after, releases).groupings[0]

    ratio = {group.name: group.ratio for group in brands.groups}
    east = ratio.pop("East")
    assert east is not None
    assert east.low is not None
    assert east.low > 2
    for other in ratio.values():
        assert other is not None
        assert other.high is not None
        assert other.high < 1
    assert brands.moved > 0.3
    assert brands.groups[0].name == "East"  # the most exposure


def test_swapping_the_runs_inverts_every_ratio_with_its_interval(
    before: Path, after: Path, releases: Path
) -> None:
    forth, back = exposure(before, after, releases), exposure(after, before, releases)

    for one, other in each(zip(forth.groupings, back.groupings, strict=True)):
        assert one.moved == pytest.approx(other.moved)
        inverted = {group.name: group.ratio for group in other.groups}
        for group in each(one.groups):
            mirrored = inverted[group.name]
            assert group.ratio is not None
            assert mirrored is not None
            assert group.ratio.mean == pytest.approx(1 / mirrored.mean)
            if group.ratio.low is not None:
                assert mirrored.high is not None
                assert group.ratio.low == pytest.approx(1 / mirrored.high)


def test_a_run_against_itself_has_changed_nothing(before: Path, releases: Path) -> None:
    report = exposure(before, before, releases)

    for one in each(report.groupings):
        assert one.moved == 0
        assert set(ratios_of(one).values()) == {1.0}


def test_only_the_first_k_of_the_requests_in_both_count(
    before: Path, after: Path, releases: Path
) -> None:
    lists = read(after)
    write(after, [*(one[:1] for one in lists[:30]), *lists[30:]], first=5)

    report = exposure(before, after, releases, k=1)

    assert (report.num_requests, report.alone) == (NUM_REQUESTS - 5, (5, 5))
    assert report.spreads[0].shown == len({one[0] for one in read(before)[5:]})
    assert "requests only in before, which do not count: 5" in report.table()


def test_a_group_that_few_requests_show_has_a_ratio_without_an_interval(
    before: Path, releases: Path
) -> None:
    lists = read(before)[: LEAST_REQUESTS - 1]
    few = write(before.with_name("few.trec"), lists)

    [*brands] = exposure(few, few, releases).groupings[0].groups

    assert [group.ratio and group.ratio.low for group in brands] == [None] * len(BRANDS)
    assert every(group.ratio is not None for group in brands)


def test_a_group_that_was_not_shown_before_says_so(
    before: Path, after: Path, releases: Path, tmp_path: Path
) -> None:
    east = BRANDS.index("East")
    write(before, [[p for p in one if p % 4 != east] for one in read(before)])

    report = exposure(before, after, releases, page=tmp_path / "page.html")

    [group] = [group for group in report.groupings[0].groups if group.name == "East"]
    assert (group.before, group.ratio) == (0, None)
    assert "not shown before" in (tmp_path / "page.html").read_text()


def test_price_bands_are_fifths_and_an_unknown_price_is_a_band_of_its_own(
    known: ReleaseHistory,
) -> None:
    prices = known.products.column("price")

    bands = by_price(known)

    sizes = np.bincount(bands.group_of, minlength=6)
    assert sizes[:5].sum() == sum(price is not None for price in prices)
    assert sizes[:5].max() - sizes[:5].min() <= 1
    for price, band in zip(prices, bands.group_of, strict=True):
        if price is not None:
            low, high = map(float, bands.labels[band].split(" to "))
            assert low <= price <= high


def test_ages_count_from_the_first_purchase_to_the_cut(known: ReleaseHistory) -> None:
    log, until = known.behaviour.purchases.entries, known.behaviour.until_seconds
    by_age = groupings(known)[3]

    for row in range(NUM_PRODUCTS):
        bought = log.seconds[log.rows == row]
        told = by_age.labels[by_age.group_of[row]]
        if not len(bought):
            assert told == NEVER_BOUGHT
            continue
        days = (until - bought.min()) / DAY
        assert told == next((name for name, end in AGES.items() if days < end), None)


def test_many_groups_are_cut_to_the_largest_and_one_of_the_others(known: ReleaseHistory) -> None:
    many = groupings(known)[0]._replace(
        labels=tuple(f"b{i}" for i in range(NUM_PRODUCTS + 3)), group_of=np.arange(NUM_PRODUCTS)
    )

    kept = largest(many, np.arange(NUM_PRODUCTS, dtype=np.float64))

    assert kept.labels[0] == f"b{NUM_PRODUCTS - 1}"
    assert kept.labels[-1] == f"{NUM_PRODUCTS - MOST_GROUPS} others"
    assert np.bincount(kept.group_of).tolist() == [1] * MOST_GROUPS + [NUM_PRODUCTS - MOST_GROUPS]


def test_a_label_is_one_short_line_without_marks_that_command_a_terminal() -> None:
    assert label("a\x1b[31m\nb\u202ec  d") == "a\ufffd[31m bc d"
    assert len(label("x" * 1_000)) == 40


def test_products_that_the_release_lacks_are_counted_and_named(
    before: Path, after: Path, releases: Path
) -> None:
    with after.open("a") as file:
        file.write("q0 Q0 gone 1 0.5 t\nq1 Q0 lost 1 0.5 t\nq2 Q0 lost 1 0.5 t\n")

    with pytest.raises(EvaluationError) as refused:
        exposure(before, after, releases)

    told = str(refused.value)
    assert f"{after}: 2 of its {NUM_PRODUCTS + 2} products are not in release" in told
    assert "'gone', 'lost'" in told


def test_runs_of_other_requests_are_refused(before: Path, after: Path, releases: Path) -> None:
    write(after, read(after), first=1_000)

    with pytest.raises(EvaluationError, match="no request in common"):
        exposure(before, after, releases)


def test_a_run_that_is_too_large_is_not_read(
    before: Path, releases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_RUN", 10)

    with pytest.raises(EvaluationError, match="at most 10 is read"):
        exposure(before, before, releases)


def test_a_page_does_not_replace_a_run(before: Path, after: Path, releases: Path) -> None:
    same = before.with_name("run.html")
    before.rename(same)

    with pytest.raises(EvaluationError, match="choose another name"):
        exposure(same, after, releases, page=same)


def test_the_page_says_what_the_table_says_and_asks_nobody(
    before: Path, after: Path, releases: Path, tmp_path: Path
) -> None:
    report = exposure(before, after, releases, page=tmp_path / "page.html")

    seen = Reader((tmp_path / "page.html").read_text())
    for one in report.groupings:
        for group in one.groups:
            assert group.name in seen.text
            assert f"{group.after:.1%}" in seen.text
            assert f"{group.after:.1%}" in report.table()
    assert not {"script", "link", "img", "iframe"} & set(seen.tags)
    assert {tag for tag in seen.tags if tag == "svg"} == {"svg"}


@pytest.mark.parametrize(
    "brand", ["<script>alert(1)</script>", "\u202e\x1b]0;owned\x07 & \"'", "$x_{", "雪と牛乳"]
)
def test_a_hostile_brand_is_shown_and_does_nothing(
    brand: str, before: Path, after: Path, known: ReleaseHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.reports.pages.exposure import page

    calm = page(exposure(before, after, opened(known, monkeypatch)))
    column = known.products.column

    def changed(name: str) -> list[object]:
        return [brand if value == "East" else value for value in column(name)]

    monkeypatch.setattr(known.products, "column", changed)
    report = exposure(before, after, Path())
    seen = Reader(page(report))

    assert label(brand) in [group.name for group in report.groupings[0].groups]
    assert seen.text.count(label(brand)) >= 3  # both drawings and the table
    assert sorted(set(seen.tags)) == sorted(set(Reader(calm).tags))
    assert "\x1b" not in report.table()


def opened(known: ReleaseHistory, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "open_history", lambda _: known)
    return Path()


def test_the_verb_prints_the_table_and_writes_the_page(
    call: Call,  # noqa: F811
    before: Path,
    after: Path,
    releases: Path,
    tmp_path: Path,
) -> None:
    page = tmp_path / "page.html"

    code, printed, _ = call(
        "exposure", before, after, "--releases", releases, "--report", page, "--k", 5
    )

    assert code == 0
    assert "East" in printed
    assert "of the first 5, over 40 requests" in printed.replace("\n", " ")
    assert printed.endswith(f"wrote {page}\n")
    assert page.read_text().startswith("<!doctype html>")


def test_the_verb_refuses_in_one_line(
    call: Call,  # noqa: F811
    before: Path,
    after: Path,
    releases: Path,
    tmp_path: Path,
) -> None:
    given = [
        (before, tmp_path / "none", "--releases", releases),
        (before, after, "--releases", tmp_path),
        (before, after, "--releases", releases, "--k", 0),
        (before, after),
    ]

    told = [call("exposure", *words) for words in given]

    assert [code for code, _, _ in told] == [2] * 4
    assert "No such file" in told[0][2]
    assert "no published release" in told[1][2]
    assert "0 is not in the range" in told[2][2]
    assert "--releases" in told[3][2]
    assert not any("Traceback" in errors for _, _, errors in told)
