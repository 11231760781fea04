"""The plan of a build says what the build then does, and changes nothing on disk."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from pipelines.building import preview as preview_module
from pipelines.building.build import build
from pipelines.building.plan import STEPS
from pipelines.building.preview import Action, BuildPreview, StepPreview, preview
from pipelines.cli.main import vetrina
from pipelines.config.sections import Config
from pipelines.progress import silent
from pipelines.release.manifest import read_manifest
from pipelines.release.store import current, open_release
from pipelines.shop.reader import Shop
from tests.assertions import every
from tests.conftest import UNTIL
from tests.pipelines.building.test_plan import copied, retitled, write_other

__all__ = ["copied"]  # the fixture

ALL = tuple(step.name for step in STEPS)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop with one product retitled, and another one's price changed."""
    return write_other(tmp_path_factory.mktemp("retitled") / "other", retitled)


def by_action(found: BuildPreview, action: Action, *, certain: bool = True) -> tuple[str, ...]:
    return tuple(s.step for s in found.steps if (s.action, s.certain) == (action, certain))


def because(found: BuildPreview, step: str) -> tuple[str, ...]:
    return next(one.because for one in found.steps if one.step == step)


def files(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in (folder, *folder.rglob("*"))
    }


def test_a_first_build_makes_everything_and_its_plan_makes_no_folder(
    shop: Path, config: Config, tmp_path: Path
) -> None:
    found = preview(Shop(shop), tmp_path / "releases", config, UNTIL)

    assert by_action(found, Action.MAKE) == ALL
    assert because(found, "ranker") == ("there is no live release",)
    assert list(tmp_path.iterdir()) == []


def test_of_the_same_shop_everything_is_taken_over(
    shop: Path, config: Config, releases: Path
) -> None:
    found = preview(Shop(shop), releases, config, UNTIL)

    assert by_action(found, Action.TAKE) == ALL


def test_a_plan_changes_nothing_on_disk_and_waits_for_no_other_build(
    other: Path, config: Config, copied: Path
) -> None:
    from pipelines.release.store import locked

    (copied / ".lock").unlink(missing_ok=True)
    before, shop_before = files(copied), files(other)

    preview(Shop(other), copied, config, UNTIL)

    assert (files(copied), files(other)) == (before, shop_before)
    with locked(copied):
        preview(Shop(other), copied, config, UNTIL)


def test_another_title_makes_vectors_and_words_anew_and_applies_what_was_learnt_again(
    other: Path, config: Config, releases: Path
) -> None:
    found = preview(Shop(other), releases, config, UNTIL)

    assert by_action(found, Action.MAKE) == (
        "products", "words", "numbered words", "vectors", "completions",
    )  # fmt: skip
    assert by_action(found, Action.MAKE, certain=False) == ("indexes", "content")
    assert by_action(found, Action.REAPPLY) == ("channels", "ranker")
    assert by_action(found, Action.TAKE) == (
        "album", "catalogue", "promotions", "behaviour", "encoders",
    )  # fmt: skip
    assert because(found, "products") == ("products of the shop",)
    assert because(found, "vectors") == ("texts to encode",)
    assert because(found, "ranker") == ("all columns of the products", "words")
    assert {one.step: one.depends_on for one in found.steps}["content"] == ("vectors", "indexes")


def test_another_language_makes_what_reads_words_anew_and_no_vectors(
    shop: Path, config: Config, releases: Path
) -> None:
    retrieval = msgspec.structs.replace(config.retrieval, language="de")

    found = preview(
        Shop(shop), releases, msgspec.structs.replace(config, retrieval=retrieval), UNTIL
    )

    assert by_action(found, Action.MAKE) == (
        "words", "numbered words", "completions", "channels", "ranker",
    )  # fmt: skip
    assert because(found, "words") == ("retrieval.language",)
    assert because(found, "channels") == ("section retrieval", "words")


def test_another_moment_and_another_encoder_are_named(
    shop: Path, config: Config, releases: Path
) -> None:
    text = msgspec.structs.replace(config.encoders.text, max_tokens=64)
    encoders = msgspec.structs.replace(config.encoders, text=text)

    later = preview(Shop(shop), releases, config, UNTIL.replace(day=2))
    shorter = preview(
        Shop(shop), releases, msgspec.structs.replace(config, encoders=encoders), UNTIL
    )

    assert because(later, "behaviour") == ("events until 2024-03-02",)
    assert because(shorter, "vectors") == ("text encoder",)
    assert by_action(shorter, Action.TAKE) == (
        "products", "album", "catalogue", "promotions", "words", "numbered words", "behaviour",
        "completions",
    )  # fmt: skip


