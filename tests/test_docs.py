"""What the pages say is compared with the code, so that they cannot quietly become untrue."""

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple, get_args

import click
import msgspec
import pytest

import retrieval
from index.columns.filter_masks import matching
from pipelines.building.plan import STEPS
from pipelines.cli.main import vetrina
from pipelines.config.loading import load
from pipelines.config.sections import ChannelName, Config
from pipelines.engine import decoding
from pipelines.evaluation import requests as requests_module
from pipelines.importers.mapping import Mapping, load_mapping
from pipelines.release.manifest import MANIFEST, SEAL
from pipelines.release.store import open_release
from pipelines.serving.app import create_app
from pipelines.serving.bodies import bodies, campaign_bodies, event_bodies
from pipelines.shop.schemas import ACT_SCHEMA, PRODUCT_SCHEMA, SCHEMAS
from pipelines.tuning.ranges import read_ranges, value_of

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
ARCHITECTURE, USING = ROOT / "docs/architecture.md", ROOT / "docs/using.md"
REFERENCE = ROOT / "docs/reference"
CONFIGURATION, HTTP, FILES, SEARCH, EVALUATION = (
    REFERENCE / f"{name}.md" for name in ("configuration", "http", "files", "search", "evaluation")
)
GUIDE = [USING, *sorted(REFERENCE.glob("*.md"))]  # what a user reads
PACKAGES = ("index", "retrieval", "ranking", "pipelines")
WATCHED = (*PACKAGES, "benchmarks", "configs", "docs", "tests", ".ci")
MACHINE = re.compile("/(?:" + "|".join(("work", "tmp", "root", "home")) + ")/")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
AFTER = ("|", ">", "&&", ";")  # where a shell goes on to something else
LINK = re.compile(r"\]\(([^)\s]+)\)")
# Words of earlier versions for which the field has a term, or which were the names of classes.
BANNED = (
    *("desk", "succession", "elsewhere", "few documents", "remembered", "grown", "workshop"),
    *("graphics card", "on a card", "a card", "the card", "the lesson", "made-up", "kept dark"),
    *("Asked", "Told", "Made", "Found", "Wanted", "Kept", "Known", "told_", "`told`", "`asked`"),
    *("CardScan", "FewDocuments", "Desk", "Succession", "Remembered", "Scope", "Walked"),
)
METAPHOR = re.compile("|".join(rf"(?<![\w.-]){re.escape(word)}(?![\w-])" for word in BANNED))

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


class Command(NamedTuple):
    """The deepest verb that a line names, and what follows it."""

    verb: click.Command
    rest: list[str]


@every_page
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(prose(page)) if "://" not in link]

    lost = [link for link in links if not leads_somewhere(page, link)]

    assert not lost


@every_page
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    begins = re.compile(
        rf"(?:{'|'.join(map(re.escape, WATCHED))})/[\w./-]*(?:/|\.(?:py|md|yaml|txt))$"
    )

    lost = [s for s in SPAN.findall(prose(page)) if begins.match(s) and not (ROOT / s).exists()]

    assert not lost


@every_page
def test_every_command_on_a_page_is_one_that_we_have(page: Path) -> None:
    wrong = [line for line in commands(page, "vetrina") if not is_a_verb(line)]

    assert not wrong


@every_page
def test_every_option_of_a_command_on_a_page_is_one_of_its_own(page: Path) -> None:
    wrong = [
        (line, option)
        for line in commands(page, "vetrina")
        for option in command_of(line).rest
        if option.startswith("-") and option.partition("=")[0] not in options_of(line)
    ]

    assert not wrong


@every_page
def test_every_make_target_on_a_page_is_in_the_makefile(page: Path) -> None:
    targets = make_targets()

    wrong = [line for line in commands(page, "make") if line.split()[1] not in targets]

    assert not wrong


def test_the_contributor_reads_of_every_make_target() -> None:
    told = {
        row[0].partition("make ")[2].split()[0] for row in table(ROOT / "CONTRIBUTING.md", "Set up")
    }

    assert told == make_targets()


def test_the_configuration_table_holds_every_key_with_its_default() -> None:
    told = {
        key: msgspec.yaml.decode(value) for key, value, _ in table(CONFIGURATION, "Configuration")
    }

    assert told == dict(leaves(msgspec.to_builtins(Config())))


