import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from index import DESIGNS
from pipelines.cli import main
from pipelines.cli.main import vetrina
from pipelines.config.loading import load
from pipelines.release.store import names
from pipelines.shop.writer import ShopWriter
from tests.assertions import each, every
from tests.conftest import products, purchases

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run `vetrina …` in this process; return exit code, what it printed, and its errors."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vetrina", *map(str, words)])
        code = 0
        try:
            main.main()
        except SystemExit as e:
            code = e.code if isinstance(e.code, int) else 1
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_every_verb_has_a_line_of_help(call: Call) -> None:
    for name in each(vetrina.commands):
        code, printed, _ = call(name, "--help")

        assert code == 0
        assert "Usage: " in printed


def test_help_imports_neither_torch_nor_faiss() -> None:
    program = (
        "import sys; sys.argv = ['vetrina', '--help']\n"
        "from pipelines.cli.main import main\n"
        "try:\n    main()\n"
        "finally:\n    print(sorted({'torch', 'faiss', 'pyarrow', 'litestar'} & set(sys.modules)))"
    )

    printed = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ).stdout

    assert printed.endswith("[]\n")


def test_a_search_is_a_table_with_the_stage_and_its_cost(call: Call, releases: Path) -> None:
    code, printed, _ = call("search", "tomato soup", "--releases", releases, "-k", 3)

    assert code == 0
    assert "Tomato Soup" in printed
    assert "stage r" in printed


def test_an_explained_search_says_how_many_products_pass_its_filter(
    call: Call, releases: Path
) -> None:
    code, printed, _ = call(
        "search", "soup", "--releases", releases, "--filter", "price < 20", "--explain"
    )

    assert code == 0
    assert "19 of 48 products pass the filter; semantic by scan, exactness 1.00" in printed


def test_a_list_is_counted_sorted_and_goes_on_on_the_next_page(call: Call, releases: Path) -> None:
    asked = ["recommend", "--releases", releases, "--at", "2024-03-01", "--sort", "price:desc"]

    _, first, _ = call(*asked, "--facet", "brand", "--facet", "price", "-k", 2)
    cursor = first.split("--cursor ")[1].split()[0]
    _, second, _ = call(*asked, "--cursor", cursor, "-k", 1)
    _, alone, _ = call(*asked, "--collapse", "brand")

    assert "47 in the list, of 47 products, all that match" in first
    assert "brand: East 12, North 12, South 12, West 11" in first
    assert "price: *-" in first
    assert [line for line in second.splitlines() if line.strip().startswith("3 ")]
    assert "4 in the list, of 47 products" in alone


def test_an_answer_names_the_products_that_its_release_lacks(call: Call, releases: Path) -> None:
    code, printed, _ = call("recommend", "--releases", releases, "--like", "p1", "--like", "zz")

    assert code == 0
    assert "this release lacks zz\n" in printed


def test_a_recommendation_explains_itself(call: Call, releases: Path) -> None:
    code, printed, _ = call(
        "recommend", "--releases", releases, "--user", "u1", "--at", "2024-03-01", "--explain"
    )

    assert code == 0
    assert "frequency_60" in printed
    assert "repeat" in printed


def test_check_prints_the_whole_configuration_and_the_machine(call: Call) -> None:
    code, printed, _ = call("check", "--set", "index.factory=Flat")

    assert code == 0
    assert "factory: Flat" in printed
    assert "cards that faiss sees" in printed