def test_too_many_changes_since_it_learnt_are_a_reason_to_learn_anew(
    other: Path, config: Config, releases: Path
) -> None:
    rebuild = msgspec.structs.replace(config.rebuild, most_drift=0.01)

    found = preview(Shop(other), releases, msgspec.structs.replace(config, rebuild=rebuild), UNTIL)

    assert by_action(found, Action.REAPPLY) == ()
    assert because(found, "ranker")[-1] == "2.1% of the products changed since it learnt"


def test_without_reuse_everything_is_made_anew(shop: Path, config: Config, releases: Path) -> None:
    rebuild = msgspec.structs.replace(config.rebuild, reuse=False)

    found = preview(Shop(shop), releases, msgspec.structs.replace(config, rebuild=rebuild), UNTIL)

    assert by_action(found, Action.MAKE) == ALL
    assert because(found, "words") == ("rebuild.reuse is off",)


def test_other_code_is_named_as_the_reason(
    shop: Path, config: Config, releases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.building.inputs.code", lambda: "other code")

    found = preview(Shop(shop), releases, config, UNTIL)

    assert by_action(found, Action.MAKE) == ALL
    assert because(found, "words") == ("our code",)


def test_a_record_without_inputs_is_of_an_older_version(
    shop: Path, config: Config, releases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = open_release(releases).manifest
    old = {
        name: msgspec.structs.replace(record, inputs={}, key="old", training_key="old")
        for name, record in live.stages.items()
    }
    manifest = msgspec.structs.replace(live, stages=old)
    monkeypatch.setattr(preview_module, "read_manifest", lambda path: manifest)

    found = preview(Shop(shop), releases, config, UNTIL)

    assert by_action(found, Action.MAKE) == ALL
    assert because(found, "album") == (preview_module.NO_INPUTS,)


def test_a_build_does_what_its_plan_says(other: Path, config: Config, copied: Path) -> None:
    found = preview(Shop(other), copied, config, UNTIL)
    live = read_manifest(copied / current(copied)).stages

    build(other, copied, config, UNTIL, silent)

    now = read_manifest(copied / current(copied)).stages
    done = {
        name: Action.TAKE
        if record == live[name]
        else Action.REAPPLY
        if record.learnt_in == live[name].learnt_in != ""
        else Action.MAKE
        for name, record in now.items()
    }
    assert {s.step: s.action for s in found.steps if s.certain} == {
        s.step: done[s.step] for s in found.steps if s.certain
    }
    assert every(record.seconds > 0 for record in now.values())
    assert every((record.training_seconds > 0) == bool(record.learnt_in) for record in now.values())


def test_the_command_prints_a_row_a_step_with_the_reason_and_the_time(
    other: Path, clip_folder: Path, releases: Path
) -> None:
    before = files(releases)

    answer = CliRunner().invoke(
        vetrina,
        ["build", "--plan", "--shop", str(other), "--releases", str(releases)],
        catch_exceptions=False,
    )

    assert answer.exit_code == 0
    rows = [line for line in answer.output.splitlines() if "made anew" in line]
    assert rows[0].split()[0] == "products"
    assert f"compared with {current(releases)}" in answer.output
    assert "products of the shop" in answer.output
    assert files(releases) == before


def test_a_step_that_depends_on_files_not_made_yet_says_so() -> None:
    unsure = StepPreview("content", Action.MAKE, (), ("vectors",), 2.0)

    text = BuildPreview((unsure,), "compared with x").table()

    assert "may be made anew" in text
    assert "depends on vectors" in text
    assert "2.0 s" in text


def test_a_plan_is_read_without_torch() -> None:
    code = "import sys, pipelines.building.preview; print('torch' in sys.modules)"

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "False"


def test_the_time_of_what_is_taken_over_is_told_and_not_added_up() -> None:
    steps = (
        StepPreview("words", Action.TAKE, seconds=40.0),
        StepPreview("vectors", Action.MAKE, ("texts to encode",), seconds=3.0),
    )

    text = BuildPreview(steps, "compared with x").table()

    assert "40 s" in text
    assert "compared with x; what is not taken over took 3.0 s last time; nothing was" in text


def test_no_time_is_told_where_nothing_was_built_before() -> None:
    text = BuildPreview(
        (StepPreview("words", Action.MAKE, ("x",)),), "compared with nothing"
    ).table()

    assert text.endswith("compared with nothing; nothing was written now")
