"""A build takes what has not changed from the live release, and is never wrong for it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from index import map_array
from pipelines.building import inputs
from pipelines.building.build import build
from pipelines.building.plan import STEPS, Learning, Step, StepInputs
from pipelines.building.step_runner import EarlierStep, StepRunner
from pipelines.building.steps import ranker as learn
from pipelines.building.writers import WRITERS, StepWriter
from pipelines.config.sections import Config
from pipelines.encoding import texts as texts_module
from pipelines.engine.engine import Engine
from pipelines.evaluation.pinned_queries import ask, open_pinned
from pipelines.progress import silent
from pipelines.release.store import Release, current, open_release
from pipelines.shop.reader import Shop
from pipelines.shop.writer import ShopWriter
from retrieval.encoders.text import SentenceEncoder
from tests.conftest import UNTIL, photographs, products, purchases, write_shop

Change = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


def write_other(folder: Path, change: Change) -> Path:
    """Write the shop with other products; all else is as it was."""
    people = Shop(write_shop(folder.with_name(f"{folder.name}-people"))).users()
    with ShopWriter(folder, name="Corner shop", source="table", pictures="drawn") as writer:
        writer.add_products(pa.Table.from_pylist(change(products().to_pylist()), products().schema))
        writer.add_events(purchases())
        writer.set_users(people.drop_columns(["consent"]))  # which nobody was asked for
        writer.add_pictures(photographs())
    return folder


def retitled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows[3] = {**rows[3], "title": "East Green Tea, loose leaves"}
    rows[7] = {**rows[7], "price": 77.0}
    return rows


def gone_and_new(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return them without one in the middle, with one more, in a category that was not there."""
    new = {**rows[5], "id": "p99", "title": "North Ginger Beer 9", "categories": ["Bar > Ginger"]}
    return [new, *rows[:11], *rows[12:]]


class Twice(NamedTuple):
    """A shop that was built over the live release, and from nothing."""

    live: Release
    over: Release
    anew: Release


@pytest.fixture(scope="module")
def quick(config: Config) -> Config:
    """Nothing is learnt, so that two builds of one shop must be equal."""
    replace = msgspec.structs.replace
    return replace(
        config,
        ranking=replace(config.ranking, train=False),
        towers=replace(config.towers, train=False),
        retrieval=replace(config.retrieval, fit_weights=False),
    )