def test_the_mapping_table_holds_every_key() -> None:
    keys = {key for row in table(FILES, "A mapping", raw=True) for key in SPAN.findall(row[0])}

    assert keys == set(keys_of(Mapping))


def test_the_request_table_holds_every_key() -> None:
    keys = [row[0] for row in table(EVALUATION, "Run and evaluate")]

    assert keys == list(requests_module.Request.__struct_fields__)


def test_the_table_of_paths_holds_every_path_of_the_interface() -> None:
    document = create_app(None, Config()).openapi_schema.to_schema()

    told = {row[0] for row in table(HTTP, "Routes")}

    assert told == {
        f"{method.upper()} {path}" for path, ways in document["paths"].items() for method in ways
    }


def test_the_example_mapping_configuration_and_ranges_are_ones_that_we_read(tmp_path: Path) -> None:
    blocks = [block for kind, block in BLOCK.findall(guide()) if kind == "yaml"]
    for name, block in zip(("mapping.yaml", "shop.yaml", "ranges.yaml"), blocks, strict=True):
        (tmp_path / name).write_text(block)

    read = load_mapping(tmp_path / "mapping.yaml"), load(tmp_path / "shop.yaml")

    assert read[0].events is not None
    assert read[1] != Config()
    assert len(read_ranges(tmp_path / "ranges.yaml", Config())) == 3


def test_the_example_requests_of_a_run_are_ones_that_we_read() -> None:
    lines = next(block for kind, block in BLOCK.findall(EVALUATION.read_text()) if kind == "json")

    requests = [
        msgspec.json.decode(line, type=requests_module.Request) for line in lines.splitlines()
    ]

    assert len({request.id for request in requests}) == len(requests) > 1


def test_the_example_requests_over_http_are_ones_that_we_read() -> None:
    readers = {"": decoding.read_query, "PUT": bodies.read_product, "PATCH": bodies.read_values}
    asked = re.findall(r"curl -s (?:-X (\w+) )?([^\n]*)\\\n  -d '(\{.*\})'", guide(), re.MULTILINE)

    named = {"/v1/events": event_bodies.read_event, "/v1/campaigns": campaign_bodies.read_campaign}
    read = [
        next((r for path, r in named.items() if path in rest), readers[method])(body.encode())
        for method, rest, body in asked
    ]

    assert len(read) == guide().count("-d '{") > 1


def test_the_example_changes_of_a_bulk_are_ones_that_we_read() -> None:
    lines = re.findall(r'^\{"type": .*$', HTTP.read_text(), re.MULTILINE)

    read = bodies.read_lines("\n".join(lines).encode())

    assert {type(change).__name__ for change in read} == {"Upsert", "Edit", "Delete"}


def test_the_example_filters_are_ones_that_we_read() -> None:
    filters = [text for row in table(SEARCH, "Filters", raw=True) for text in SPAN.findall(row[0])]

    masks = [matching(PRODUCT_SCHEMA.empty_table(), text) for text in filters]

    assert len(masks) > 1


def test_the_guide_is_short_and_links_every_reference_page() -> None:
    links = {link.partition("#")[0] for link in LINK.findall(prose(USING))}

    assert len(USING.read_text().splitlines()) <= 300
    assert {f"reference/{path.name}" for path in REFERENCE.glob("*.md")} <= links


def test_the_first_page_is_at_most_ninety_lines() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 90


def test_every_file_of_a_shop_folder_is_described_with_its_columns() -> None:
    rows = {row[0]: row[1].split(", ") for row in table(FILES, "A shop folder")}

    assert {f"{name}.parquet": schema.names for name, schema in SCHEMAS.items()} == {
        name: columns
        for name, columns in rows.items()
        if name.endswith(".parquet") and "/" not in name
    }
    assert rows["events/day=*/*.parquet"] == ACT_SCHEMA.names


@every_page
def test_no_page_uses_a_metaphor_where_the_field_has_a_term(page: Path) -> None:
    lines = enumerate(page.read_text().splitlines(), 1)

    used = [(number, word[0]) for number, line in lines for word in METAPHOR.finditer(line)]

    assert not used


