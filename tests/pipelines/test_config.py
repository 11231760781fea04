import re
from datetime import datetime
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from index import DESIGNS
from index.words.terms.analysis import LANGUAGES
from pipelines.config.loading import load, moment, show
from pipelines.config.sections import Config, IndexKind, Language, num_bytes
from pipelines.errors import ConfigError

pytestmark = pytest.mark.foreign

# What was written, and what the user reads. `FILE` stands for the path of the file.
WRONG_FILES = {
    "index:\n  nprob: 64": "FILE: Object contains unknown field `nprob` - at `$.index`",
    "indx: {}": "FILE: Object contains unknown field `indx`",
    "seed: often": "FILE: Expected `int`, got `str` - at `$.seed`",
    "threads: 0": "FILE: Expected `int` >= 1 - at `$.threads`",
    "encoders:\n  image_weight: 1.5": "Expected `float` <= 1.0 - at `$.encoders.image_weight`",
    "retrieval:\n  channels: [semantic, magic]": "FILE: Invalid enum value 'magic'",
    "serve:\n  port: 70000": "FILE: Expected `int` <= 65535 - at `$.serve.port`",
    "retrieval:\n  rrf_k: .nan": "FILE: Expected `float` > 0.0",
    "- a\n- b": "FILE: expected sections such as `index:`, got ['a', 'b']",
    "index: [": "FILE: not readable as YAML",
    "a: &a [*a]": "FILE: ",
    "x: !!python/object/apply:os.system ['true']": "FILE: not readable as YAML",
    "\x00": "FILE: not readable as YAML",
    "ranking:\n  heads: 5": "dim=64 cannot be split evenly among heads=5 - at `$.ranking`",
    "encoders:\n  text:\n    fields: [tittle]": "FILE: Invalid enum value 'tittle'",
    "encoders:\n  text:\n    fields: []": "FILE: Expected `array` of length >= 1",
    "retrieval:\n  half_life_days: .inf": "FILE: Expected `float` <= 1000000000.0",
    "seed: -1": "FILE: Expected `int` >= 0 - at `$.seed`",
    "[" * 5_000: "FILE: not readable as YAML",
}
WRONG_OVERRIDES = {
    "index.factory": "override 'index.factory' has no '='; write it as section.key=value",
    "index.nprob=3": "index.nprob=3: Object contains unknown field `nprob` - at `$.index`",
    "seed.deep=3": "Expected `int`, got `object` - at `$.seed`",
    "=3": "Object contains unknown field ``",
    "seed=[": "override 'seed=[': ",
    "ranking.epochs=-1": "Expected `int` >= 1 - at `$.ranking.epochs`",
}


@pytest.mark.parametrize(
    ("text", "message"), WRONG_FILES.items(), ids=[t[:20] for t in WRONG_FILES]
)
def test_a_wrong_file_is_one_line_that_names_file_and_key(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=re.escape(message.replace("FILE", str(path)))) as wrong:
        load(path)

    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize(("override", "message"), WRONG_OVERRIDES.items())
def test_a_wrong_override_is_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load(None, [override])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"my\.yaml: there is no such file"):
        load(tmp_path / "my.yaml")


def test_overrides_come_after_the_file_and_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("seed: 1\nthreads: 1")

    config = load(tmp_path / "my.yaml", ["seed=2", "seed=3", "encoders.image.model=x"])

    assert (config.seed, config.threads, config.encoders.image.model) == (3, 1, "x")


def test_what_is_shown_is_read_back_as_it_was(tmp_path: Path) -> None:
    config = load(None, ["retrieval.rrf_k=30", "retrieval.hidden_tags=[a, b]"])
    (tmp_path / "all.yaml").write_text(show(config))

    assert load(tmp_path / "all.yaml") == config


def test_a_configuration_survives_a_manifest() -> None:
    config = load(None, ["index.factory=Flat"])

    assert msgspec.convert(msgspec.to_builtins(config), Config) == config


def test_a_moment_is_a_day_or_a_time() -> None:
    assert moment("2017-11-15") == datetime(2017, 11, 15)
    assert moment("2017-11-15T08:30:00") == datetime(2017, 11, 15, 8, 30)
    assert moment("2017-11-15T08:30:00+09:00").isoformat() == "2017-11-15T08:30:00+09:00"


@pytest.mark.parametrize("text", ["", "yesterday", "15.11.2017", "2017-13-01", "1e9"])
def test_anything_else_is_no_moment(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a moment; write 2017-11-15"):
        moment(text)


def test_the_languages_that_can_be_chosen_are_those_of_the_index() -> None:
    assert get_args(Language) == LANGUAGES


def test_every_design_of_an_index_can_be_asked_for() -> None:
    names = {design.name for design in DESIGNS}

    assert set(get_args(IndexKind)) == {"auto", "shards", *names}


@pytest.mark.parametrize(
    ("size", "bytes_"), [("500MB", 500_000_000), ("1.5 GB", 1_500_000_000), ("12B", 12)]
)
def test_a_size_is_read_in_powers_of_a_thousand(size: str, bytes_: int) -> None:
    assert num_bytes(size) == bytes_
    assert load(overrides=[f"index.memory={size}"]).index.memory_bytes == bytes_


@pytest.mark.parametrize("size", ["2GiB", "-1MB", "much", "1e9B", "3"])
def test_what_is_no_size_is_refused(size: str) -> None:
    with pytest.raises(ConfigError, match=r"index\.memory"):
        load(overrides=[f"index.memory='{size}'"])