@pytest.fixture(scope="module", params=[retitled, gone_and_new])
def twice(
    request: pytest.FixtureRequest,
    shop: Path,
    quick: Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> Twice:
    folder = tmp_path_factory.mktemp("twice")
    other = write_other(folder / "other", request.param)
    build(shop, folder / "over", quick, UNTIL, silent)
    live = open_release(folder / "over")
    for releases in (folder / "over", folder / "anew"):
        build(other, releases, quick, UNTIL, silent)
    return Twice(live, open_release(folder / "over"), open_release(folder / "anew"))


def test_a_release_built_over_another_answers_as_one_built_from_nothing(twice: Twice) -> None:
    over, anew = (Engine.open(r.path.parent, r.manifest.name) for r in (twice.over, twice.anew))

    pinned = open_pinned(twice.over.path)

    assert len(pinned) > 20
    assert [ask(over, one) for one in pinned] == [ask(anew, one) for one in pinned]


def test_a_release_built_over_another_holds_what_one_built_from_nothing_does(twice: Twice) -> None:
    arrays = [n for n in twice.anew.manifest.files if n.endswith(".npy")]

    assert twice.over.manifest.files.keys() >= set(arrays)
    for name in arrays:
        over, anew = (map_array(r.path / name) for r in (twice.over, twice.anew))
        if np.issubdtype(anew.dtype, np.floating):  # vectors depend on their company in last bits
            np.testing.assert_allclose(over, anew, atol=1e-5, err_msg=name)
        else:
            np.testing.assert_array_equal(over, anew, err_msg=name)


def test_what_depends_on_what_changed_is_made_and_the_rest_is_taken(twice: Twice) -> None:
    made = {n: m.made_in == twice.over.path.name for n, m in twice.over.manifest.stages.items()}

    moved = twice.over.manifest.quality["products"], "p99" in ids(twice.over)

    assert made["products"]
    assert made["vectors"]
    assert made["words"]
    assert not made["encoders"]
    assert made["behaviour"] is moved[1]  # the log is the same, the rows are not
    assert made["album"] is moved[1]


def ids(release: Release) -> set[str]:
    from index import Columns

    return set(Columns.open(release.path / "products.arrow").ids)


def made_again(context: Any) -> None:
    pytest.fail("a step was made that nothing changed for")


NO_WRITER = StepWriter(made_again)


@pytest.fixture
def copied(releases: Path, tmp_path: Path) -> Path:
    """The folder of the session's release, to build over."""
    return Path(shutil.copytree(releases, tmp_path / "releases"))


def test_a_build_of_the_same_shop_makes_nothing_and_takes_everything(
    shop: Path, config: Config, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_release(copied).manifest
    monkeypatch.setattr("pipelines.building.context.read_purchases", None)
    monkeypatch.setattr("pipelines.building.build.WRITERS", dict.fromkeys(WRITERS, NO_WRITER))

    build(shop, copied, config, UNTIL, silent)

    after = open_release(copied).manifest
    assert after.name != before.name
    assert after.files == before.files | {"pinned.jsonl": after.files["pinned.jsonl"]}
    assert after.stages == before.stages
    assert after.quality.items() >= before.quality.items()


def test_only_changed_products_are_encoded_and_the_ranker_is_kept(
    config: Config, copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write_other(tmp_path / "other", retitled)
    live = open_release(copied)
    asked: list[str] = []
    encode_texts = texts_module.encode_texts
    real = SentenceEncoder.encode

    def told(texts: Any, encoder: Any, *rest: Any) -> Any:
        def counted(self: Any, words: Any) -> Any:
            asked.extend(words)
            return real(self, words)

        with monkeypatch.context() as patch:
            patch.setattr(SentenceEncoder, "encode", counted)
            return encode_texts(texts, encoder, *rest)

    monkeypatch.setattr("pipelines.building.steps.vectors.encode_texts", told)
    monkeypatch.setattr(learn, "train", None)

    build(other, copied, config, UNTIL, silent)

    now = open_release(copied)
    assert asked == ["East Green Tea, loose leaves. Green Tea"]
    assert (
        now.manifest.files["ranker/ranker.safetensors"]
        == live.manifest.files["ranker/ranker.safetensors"]
    )
    before, after = (map_array(r.path / "ranker/tokens.npy") for r in (live, now))
    assert np.flatnonzero((before != after).any(axis=1)).tolist() == [3]
    assert now.manifest.stages["ranker"].learnt_in == live.manifest.name
    assert now.manifest.stages["ranker"].changed_share == pytest.approx(1 / 48, abs=1e-5)
    assert live.manifest.name in now.manifest.quality["ranker_learnt_in"]


def test_a_kept_ranker_knows_products_by_their_category_wherever_they_stand(
    config: Config, copied: Path, tmp_path: Path
) -> None:
    other = write_other(tmp_path / "other", gone_and_new)
    live = open_release(copied)

    build(other, copied, config, UNTIL, silent)

    before, after = (map_array(r.path / "ranker/tokens.npy") for r in (live, open_release(copied)))
    np.testing.assert_allclose(after[1:12], before[:11], atol=2e-3)
    np.testing.assert_allclose(after[12:], before[12:], atol=2e-3)
    assert Engine.open(copied).release == current(copied)


@pytest.mark.slow
def test_too_many_changes_teach_the_ranker_anew(
    config: Config, copied: Path, tmp_path: Path
) -> None:
    strict = msgspec.structs.replace(
        config, rebuild=msgspec.structs.replace(config.rebuild, most_drift=0.01)
    )

    build(write_other(tmp_path / "other", retitled), copied, strict, UNTIL, silent)

    stage = open_release(copied).manifest.stages["ranker"]
    assert (stage.learnt_in, stage.changed_share) == (current(copied), 0.0)


def test_a_damaged_file_of_the_live_release_is_made_again(tmp_path: Path) -> None:
    from pipelines.release.store import draft

    with draft(tmp_path) as new:
        first = StepRunner(new.path, new.name, None, 0.1)
        first.run(PLAIN, KEY, lambda: write(new.path / "a.txt"))
        new.seal(stages=first.records, **ABOUT)
        new.publish()
    live = open_release(tmp_path)
    (live.path / "a.txt").write_text("broken")

    with draft(tmp_path) as new:
        second = StepRunner(new.path, new.name, live, 0.1)
        second.run(PLAIN, KEY, lambda: write(new.path / "a.txt"))

        assert (new.path / "a.txt").read_text() == "whole"
        assert second.records["a"].made_in == new.name


def test_what_cannot_be_applied_again_leaves_no_empty_folder(tmp_path: Path) -> None:
    from pipelines.release.store import draft

    def spoilt(draft_folder: Path) -> None:
        (draft_folder / "index/x.svs/graph").mkdir(parents=True)
        write(draft_folder / "index/x.svs/graph/a.txt")
        write(draft_folder / "index/y.txt")

    with draft(tmp_path) as new:
        first = StepRunner(new.path, new.name, None, 0.1)
        first.run(LEARNER, KEY, lambda: write(new.path / "a.txt"), no_more)
        new.seal(stages=first.records, **ABOUT)
        new.publish()

    with draft(tmp_path) as new:
        second = StepRunner(new.path, new.name, open_release(tmp_path), 0.1, lambda: 0.0)
        other = KEY._replace(digests={"x": "another"})
        second.run(LEARNER, other, lambda: None, lambda earlier: spoilt(new.path))

        assert second.records["a"].files == ()
        assert list(new.path.iterdir()) == []


def test_indexes_are_chosen_anew_where_svs_comes_or_goes(
    shop: Path, config: Config, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_release(copied).manifest.stages["indexes"]
    monkeypatch.setattr(inputs, "why_no_svs", lambda codes="": f"another machine {codes}")

    build(shop, copied, config, UNTIL, silent)

    after = open_release(copied).manifest
    assert after.stages["indexes"].training_key != before.training_key
    assert after.stages["indexes"].made_in == after.name


def test_every_step_of_the_plan_has_a_writer_and_learns_where_it_can_be_reapplied() -> None:
    learning = {step.name for step in STEPS if step.learning is not None}

    assert [step.name for step in STEPS] == list(WRITERS)
    assert {name for name, writer in WRITERS.items() if writer.reapply is not None} == learning


def no_more(earlier: EarlierStep) -> None:
    pytest.fail(f"{earlier} was applied again")


PLAIN = Step("a", lambda given: {})
LEARNER = Step("a", lambda given: {}, Learning(lambda given: {}))
KEY = StepInputs({"x": "digest"}, {"y": "digest"})


ABOUT: dict[str, Any] = {
    "config": {},
    "shop": {"name": "x"},
    "until": None,
    "fingerprints": {},
    "quality": {},
}


def write(path: Path) -> None:
    path.write_text("whole")