def test_a_plan_tells_of_every_design_and_writes_the_one_to_take(
    call: Call, releases: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "shop.yaml"
    kept.write_text("seed: 7\nindex:\n  factory: IVF4,Flat\n")

    code, printed, _ = call(
        "index", "plan", "--releases", releases, "--memory", "1MB", "--k", 5, "--write", kept
    )

    assert code == 0
    assert every(design.name in printed for design in DESIGNS)
    assert "recall@5 of 0.95" in printed
    assert printed.count("chosen") == printed.count("asked by")
    config = load(kept)
    assert (config.seed, config.index.factory, config.index.memory) == (7, "", "1MB")
    assert config.index.kind != "auto"


def test_without_faiss_a_verb_names_the_extra_that_has_it() -> None:
    program = (
        "import sys; sys.modules['faiss'] = None\n"
        "sys.argv = ['vetrina', 'search', 'bread', '--releases', 'nowhere']\n"
        "from pipelines.cli.main import main\n"
        "main()"
    )

    said = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert said.returncode == 2
    assert said.stderr.count("\n") == 1
    assert "'vetrina[cpu]', or 'vetrina[gpu]'" in said.stderr


def test_a_memory_that_is_no_size_is_a_mistake_in_one_line(call: Call, releases: Path) -> None:
    code, _, error = call("index", "plan", "--releases", releases, "--memory", "much")

    assert code == 2
    assert "index.memory" in error


def write_shop(folder: Path) -> None:
    with ShopWriter(folder, name="Corner shop", source="table") as writer:
        writer.add_products(products())
        writer.add_events(purchases())


QUICK = (
    *("--set", "ranking.train=false", "--set", "encoders.text.runtime=torch"),
    *("--set", "gate.queries=10", "--set", "gate.most_latency=1000", "--until", "2024-03-01"),
)


def test_releases_are_listed_checked_compared_and_rolled_back(call: Call, tmp_path: Path) -> None:
    write_shop(tmp_path / "shop")
    build = ("build", "--shop", tmp_path / "shop", "--releases", tmp_path / "r")

    first, second = (call(*build, *QUICK) for _ in range(2))
    assert (first[0], second[0]) == (0, 0)
    assert "compared with nothing: there is no live release to compare with" in first[1]
    assert "holds the same, byte for byte" in second[1]
    listed = call("releases", "list", "--releases", tmp_path / "r")[1]
    assert listed.count("Corner shop") == 2
    assert listed.count("current") == 1
    assert "files are as built" in call("releases", "check", "--releases", tmp_path / "r")[1]
    new, old = names(tmp_path / "r")
    page = call("releases", "diff", old, new, "--releases", tmp_path / "r")
    assert page[0] == 0
    assert "products: 48 before, 48 now" in page[1]
    assert "rank-biased overlap 1.000" in page[1]
    data = json.loads(call("releases", "diff", old, new, "--releases", tmp_path / "r", "--json")[1])
    assert (data["gone"], data["changed"], data["answers"][0]["overlap"]) == (0, [], 1.0)
    assert "current is now" in call("releases", "rollback", "--releases", tmp_path / "r")[1]
    assert "0 removed" in call("releases", "prune", "--releases", tmp_path / "r")[1]


def test_a_draft_that_fails_is_a_table_and_exit_code_3_and_can_be_forced(
    call: Call, tmp_path: Path
) -> None:
    write_shop(tmp_path / "shop")
    build = ("build", "--shop", tmp_path / "shop", "--releases", tmp_path / "r", *QUICK)
    strict = ("--set", "index.factory=PQ4x4", "--set", "index.recall_k=5")

    code, printed, errors = call(*build, *strict)
    [dark] = names(tmp_path / "r")

    assert code == 3
    assert "FAILED" in printed
    assert f"release {dark} is not fit to serve and stays dark" in errors
    assert "dark" in call("releases", "list", "--releases", tmp_path / "r")[1]
    assert call("releases", "publish", dark, "--releases", tmp_path / "r")[0] == 3
    assert call("releases", "publish", dark, "--force", "--releases", tmp_path / "r")[0] == 0
    assert "FAILED, forced" in call("releases", "check", "--releases", tmp_path / "r")[1]


def test_a_run_tells_what_it_answered_and_what_it_could_not(
    call: Call, releases: Path, tmp_path: Path
) -> None:
    lines = ['{"id": "a", "user": "u1", "candidates": ["p1", "gone"]}', '{"id": "b", "k": 0}']
    (tmp_path / "q.jsonl").write_text("\n".join(lines))

    code, printed, errors = call(
        "run", tmp_path / "q.jsonl", "--releases", releases, "--out", tmp_path / "out"
    )

    assert code == 0
    assert "line 1: 1 of 2 candidates are not in the release: gone" in errors
    assert "line 2: k: Expected `int` >= 1" in errors
    assert "1 answered (1 by ranking), 1 not" in printed
    assert (tmp_path / "out").read_text().startswith("a Q0 p1 1 ")


def test_a_run_that_answers_nothing_is_no_success(
    call: Call, releases: Path, tmp_path: Path
) -> None:
    (tmp_path / "q.jsonl").write_text('{"id": "b", "k": 0}')

    code, printed, errors = call(
        "run", tmp_path / "q.jsonl", "--releases", releases, "--out", tmp_path / "out"
    )

    assert code == 1
    assert "line 1: k: Expected `int` >= 1" in errors
    assert "0 answered, 1 not" in printed


TUNE = ("tune", "--shop", "SHOP", "--ranges", "EMPTY/r.yaml", "--out", "EMPTY/o")
MISTAKES = {
    "no release": (
        ("search", "x", "--releases", "EMPTY"),
        "holds no published release; run `vetrina build` first",
    ),
    "nothing to search for": (("search", "--releases", "EMPTY"), "give words to search for"),
    "no such picture": (
        ("search", "--releases", "EMPTY", "--image", "EMPTY/x.png"),
        "image: EMPTY/x.png: No such file or directory",
    ),
    "a folder as a picture": (("search", "--releases", "EMPTY", "--image", "EMPTY"), "is no file"),
    "no moment": (
        ("recommend", "--releases", "EMPTY", "--at", "soon"),
        "'soon' is not a moment; write 2017-11-15",
    ),
    "too many": (("recommend", "--releases", "EMPTY", "-k", "0"), "k: 0 products were asked for"),
    "no shop": (
        ("build", "--shop", "EMPTY", "--releases", "EMPTY/r"),
        "EMPTY is not a shop (no shop.json); make one with `vetrina import`",
    ),
    "an unknown key": (
        ("build", "--shop", "EMPTY", "--releases", "EMPTY/r", "--set", "index.nprobe=4"),
        "index.nprobe=4: Object contains unknown field `nprobe` - at `$.index`",
    ),
    "no model": (
        ("build", "--shop", "SHOP", "--releases", "EMPTY/r", "--set", "encoders.text.model=./none"),
        "none",
    ),
    "no requests": (
        ("run", "EMPTY/q.jsonl", "--releases", "RELEASES", "--out", "EMPTY/run"),
        "q.jsonl: No such file or directory; expected a file of one JSON request a line",
    ),
    "no ranges": (
        (*TUNE, "--until", "2024-03-01"),
        "EMPTY/r.yaml: there is no such file",
    ),
    "no such measure": (
        (*TUNE, "--until", "2024-03-01", "--measure", "luck@7"),
        "measure 'luck@7': expected ndcg@K or recall@K",
    ),
    "no run": (("evaluate", "EMPTY/run", "--qrels", "EMPTY/qrels"), "No such file or directory"),
    "no run to report on": (
        ("evaluate", "EMPTY/run", "--qrels", "EMPTY/qrels", "--report", "EMPTY/report.html"),
        "No such file or directory",
    ),
    "a release for no report": (
        ("evaluate", "EMPTY/run", "--qrels", "EMPTY/qrels", "--releases", "EMPTY"),
        "--requests and --releases are read for --report or --json",
    ),
    "no older release": (
        ("releases", "rollback", "--releases", "RELEASES"),
        "holds no release older than",
    ),
    "no such release": (
        ("releases", "check", "--releases", "RELEASES", "../x"),
        "holds no release '../x'",
    ),
    "no mapping": (
        ("import", "table", "EMPTY/x.csv", "--mapping", "EMPTY/m.yaml", "--shop", "EMPTY/s"),
        "EMPTY/m.yaml: there is no such file",
    ),
    "no verb": (("paint",), "No such command 'paint'"),
    "an option that is missing": (("search", "x"), "Missing option '--releases'"),
    "a filter that cannot be read": (
        ("search", "x", "--releases", "RELEASES", "--filter", "brand ~ 3"),
        "filter: cannot be read at position",
    ),
}


@pytest.mark.parametrize(("words", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_and_no_traceback(
    call: Call, tmp_path: Path, shop: Path, releases: Path, words: tuple[str, ...], message: str
) -> None:
    places = {"EMPTY": tmp_path, "SHOP": shop, "RELEASES": releases}
    for name, path in places.items():
        words = tuple(word.replace(name, str(path)) for word in words)
        message = message.replace(name, str(path))

    code, _, errors = call(*words)

    assert code == 2
    assert message in errors
    assert "Traceback" not in errors
    assert list(tmp_path.glob("r/2*")) == []


def test_tuning_asks_for_what_it_needs_unless_a_verb_follows(call: Call) -> None:
    code, _, errors = call("tune", "--shop", "s", "--ranges", "r")
    without, _, missing = call("tune", "fusion")

    assert (code, without) == (2, 2)
    assert "Missing option '--out'" in errors
    assert "Missing option '--releases'" in missing


def test_weights_of_searches_are_tuned_and_written(
    call: Call, releases: Path, tmp_path: Path
) -> None:
    kinds, names = ("tomato soup", "oat milk", "green tea", "rye bread"), range(24)
    lines = [f'{{"id": "q{i}", "text": "{kinds[i % 4]} {i // 4}"}}' for i in names]
    (tmp_path / "requests.jsonl").write_text("\n".join(lines))
    (tmp_path / "qrels").write_text("\n".join(f"q{i} 0 p{i} 1" for i in names))

    code, printed, _ = call(
        *("tune", "fusion", "--releases", releases, "--requests", tmp_path / "requests.jsonl"),
        *("--judgements", tmp_path / "qrels", "--out", tmp_path / "fusion.yaml"),
    )

    assert code == 0
    assert "nDCG@10 of 24 queries that were not chosen by" in printed
    assert (tmp_path / "fusion.yaml").read_text() in printed


def test_a_server_refuses_a_setting_that_would_do_nothing(call: Call, releases: Path) -> None:
    code, _, errors = call("serve", "--releases", releases, "--set", "retrieval.rrf_k=5")

    assert code == 2
    assert (
        "--set retrieval.rrf_k=5: only the sections serve, people, consent are read here" in errors
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("serve", "--port", "99999"), "99999 is not in the range 0<=x<=65535"),
        (("search", "--relases", "x"), "No such option"),
        (("search",), "Missing option"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_that_names_the_help(
    call: Call, words: tuple[str, ...], said: str
) -> None:
    code, _, errors = call(*words)

    assert code == 2
    assert errors.count("\n") == 1
    assert said in errors
    assert f"see `vetrina {words[0]} --help`" in errors


def test_an_export_is_imported_and_the_reason_said(call: Call, tmp_path: Path) -> None:
    source = tmp_path / "products.csv"
    source.write_text("Handle,Title,Option1 Name,Option1 Value,Variant SKU\na,Cup,Size,S,C1\n")
    options = ("--shop", tmp_path / "shop", "--at", "2024-06-01")

    for name in ("auto", "shopify"):
        code, out, _ = call("import", name, source, *options)
        assert code == 0
        assert "read as Shopify's product export: 5 of its columns are known" in out
        assert "rows read / kept" in out


def test_a_mapping_is_printed_and_nothing_imported(call: Call, tmp_path: Path) -> None:
    source = tmp_path / "goods.csv"
    source.write_text("sku,name\na,Cup\n")

    code, out, _ = call("import", "auto", source, "--print-mapping")

    assert (code, list(tmp_path.iterdir())) == (0, [source])
    assert "columns:\n  id: sku\n  title: name\n" in out


def test_an_import_without_a_shop_is_a_mistake_in_one_line(call: Call, tmp_path: Path) -> None:
    source = tmp_path / "goods.csv"
    source.write_text("sku,name\na,Cup\n")

    code, _, err = call("import", "auto", source)

    assert code == 2
    assert "Missing option '--shop'" in err