def test_the_channels_nouns_and_stages_are_those_of_the_code() -> None:
    channels = [row[0] for row in table(ARCHITECTURE, "Channels")]
    stages = [row[0] for row in table(ARCHITECTURE, "Stages")]
    nouns = [row[0] for row in table(ARCHITECTURE, "Nouns")]

    assert channels == list(get_args(ChannelName))
    assert stages == list(retrieval.Stage)
    assert set(nouns) <= set(retrieval.__all__)


@pytest.mark.parametrize(
    ("walk", "length"),
    [("The walk of a request", 6), ("The engine", 5), ("The walk of a rebuild", 6)],
)
def test_a_walk_names_functions_that_are_in_the_files_it_names(walk: str, length: int) -> None:
    rooms = [SPAN.findall(row[1]) for row in table(ARCHITECTURE, walk, raw=True)]

    lost = [(spans[0], name) for spans in rooms for name in missing_names(spans)]

    assert len(rooms) == length
    assert not lost


def test_the_steps_of_a_build_are_those_of_its_plan() -> None:
    steps = [row[0] for row in table(ARCHITECTURE, "Steps of a build")]

    assert steps == [step.name for step in STEPS]


def test_every_error_of_the_table_has_the_root_that_it_says() -> None:
    code = "\n".join(path.read_text() for name in PACKAGES for path in (ROOT / name).rglob("*.py"))

    wrong = [
        (error, root)
        for errors, (root,) in (map(SPAN.findall, row[:2]) for row in errors_table())
        for error in errors
        if f"class {error}({root})" not in code
    ]

    assert not wrong


def test_every_file_of_a_release_is_described_and_no_other(releases: Path) -> None:
    patterns = {row[0] for row in table(FILES, "A release")} - {MANIFEST, SEAL}
    files = open_release(releases).manifest.files

    unknown = [file for file in files if not any(fnmatch(file, p) for p in patterns)]
    idle = [p for p in patterns if not any(fnmatch(file, p) for file in files)]
    idle.remove("query_encoder/*")  # the text encoder of these tests is run by torch alone

    assert (unknown, idle) == ([], [])


def test_every_dependency_has_a_line_with_its_reason_and_no_other_has() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(name for names in extras.values() for name in names)]
    wanted = [name for name in wanted if not name.startswith("vetrina[")]

    told = {name for row in table(ARCHITECTURE, "Dependencies", raw=True) for name in named(row[0])}

    assert told == {re.split(r"[<>=; ]", name)[0] for name in wanted}


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.name)
def test_every_shipped_configuration_loads_and_differs_from_the_defaults(path: Path) -> None:
    config = load(path)

    assert config != Config()


@pytest.mark.parametrize(
    "path", sorted((ROOT / "configs/mappings").glob("*.yaml")), ids=lambda p: p.name
)
def test_every_shipped_mapping_loads(path: Path) -> None:
    mapping = load_mapping(path)

    assert mapping.columns.id
    assert mapping.columns.title


@pytest.mark.parametrize(
    "path", sorted((ROOT / "configs/ranges").glob("*.yaml")), ids=lambda p: p.name
)
def test_every_shipped_file_of_ranges_loads_and_holds_the_defaults(path: Path) -> None:
    given = load(None, ["retrieval.fit_weights=false"])

    ranges = read_ranges(path, given)

    assert [key for key, r in ranges.items() if not r.holds(value_of(given, key))] == []


def test_no_file_names_a_place_on_one_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}, line {number}"
        for path in our_files()
        for number, line in enumerate(text_lines(path), 1)
        if MACHINE.search(line)
    ]

    assert not found


def guide() -> str:
    """Return the guide and all reference pages as one text."""
    return "\n".join(page.read_text() for page in GUIDE)


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return BLOCK.sub("", page.read_text())


def commands(page: Path, program: str) -> list[str]:
    """Return the lines and words in code that call a program of ours."""
    blocks = [text for kind, text in BLOCK.findall(page.read_text()) if kind == "sh"]
    lines = [line for text in blocks for line in text.replace("\\\n", " ").splitlines()]
    code = [*SPAN.findall(prose(page)), *lines]
    plain = (line.strip().removeprefix("$ ").removeprefix(".venv/bin/") for line in code)
    return [line for line in plain if line.startswith(f"{program} ")]


def command_of(line: str) -> Command:
    words = list(takewhile(lambda word: word not in AFTER, shlex.split(line, comments=True)))[1:]
    verb: click.Command = vetrina
    while isinstance(verb, click.Group) and words and words[0] in verb.commands:
        verb = verb.commands[words.pop(0)]
    return Command(verb, words)


