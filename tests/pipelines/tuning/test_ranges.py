"""What may be tuned, and what a wrong range says."""

import re
from pathlib import Path

import msgspec
import pytest

from pipelines.config.loading import load
from pipelines.config.sections import Config
from pipelines.errors import ConfigError
from pipelines.tuning.ranges import Choices, Span, changed, differing, read_ranges, value_of

pytestmark = pytest.mark.foreign

AS_GIVEN = load(None, ["retrieval.fit_weights=false"])

# What was written, and what the user reads after the name of the file.
WRONG = {
    "ranking.learning_rat: [1.0]": ", ranking.learning_rat: no such key; is ranking.learning_rate",
    "quux.zot: [1]": ", quux.zot: no such key",
    "1: [1]": ", 1: no such key",
    "retrieval.weights: [1]": ", retrieval.weights: this is a section; name one of its keys",
    "seed.deep: [1]": ", seed.deep: no such key",
    "behaviour.ease_lambda: {low: 0, high: 9}": "low=0: Expected `float` > 0.0",
    "encoders.image_weight: {low: 0, high: 2}": "high=2: Expected `float` <= 1.0",
    "behaviour.neighbours: {low: 1.5, high: 9}": "low=1.5: Expected `int`, got `float`",
    "behaviour.neighbours: {low: 9, high: 9}": "low=9 is not below high=9",
    "behaviour.neighbours: {low: 9, high: 1}": "low=9 is not below high=1",
    "retrieval.weights.ease: {low: 0, high: 1, log: true}": "log needs a low above 0, and it is 0",
    "retrieval.rrf_k: {low: 1, high: 9, log: true, step: 1}": "log and step do not go together",
    "retrieval.rrf_k: {low: 1, high: 9, step: 0}": "step=0 leads from low=1 to nothing",
    "retrieval.rrf_k: {low: 1, high: 9, step: 20}": "step=20 leads from low=1 to nothing",
    "behaviour.neighbours: {low: 1, high: 9, step: 0.5}": "step=0.5 is no whole number",
    "retrieval.rrf_k: {low: 1, high: .inf}": "high=inf is no number of at most 1e+15",
    "retrieval.rrf_k: {low: .nan, high: 1}": "low=nan is no number",
    "behaviour.neighbours: {low: 1, high: 1000000000000000000000}": "is no number of at most 1e+15",
    "retrieval.rrf_k: {low: 1}": "Object missing required field `high`",
    "retrieval.rrf_k: {low: 1, high: 2, loud: true}": "unknown field `loud`",
    "retrieval.rrf_k: 60": "Expected `object`, got `int`; expected {low: 1, high: 9}",
    "retrieval.rrf_k:": "Expected `object`, got `null`",
    "retrieval.rrf_k: []": "the list of choices is empty",
    "retrieval.rrf_k: [60, 60.0]": "the choice 60.0 stands twice",
    "retrieval.rrf_k: [60, fast]": "choice 'fast': Expected `float`, got `str`",
    "encoders.text.model: {low: 1, high: 2}": "its values are no numbers; give a list of choices",
    "ranking.train: {low: 0, high: 1}": "its values are no numbers; give a list of choices",
    "retrieval.channels: [[repeat, magic]]": "Invalid enum value 'magic'",
    "serve.port: [1, 2]": "this is not tuned: it changes no answer",
    "clip.epochs: [1, 2]": "this is not tuned: it trains an encoder",
    "seed: [1, 2]": "this is not tuned: a lucky seed is not a better configuration",
    "retrieval.hidden_tags: [[]]": "this is not tuned: it changes what is asked for",
    "": ": no range is in it",
    "- a": ": expected sections",
    "a: [": ": not readable as YAML",
}


def read(folder: Path, text: str, config: Config = AS_GIVEN) -> dict[str, Span | Choices]:
    path = folder / "ranges.yaml"
    path.write_text(text)
    return read_ranges(path, config)


@pytest.mark.parametrize(("text", "message"), WRONG.items(), ids=range(len(WRONG)))
def test_a_wrong_range_is_one_line_that_names_file_and_key(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as wrong:
        read(tmp_path, text)

    assert str(wrong.value).startswith(str(tmp_path / "ranges.yaml"))
    assert "\n" not in str(wrong.value)


def test_a_weight_that_the_build_would_fit_itself_is_refused(tmp_path: Path) -> None:
    text = "retrieval.weights.ease: {low: 0, high: 1}"

    with pytest.raises(ConfigError, match=r"--set retrieval\.fit_weights=false"):
        read(tmp_path, text, Config())

    assert read(tmp_path, f"{text}\nretrieval.fit_weights: [true, false]", Config())


def test_the_keys_of_a_ranker_that_is_not_trained_are_refused(tmp_path: Path) -> None:
    off = load(None, ["ranking.train=false"])

    with pytest.raises(ConfigError, match=r"ranking\.epochs: no ranker is asked"):
        read(tmp_path, "ranking.epochs: [1, 2]", off)

    assert read(tmp_path, "ranking.epochs: [1, 2]\nranking.train: [true, false]", off)
    assert read(tmp_path, "ranking.window_days: [7, 14]", off)


def test_a_range_has_the_type_of_its_key(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "behaviour.neighbours: {low: 10, high: 99, step: 20}\n"
        "retrieval.rrf_k: {low: 1, high: 2, log: true}\n"
        "encoders.image_weight: {low: 0.1, high: 0.75, step: 0.2}\n"
        "retrieval.channels: [[repeat], [repeat, ease]]\n",
    )

    assert found == {
        "behaviour.neighbours": Span(10, 90, False, 20, True),
        "retrieval.rrf_k": Span(1, 2, True, None, False),
        "encoders.image_weight": Span(0.1, 0.7, False, 0.2, False),
        "retrieval.channels": Choices(
            {'["repeat"]': ["repeat"], '["repeat","ease"]': ["repeat", "ease"]}
        ),
    }


def test_a_range_holds_what_its_steps_reach() -> None:
    steps, any_number = Span(0.1, 0.7, False, 0.2, False), Span(1, 9, True, None, True)

    assert [v for v in (0.1, 0.3, 0.4, 0.7, 0.9, True, "0.3") if steps.holds(v)] == [0.1, 0.3, 0.7]
    assert [v for v in (0, 1, 5, 9, 10) if any_number.holds(v)] == [1, 5, 9]
    assert Choices({'["a"]': ["a"]}).holds(["a"])


def test_settings_that_do_not_fit_together_name_each_other() -> None:
    with pytest.raises(ConfigError, match=r"ranking\.heads=3: dim=64 cannot be split evenly"):
        changed(Config(), {"ranking.heads": 3})


def test_what_differs_is_read_back_as_the_same_configuration(tmp_path: Path) -> None:
    config = changed(AS_GIVEN, {"retrieval.weights.ease": 0.3, "retrieval.channels": ["ease"]})

    (tmp_path / "best.yaml").write_bytes(msgspec.yaml.encode(differing(config)))

    assert load(tmp_path / "best.yaml") == config
    assert value_of(config, "retrieval.channels") == ["ease"]
    assert differing(Config()) == {}
