"""Words that stand for others, from a file of the shop to an answer."""

from pathlib import Path

import pytest

from pipelines.building.build import build
from pipelines.building.synonyms import relaxation_of
from pipelines.cli.answers import slate_table
from pipelines.config.loading import load
from pipelines.config.sections import Config
from pipelines.engine.engine import Engine
from pipelines.errors import ConfigError
from pipelines.progress import silent
from retrieval import Query, Slate
from retrieval.types import Reading
from tests.assertions import every
from tests.conftest import UNTIL, write_shop


def config(synonyms: Path) -> Config:
    quick = ("ranking.train=false", "encoders.text.runtime=torch", "retrieval.channels=[lexical]")
    return load(None, [*quick, f"retrieval.synonyms={synonyms}"])


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("synonyms")
    (folder / "synonyms.txt").write_text("potage, soup\nchai => green tea\n")
    settings = config(folder / "synonyms.txt")
    build(write_shop(folder / "shop", pictures=False), folder / "r", settings, UNTIL, silent)
    (folder / "synonyms.txt").unlink()  # serving needs nothing outside of the release
    return Engine.open(folder / "r")


def test_a_release_holds_its_synonyms(engine: Engine) -> None:
    assert titles(ask(engine, "potage")) == titles(ask(engine, "soup")) != []
    assert every("Green Tea" in title for title in titles(ask(engine, "chai")))


def test_an_explained_answer_says_what_a_word_was_read_as(engine: Engine) -> None:
    slate = ask(engine, "tomatoo potage")

    assert slate.readings == (
        Reading(asked="tomatoo", read_as=("tomato",), why="misspelt"),
        Reading(asked="potage", read_as=("soup",), why="synonym"),
    )
    assert "tomatoo (misspelt) is read as tomato\n" in slate_table(slate)
    assert ask(engine, "tomatoo potage", explain=False).readings == ()


def test_a_word_that_products_have_is_not_told(engine: Engine) -> None:
    assert ask(engine, "green tea").readings == ()


def test_a_file_that_cannot_be_used_is_named_with_the_line(tmp_path: Path) -> None:
    missing, bad = tmp_path / "missing.txt", tmp_path / "bad.txt"
    bad.write_text("# ours\nsofa\n")

    with pytest.raises(ConfigError, match=r"retrieval\.synonyms='.*missing.txt': No such file"):
        relaxation_of(config(missing))
    with pytest.raises(ConfigError, match=r"bad\.txt': line 2: has one phrase, 'sofa'; write"):
        relaxation_of(config(bad))


def ask(engine: Engine, text: str, *, explain: bool = True) -> Slate:
    return engine.answer(Query(text=text, explain=explain, deadline_ms=60_000))


def titles(slate: Slate) -> list[str]:
    return [placed.product.title for placed in slate.products]