def is_a_verb(line: str) -> bool:
    """Whether a line ends in a verb, or in a group of them; VERB or … stands for any."""
    verb, rest = command_of(line)
    words = [word for word in rest if not word.startswith("-") and word not in ("VERB", "…")]
    only_leads = isinstance(verb, click.Group) and not verb.invoke_without_command
    return not (only_leads and words)


def options_of(line: str) -> set[str]:
    shared = {"-h", "--help", "--version"}
    given = command_of(line).verb.params
    return shared | {name for one in given for name in (*one.opts, *one.secondary_opts)}


def make_targets() -> set[str]:
    [line] = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return set(line.split())


def section(page: Path, heading: str) -> str:
    """Return what stands under the first heading that begins so, up to the next one."""
    text = prose(page)
    found = re.search(
        rf"^#+ {re.escape(heading)}.*?$(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL
    )
    assert found, f"{page.name} has no section {heading!r}"
    return found[1]


def table(page: Path, heading: str, *, raw: bool = False) -> list[list[str]]:
    """Return the rows of a section's tables, without headers; unless raw, without backticks."""
    lines = [line for line in section(page, heading).splitlines() if line.startswith("|")]
    rules = {i for i, line in enumerate(lines) if set(line) <= set("|- ")}
    kept = [line for i, line in enumerate(lines) if i not in rules and i + 1 not in rules]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in kept]
    return rows if raw else [[cell.replace("`", "") for cell in row] for row in rows]


def errors_table() -> list[list[str]]:
    rows = table(ARCHITECTURE, "Errors", raw=True)
    assert rows
    return rows


def missing_names(spans: list[str]) -> list[str]:
    """Return those of a room's names that none of its files defines."""
    places = [ROOT / span for span in spans if "/" in span]
    files = [
        file for place in places for file in ([place] if place.is_file() else place.rglob("*.py"))
    ]
    code = "\n".join(file.read_text() for file in files)
    names = [span for span in spans if "/" not in span]
    return [
        name
        for name in names
        if not all(re.search(rf"\b(?:def|class) {part}\b", code) for part in name.split("."))
    ]


def named(cell: str) -> list[str]:
    """Return the packages that a cell names, without the extras in parentheses."""
    return SPAN.findall(re.sub(r"\(.*?\)", "", cell))


def leaves(tree: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", list(value) if isinstance(value, tuple) else value


def keys_of(section_type: type, path: str = "") -> Iterator[str]:
    """Yield the dotted keys of a section of a mapping, those of its own sections included."""
    for given in msgspec.structs.fields(section_type):
        inner = [t for t in (given.type, *get_args(given.type)) if is_a_section(t)]
        if inner:
            yield from keys_of(inner[0], f"{path}{given.name}.")
        else:
            yield f"{path}{given.name}"


def is_a_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def leads_somewhere(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    if not target.exists() or not anchor:
        return target.exists()
    headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
    return anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}


def our_files() -> list[Path]:
    inside = [path for name in WATCHED for path in (ROOT / name).rglob("*") if path.is_file()]
    beside = [path for path in ROOT.iterdir() if path.is_file() and path.name != ".git"]
    return [path for path in (*inside, *beside) if "__pycache__" not in path.parts]


def text_lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        return []


def test_modules_hold_no_state_but_caches_and_the_steps_in_work() -> None:
    packages = ("index", "retrieval", "ranking", "pipelines")
    files = [path for package in packages for path in (ROOT / package).rglob("*.py")]

    empty = {
        f"{path.relative_to(ROOT)}: {name}" for path in files for name in empty_containers(path)
    }

    constants = {
        "pipelines/importers/values/survey.py: NOTHING",
        "retrieval/fusion/fusion.py: EQUAL",
    }
    assert empty - constants == {
        "pipelines/engine/deadline.py: _RUNNING",
        "pipelines/progress.py: _STEPS",
    }


def empty_containers(path: Path) -> Iterator[str]:
    """Yield the names that a module gives to an empty list, dictionary or set, to fill later."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            empty = ast.unparse(node.value) in ("[]", "{}", "list()", "dict()", "set()")
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (ast.unparse(target) for target in targets if empty)
